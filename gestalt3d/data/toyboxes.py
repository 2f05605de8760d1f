"""Toy boxes as a data set: made when asked for, in milliseconds, and kept in memory for the next epoch."""

from gestalt3d.data.cache import digest
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import TOYBOXES, Vocabulary, mapping
from gestalt3d.synth.toyboxes import PRESETS, SPLITS, TOY_VERSION, make_toybox, scan_of

COUNTS = {"train": 900, "val": 100, "test": 100}
"""Scenes per split where nothing is said; the paper has no val, ours is for choosing settings."""


class Toyboxes(LabelledClouds):
    """Scene `i` of a split is `make_toybox(SPLITS[split] + i)`: a cloud of voxel centres, voxel `i` being point `i`."""

    min_region = 1
    """Boxes have some dozens of voxels: the 100 points that the benchmark asks of a region would drop most of them."""

    def __init__(
        self,
        split: str,
        *,
        preset: str = "default",
        count: int | None = None,
        vocabulary: Vocabulary = TOYBOXES,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"toyboxes has no split {split!r}; it has {', '.join(SPLITS)}")
        if preset not in PRESETS:
            raise UserError(f"toyboxes has no preset {preset!r}; it has {', '.join(PRESETS)}")
        self.split, self.preset, self.vocabulary = split, preset, vocabulary
        self.names = [f"{split}_{i:06d}" for i in range(COUNTS[split] if count is None else count)]
        self._made: dict[int, Scan] = {}  # 100 kB each

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names."""
        return [note] if (note := mapping(TOYBOXES, self.vocabulary)) else []

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Of the preset and the seed."""
        return digest(TOY_VERSION, PRESETS[self.preset], SPLITS[self.split] + i)

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"toyboxes:{self.split} has {len(self)} scenes, asked for {i}")
        if i not in self._made:
            grid = make_toybox(SPLITS[self.split] + i, PRESETS[self.preset])
            self._made[i] = relabel(scan_of(grid, self.names[i]), self.vocabulary)
        return self._made[i]
