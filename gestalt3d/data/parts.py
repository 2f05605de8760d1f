"""Synthetic objects in parts as a data set: made when asked for, in some milliseconds, and never kept."""

from dataclasses import replace

from gestalt3d.data.cache import digest
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledParts
from gestalt3d.errors import UserError
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import PARTNET, PARTNET_ALL, Vocabulary, mapping
from gestalt3d.synth.parts.objects import CATEGORIES, GENERATOR_VERSION, SPLITS, make_object

COUNTS = {"train": 20_000, "val": 100, "test": 400}
"""Objects per split where nothing is said; there are up to a million."""
_BY_WORD = {category.replace("_", ""): category for category in CATEGORIES}


class Parts(LabelledParts):
    """Object `i` of a split is `make_object(SPLITS[split] + i, category, level=level)`; without a category they alternate."""

    def __init__(
        self,
        split: str,
        *,
        category: str = "",
        level: int = 3,
        count: int | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        if split not in SPLITS:
            raise UserError(f"parts has no split {split!r}; it has {', '.join(SPLITS)}")
        if category and category not in _BY_WORD:
            raise UserError(f"parts has no category {category!r}; it has {', '.join(_BY_WORD)}")
        self._categories = (_BY_WORD[category],) if category else CATEGORIES
        self._own = PARTNET[self._categories[0], level] if category else PARTNET_ALL[level]
        self.split, self.level = split, level
        self.vocabulary = self._own if vocabulary is None else vocabulary
        self.names = [f"{split}_{i:06d}" for i in range(COUNTS[split] if count is None else count)]

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names."""
        return [note] if (note := mapping(self._own, self.vocabulary)) else []

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self, i: int) -> str:
        """Of the generator, the category, the level and the seed."""
        return digest(GENERATOR_VERSION, *self._made_from(i), self.level)

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"parts:{self.split} has {len(self)} objects, asked for {i}")
        seed, category = self._made_from(i)
        made = make_object(seed, category, level=self.level)
        return relabel(replace(made, name=self.names[i]), self.vocabulary)

    def _made_from(self, i: int) -> tuple[int, str]:
        return SPLITS[self.split] + i, self._categories[i % len(self._categories)]
