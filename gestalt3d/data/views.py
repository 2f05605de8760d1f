"""RGB-D frames of synthetic rooms as a data set: made when asked for, some twenty a second on two cores."""

from dataclasses import replace

from gestalt3d.data import Evaluator
from gestalt3d.data.amodal_scoring import ViewScores
from gestalt3d.data.cache import digest
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import SYNTH, Vocabulary, mapping
from gestalt3d.synth.rooms import GENERATOR_VERSION, SPLITS
from gestalt3d.synth.views import VIEWS_VERSION, SyntheticView, ViewConfig, make_view

PER_ROOM = 5
"""Views of each room."""
COUNTS = {"train": 5000, "val": 100, "test": 250}
"""Views per split where nothing is said: those of as many rooms as `rooms` has."""


class Views(LabelledClouds):
    """View `i` of a split is view `i % PER_ROOM` of room `SPLITS[split] + i // PER_ROOM`; the rooms are those of `rooms`.

    Elements are pixels, and answers to a view are scored by its pixels, and as whole objects where they say anything of these. A
    room is furnished once for views that are asked for one after the other; in random order each view furnishes its own, which
    takes twice as long.
    """

    def __init__(
        self,
        split: str,
        *,
        count: int | None = None,
        vocabulary: Vocabulary = SYNTH,
        config: ViewConfig | None = None,
    ) -> None:
        if split not in COUNTS:
            raise UserError(f"views has no split {split!r}; it has {', '.join(COUNTS)}")
        self.split, self.vocabulary = split, vocabulary
        self.config = ViewConfig() if config is None else config
        places = (divmod(i, PER_ROOM) for i in range(COUNTS[split] if count is None else count))
        self.names = [f"{split}_{room:06d}_{index}" for room, index in places]

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names."""
        return [note] if (note := mapping(SYNTH, self.vocabulary)) else []

    def __len__(self) -> int:
        return len(self.names)

    def seed_of(self, i: int) -> tuple[int, int]:
        """The room's seed and the number of the view in it."""
        room, index = divmod(i, PER_ROOM)
        return SPLITS[self.split] + room, index

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of pixels, and of the voxels and boxes of whole objects."""
        return ViewScores(vocabulary, class_agnostic=class_agnostic, min_region=self.min_region)

    def fingerprint(self, i: int) -> str:
        """Of the generators, their settings and the seed."""
        return digest(GENERATOR_VERSION, VIEWS_VERSION, self.config, *self.seed_of(i))

    def __getitem__(self, i: int) -> SyntheticView:
        if not 0 <= i < len(self):
            raise IndexError(f"views:{self.split} has {len(self)} views, asked for {i}")
        seen = make_view(*self.seed_of(i), self.config)
        return replace(seen, name=self.names[i], truth=relabelled(seen.truth, self.vocabulary))
