"""Photos of several synthetic objects that hide one another as a data set: made when asked for."""

from dataclasses import replace

from gestalt3d.data import Evaluator
from gestalt3d.data.cache import digest
from gestalt3d.data.photos.scores import PhotoScores
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import SHAPENET13, Vocabulary, mapping
from gestalt3d.synth.objects.models import OBJECTS_VERSION
from gestalt3d.synth.objects.photos import PHOTOS_VERSION, PhotoConfig, make_photo
from gestalt3d.synth.views import SyntheticView

SPLITS = {"train": 0, "val": 1_000_000, "test": 2_000_000}
"""First seed of each split; a split ends where the next begins. No object is in two photos."""
COUNTS = {"train": 5000, "val": 100, "test": 250}
"""Photos per split where nothing is said."""


class Photos(LabelledClouds):
    """Photo `i` of a split is `make_photo(SPLITS[split] + i)`; elements are pixels."""

    def __init__(
        self,
        split: str,
        *,
        count: int | None = None,
        vocabulary: Vocabulary = SHAPENET13,
        config: PhotoConfig | None = None,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"photos has no split {split!r}; it has {', '.join(SPLITS)}")
        self.split, self.vocabulary = split, vocabulary
        self.config = PhotoConfig() if config is None else config
        self.min_region = self.config.min_pixels
        self.names = [f"{split}_{i:06d}" for i in range(COUNTS[split] if count is None else count)]

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names."""
        return [note] if (note := mapping(SHAPENET13, self.vocabulary)) else []

    def __len__(self) -> int:
        return len(self.names)

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of visible and whole masks in photos."""
        return PhotoScores(vocabulary, class_agnostic=class_agnostic)

    def fingerprint(self, i: int) -> str:
        """Of the generators, their settings and the seed."""
        return digest(OBJECTS_VERSION, PHOTOS_VERSION, self.config, SPLITS[self.split] + i)

    def __getitem__(self, i: int) -> SyntheticView:
        if not 0 <= i < len(self):
            raise IndexError(f"photos:{self.split} has {len(self)} photos, asked for {i}")
        seen = make_photo(SPLITS[self.split] + i, self.config)
        return replace(seen, name=self.names[i], truth=relabelled(seen.truth, self.vocabulary))
