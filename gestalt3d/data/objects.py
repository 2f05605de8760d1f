"""Pictures of single synthetic objects as a data set: made when asked for. Splits hold out viewpoints as well as objects."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from gestalt3d.data import Evaluator
from gestalt3d.data.cache import digest
from gestalt3d.data.photos.scores import PhotoScores
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import SHAPENET13, Vocabulary, mapping
from gestalt3d.synth.objects.models import CATEGORIES, OBJECTS_VERSION
from gestalt3d.synth.objects.pictures import PICTURES_VERSION, ObjectView, PictureConfig, make_picture
from gestalt3d.synth.objects.viewpoints import HELD_OUT, SEEN


class Split(NamedTuple):
    """Objects from a seed on, so many of each category, each from all of some viewpoints."""

    first: int
    objects: int
    viewpoints: tuple[int, ...]
    count: int
    """Pictures where nothing is said."""


_TRAIN, _VAL, _TEST = 0, 1_300_000, 2_600_000
SPLITS = {
    "train": Split(_TRAIN, 150, SEEN, 35_100),
    "val": Split(_VAL, 20, SEEN, 520),
    "test": Split(_TEST, 50, HELD_OUT, 3_900),
    "new-objects": Split(_TEST, 50, SEEN, 3_900),
    "new-viewpoints": Split(_TRAIN, 150, HELD_OUT, 3_900),
}
"""`test` has new objects from new viewpoints. The same objects from the viewpoints of training are `new-objects`, the objects of
training from new viewpoints `new-viewpoints`: they tell apart what is lost by either."""


class Objects(LabelledClouds):
    """Picture `i` of a split shows an object of category `i % 13`, every object once before any is shown again from elsewhere.

    So any first few pictures have all categories, many objects and all viewpoints. Occluders are objects of the same split.
    """

    min_region = 1
    """Of 64 x 64 pixels thin objects fill few."""

    def __init__(
        self,
        split: str,
        *,
        count: int | None = None,
        vocabulary: Vocabulary = SHAPENET13,
        config: PictureConfig | None = None,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"objects has no split {split!r}; it has {', '.join(SPLITS)}")
        self.split, self.vocabulary = split, vocabulary
        self.config = PictureConfig() if config is None else config
        own = SPLITS[split]
        all_of_them = len(CATEGORIES) * own.objects * len(own.viewpoints)
        wanted = min(own.count if count is None else count, all_of_them)
        self.names = [self._name(i) for i in range(wanted)]

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names."""
        return [note] if (note := mapping(SHAPENET13, self.vocabulary)) else []

    def __len__(self) -> int:
        return len(self.names)

    def seed_of(self, i: int) -> int:
        """That of the object; its category follows from it."""
        own = SPLITS[self.split]
        row, category = divmod(i, len(CATEGORIES))
        return own.first + row % own.objects * len(CATEGORIES) + category

    def viewpoint_of(self, i: int) -> int:
        """From 0 to 23."""
        own = SPLITS[self.split]
        turn, number = divmod(i // len(CATEGORIES), own.objects)
        return own.viewpoints[(turn + number) % len(own.viewpoints)]

    def same_object(self, i: int) -> range:
        """Positions of all pictures of the object that picture `i` shows, `i` among them, for training across views."""
        step = len(CATEGORIES) * SPLITS[self.split].objects
        return range(i % step, len(self), step)

    def another(self, i: int, rng: np.random.Generator) -> int:
        """The position of another picture of the same object; `i` itself where there is none."""
        others = [k for k in self.same_object(i) if k != i]
        return others[int(rng.integers(len(others)))] if others else i

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of visible and whole masks in photos."""
        return PhotoScores(vocabulary, class_agnostic=class_agnostic)

    def fingerprint(self, i: int) -> str:
        """Of the generators, their settings, object and viewpoint."""
        return digest(OBJECTS_VERSION, PICTURES_VERSION, self.config, self.seed_of(i), self.viewpoint_of(i))

    def __getitem__(self, i: int) -> ObjectView:
        if not 0 <= i < len(self):
            raise IndexError(f"objects:{self.split} has {len(self)} pictures, asked for {i}")
        made = make_picture(self.seed_of(i), self.viewpoint_of(i), self.config)
        others = partial(self._made_of_another, i) if len(self.same_object(i)) > 1 else None
        return replace(
            made, name=self.names[i], truth=relabelled(made.truth, self.vocabulary), another=others
        )

    def _made_of_another(self, i: int, rng: np.random.Generator) -> ObjectView:
        return self[self.another(i, rng)]

    def _name(self, i: int) -> str:
        number = i // len(CATEGORIES) % SPLITS[self.split].objects
        return f"{self.split}_{CATEGORIES[i % len(CATEGORIES)]}_{number:04d}_{self.viewpoint_of(i):02d}"
