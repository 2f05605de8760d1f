"""Synthetic table tops as a data set: made when asked for, in half a second each."""

from gestalt3d.data.relabel import relabel
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import TABLE_TOPS, Vocabulary, mapping
from gestalt3d.synth.table_tops import SPLITS, make_table_top

COUNTS = {"train": 100, "val": 20, "test": 20}
"""Tables per split where nothing is said."""


class TableTops(LabelledClouds):
    """Scan `i` of a split is `make_table_top(SPLITS[split] + i)`."""

    def __init__(self, split: str, *, count: int | None = None, vocabulary: Vocabulary = TABLE_TOPS) -> None:
        if split not in SPLITS:
            raise UserError(f"table-tops has no split {split!r}; it has {', '.join(SPLITS)}")
        self.split, self.vocabulary = split, vocabulary
        self.names = [f"{split}_{i:06d}" for i in range(COUNTS[split] if count is None else count)]

    @property
    def notes(self) -> list[str]:
        """Which class counts as which, where they have other names."""
        return [note] if (note := mapping(TABLE_TOPS, self.vocabulary)) else []

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Scan:
        if not 0 <= i < len(self):
            raise IndexError(f"table-tops:{self.split} has {len(self)} scans, asked for {i}")
        return relabel(make_table_top(SPLITS[self.split] + i), self.vocabulary)
