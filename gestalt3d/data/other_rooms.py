"""Synthetic rooms of the second generator as a data set: generated when first asked for, cached on disk afterwards."""

from pathlib import Path

from gestalt3d.data.cache import ScanCache, pack, unpack
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SYNTH, Vocabulary, mapping
from gestalt3d.synth.other_rooms import GENERATOR_VERSION, SPLITS, make_other_room

COUNTS = {"val": 20, "test": 40}
"""Rooms per split where nothing is said."""


class OtherRooms(LabelledClouds):
    """Room `i` of a split is `make_other_room(SPLITS[split] + i)`, with 8-bit colours whether cached or not."""

    def __init__(
        self,
        split: str,
        *,
        count: int | None = None,
        vocabulary: Vocabulary = SYNTH,
        cache_dir: Path | None = None,
    ) -> None:
        if split == "train":
            raise UserError(
                "rooms-other has no split to train on: it is there to choose by and to be tested on"
            )
        if split not in SPLITS:
            raise UserError(f"rooms-other has no split {split!r}; it has {', '.join(SPLITS)}")
        self.split, self.vocabulary = split, vocabulary
        self.names = [f"{split}_{i:06d}" for i in range(COUNTS[split] if count is None else count)]
        self._cache = ScanCache(f"rooms-other-{GENERATOR_VERSION}", root=cache_dir)

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names; and that nothing can be cached."""
        note = mapping(SYNTH, self.vocabulary)
        return [*([note] if note else []), *self._cache.notes]

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Of the generator and the seed."""
        return f"other-{GENERATOR_VERSION}-{SPLITS[self.split] + i}"

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"rooms-other:{self.split} has {len(self)} rooms, asked for {i}")
        seed = SPLITS[self.split] + i
        packed = self._cache.get(str(seed), lambda: pack(make_other_room(seed)))
        return relabel(unpack(packed, self.names[i], SYNTH), self.vocabulary)
