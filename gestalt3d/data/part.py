"""Some of the scans of a data set, as for a share that is kept from training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gestalt3d.data import DataSet, Evaluator, Official
from gestalt3d.data.cache import fingerprint
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary


class Part:
    """The scans of `data` at `positions`, in that order; all else is the data set's."""

    def __init__(self, data: DataSet, positions: Sequence[int]) -> None:
        self._data, self._positions = data, list(positions)
        self.vocabulary = data.vocabulary
        self.names = [data.names[i] for i in self._positions]

    @property
    def notes(self) -> list[str]:
        return self._data.notes

    @property
    def unreadable(self) -> dict[str, str]:
        return {name: problem for name, problem in self._data.unreadable.items() if name in self.names}

    def without_instances(self) -> list[str]:
        return [name for name in self._data.without_instances() if name in self.names]

    @property
    def label_hint(self) -> str:
        return self._data.label_hint

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        return self._data.evaluator(vocabulary, class_agnostic=class_agnostic)

    def official(self, folder: Path, vocabulary: Vocabulary) -> Official:
        return self._data.official(folder, vocabulary)

    def __len__(self) -> int:
        return len(self._positions)

    def fingerprint(self, i: int) -> str:
        return fingerprint(self._data, self._positions[i])

    def __getitem__(self, i: int) -> Scan:
        return self._data[self._positions[i]]


def held_out(count: int, share: float, *, seed: int) -> list[int]:
    """Which of `count` scans to keep from training, ascending: that share, drawn by `seed`, one at least.

    None where fewer than two would remain to learn from, or where `share` is 0.
    """
    wanted = max(1, round(share * count)) if share else 0
    if count - wanted < 2:
        return []
    return sorted(np.random.default_rng([seed, count]).permutation(count)[:wanted].tolist())
