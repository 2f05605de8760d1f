"""Masks of images as runs of pixels, many at once, and what is computed of them without unpacking.

Pixels are counted as COCO does, column by column: pixel (row, column) of an image of height h is number `column * h + row`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

MOST_PIXELS = 1 << 28
"""Of one mask: a few bytes may claim any size."""
_AT_ONCE = 1 << 21
"""Ends of runs that are looked up together: some 100 MB."""

Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Runs:
    """Mask `i` has the runs `offsets[i]` to `offsets[i + 1]`: ascending, not empty, none touching the next."""

    offsets: np.ndarray
    """(i + 1,) int64."""
    starts: np.ndarray
    """(k,) int64: first pixel of each run."""
    ends: np.ndarray
    """(k,) int64: the pixel after its last."""
    sizes: np.ndarray
    """(i, 2) int64: height and width of the image of each mask."""

    @classmethod
    def empty(cls, sizes: np.ndarray) -> "Runs":
        """Masks without pixels in images of (i, 2) `sizes`."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(len(sizes) + 1, np.int64), nothing, nothing, as_sizes(sizes))

    @classmethod
    def from_toggles(cls, counts: np.ndarray, toggles: np.ndarray, sizes: np.ndarray) -> "Runs":
        """From (i,) `counts` of (m,) ascending pixels, one mask after the other, at which it begins and ends in turn.

        Two equal ones in a row are nothing, so that runs may be empty or touch. Each mask has an even number of them.
        """
        sizes = as_sizes(sizes)
        base = _bases(sizes)
        keys = toggles + np.repeat(base, counts)
        is_first = np.append(np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1])
        if not is_first.all():
            # What is there an even number of times changes nothing.
            times = np.diff(np.append(np.flatnonzero(is_first), len(keys)))
            keys = keys[is_first][times % 2 == 1]
        return cls._from_keys(keys, base, sizes)

    @classmethod
    def _from_keys(cls, keys: np.ndarray, base: np.ndarray, sizes: np.ndarray) -> "Runs":
        """From distinct toggles that are counted through all masks, ascending."""
        counts = np.diff(np.append(np.searchsorted(keys, base), len(keys)))
        toggles = keys - np.repeat(base, counts)
        return cls(_offsets(counts // 2), toggles[0::2], toggles[1::2], sizes)

    @classmethod
    def from_masks(cls, masks: Sequence[np.ndarray]) -> "Runs":
        """From (h, w) arrays; what is not 0 belongs to the mask."""
        toggles = []
        for mask in masks:
            flat = np.concatenate([[False], np.asarray(mask).astype(bool).ravel(order="F"), [False]])
            toggles.append(np.flatnonzero(flat[1:] != flat[:-1]))
        sizes = np.array([np.asarray(mask).shape for mask in masks], np.int64).reshape(-1, 2)
        counts = np.array([len(own) for own in toggles], np.int64)
        return cls.from_toggles(counts, np.concatenate([np.zeros(0, np.int64), *toggles]), sizes)

    @classmethod
    def from_pixels(cls, counts: np.ndarray, pixels: np.ndarray, size: tuple[int, int]) -> "Runs":
        """From the pixels of each mask, as `pixels` gives them: (i,) `counts` of (m,) numbers, each once; `size` is (h, w)."""
        height, width = size
        row, column = np.divmod(pixels, max(width, 1))
        sizes = as_sizes(np.array([size] * len(counts)))
        base = _bases(sizes)
        keys = np.sort(column * height + row + np.repeat(base, counts))
        is_edge = np.diff(keys) != 1
        starts = keys[np.append(np.ones(min(len(keys), 1), bool), is_edge)]
        ends = keys[np.append(is_edge, np.ones(min(len(keys), 1), bool))] + 1
        return cls._from_keys(np.stack([starts, ends], axis=1).reshape(-1), base, sizes)

    @classmethod
    def cat(cls, parts: Sequence["Runs"]) -> "Runs":
        """The masks of all parts, one after the other."""
        counts = np.concatenate([np.zeros(0, np.int64), *(part.counts for part in parts)])
        nothing = np.zeros(0, np.int64)
        return cls(
            _offsets(counts),
            np.concatenate([nothing, *(part.starts for part in parts)]),
            np.concatenate([nothing, *(part.ends for part in parts)]),
            np.concatenate([np.zeros((0, 2), np.int64), *(part.sizes for part in parts)]),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        return f"{len(self)} mask{'' if len(self) == 1 else 's'} of {len(self.starts):,} runs"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Runs):
            return NotImplemented
        names = ("offsets", "starts", "ends", "sizes")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]

    @property
    def counts(self) -> np.ndarray:
        """(i,) int64: runs of each mask."""
        return np.diff(self.offsets)

    @cached_property
    def areas(self) -> np.ndarray:
        """(i,) int64: pixels of each mask."""
        return np.diff(self._before[self.offsets])

    @cached_property
    def boxes(self) -> np.ndarray:
        """(i, 4) int64: left, top, and the column and row after the last; 0 0 0 0 of an empty mask."""
        out = np.zeros((len(self), 4), np.int64)
        height = np.repeat(self.sizes[:, 0], self.counts)
        left, top = np.divmod(self.starts, height)
        right, bottom = np.divmod(self.ends - 1, height)
        is_wrapped = left != right
        rows = [left, np.where(is_wrapped, 0, top), right + 1, np.where(is_wrapped, height, bottom + 1)]
        has = np.flatnonzero(self.counts)
        if len(has):
            for column, reduce in enumerate((np.minimum, np.minimum, np.maximum, np.maximum)):
                out[has, column] = reduce.reduceat(rows[column], self.offsets[has])
        return out

    def take(self, rows: np.ndarray) -> "Runs":
        """The masks of these numbers, in the order asked for."""
        counts = self.counts[rows]
        at = _ranges(self.offsets[:-1][rows], counts)
        return Runs(_offsets(counts), self.starts[at], self.ends[at], self.sizes[rows])

    def mask(self, i: int) -> np.ndarray:
        """(h, w) bool."""
        height, width = self.sizes[i].tolist()
        first, last = self.offsets[i : i + 2]
        change = np.zeros(height * width + 1, np.int8)
        change[self.starts[first:last]] = 1
        change[self.ends[first:last]] -= 1
        return np.cumsum(change[:-1], dtype=np.int8).astype(bool).reshape(width, height).T

    def pixels(self, i: int) -> np.ndarray:
        """(p,) int64: the pixels of a mask row by row, `row * w + column`, ascending: elements of a view."""
        height, width = self.sizes[i].tolist()
        first, last = self.offsets[i : i + 2]
        own = _ranges(self.starts[first:last], (self.ends - self.starts)[first:last])
        column, row = np.divmod(own, max(height, 1))
        return np.sort(row * width + column)

    def common(self, rows: np.ndarray, other: "Runs", other_rows: np.ndarray) -> np.ndarray:
        """(p,) int64: pixels that mask `rows[p]` and mask `other_rows[p]` of `other` share, which are of one size."""
        out = np.zeros(len(rows), np.int64)
        counts = self.counts[rows]
        # A pass has as many pairs as have `_AT_ONCE` ends, and at least one.
        passes = np.cumsum(counts) // _AT_ONCE
        for start, stop in pieces(passes):
            out[start:stop] = self._common(rows[start:stop], other, other_rows[start:stop])
        return out

    def _common(self, rows: np.ndarray, other: "Runs", other_rows: np.ndarray) -> np.ndarray:
        counts = self.counts[rows]
        at = _ranges(self.offsets[:-1][rows], counts)
        base = np.repeat(_bases(other.sizes)[other_rows], counts)
        inside = other._pixels_before(self.ends[at] + base) - other._pixels_before(self.starts[at] + base)
        return np.diff(np.append(0, np.cumsum(inside))[_offsets(counts)])

    def _pixels_before(self, keys: np.ndarray) -> np.ndarray:
        """How many pixels of all masks, one after the other, lie before each of these."""
        if not len(self.starts):
            return np.zeros_like(keys)
        run = np.searchsorted(self._keys, keys, side="right") - 1
        into = np.minimum(keys - self._keys[run], (self.ends - self.starts)[run])
        return np.where(run >= 0, self._before[run] + into, 0)

    @cached_property
    def _keys(self) -> np.ndarray:
        """(k,) int64: starts, counted over all masks; ascending."""
        return self.starts + np.repeat(_bases(self.sizes), self.counts)

    @cached_property
    def _before(self) -> np.ndarray:
        """(k + 1,) int64: pixels of the runs before."""
        return np.append(0, np.cumsum(self.ends - self.starts))

    def minus(self, other: "Runs") -> "Runs":
        """Mask by mask the pixels that `other` has not."""
        return _combined(self, other, lambda own, its: own & ~its)

    def union(self, other: "Runs") -> "Runs":
        """Mask by mask the pixels of either."""
        return _combined(self, other, np.logical_or)

    def joined(self, counts: np.ndarray) -> "Runs":
        """The union of the first `counts[0]` masks, of the next `counts[1]`, …: as many masks as there are `counts`.

        Those of a group are of one size; a group of none is not allowed.
        """
        firsts = _offsets(counts)[:-1]
        sizes = self.sizes[firsts]
        group = np.repeat(np.arange(len(counts)), counts)
        base = np.repeat(_bases(sizes)[group], self.counts)
        times = np.concatenate([self.starts + base, self.ends + base])
        change = np.repeat([1, -1], len(self.starts))
        return _where(times, [change], sizes, lambda depth: depth > 0)


def as_sizes(sizes: np.ndarray) -> np.ndarray:
    """(i, 2) int64 heights and widths; `ValueError` where they are none or of too many pixels."""
    sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
    if len(sizes) and (
        sizes.min() < 0 or sizes.max() > MOST_PIXELS or sizes.prod(axis=1).max() > MOST_PIXELS
    ):
        wrong = sizes[((sizes < 0) | (sizes > MOST_PIXELS)).any(axis=1) | (sizes.prod(axis=1) > MOST_PIXELS)][
            0
        ]
        raise ValueError(f"a mask of {wrong[1]} x {wrong[0]} pixels; they may have {MOST_PIXELS:,}")
    return sizes


def _combined(one: Runs, other: Runs, rule: Rule) -> Runs:
    if not np.array_equal(one.sizes, other.sizes):
        raise ValueError(f"masks of other sizes: {len(one)} and {len(other)} masks must match one by one")
    base = _bases(one.sizes)
    of_one, of_other = np.repeat(base, one.counts), np.repeat(base, other.counts)
    times = np.concatenate(
        [one.starts + of_one, one.ends + of_one, other.starts + of_other, other.ends + of_other]
    )
    own = np.repeat([1, -1, 0, 0], [len(of_one)] * 2 + [len(of_other)] * 2)
    its = np.repeat([0, 0, 1, -1], [len(of_one)] * 2 + [len(of_other)] * 2)
    return _where(times, [own, its], one.sizes, lambda a, b: rule(a > 0, b > 0))


def _where(
    times: np.ndarray, changes: list[np.ndarray], sizes: np.ndarray, rule: Callable[..., np.ndarray]
) -> Runs:
    """The runs in which `rule` of the running sums of `changes`, which happen at `times`, is true."""
    order = np.argsort(times, kind="stable")
    times = times[order]
    is_last = np.append(times[1:] != times[:-1], np.ones(min(len(times), 1), bool))
    times = times[is_last]
    state = rule(*(np.cumsum(change[order])[is_last] for change in changes))
    is_toggle = np.diff(state, prepend=False)
    return Runs._from_keys(times[is_toggle], _bases(sizes), sizes)


def _bases(sizes: np.ndarray) -> np.ndarray:
    """(i,) int64: where each mask begins when all are counted through, with a gap so that no run touches the next mask's."""
    return _offsets(sizes.prod(axis=1) + 1)[:-1]


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.append(0, np.cumsum(counts)).astype(np.int64)


def _ranges(firsts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`firsts[0]`, `firsts[0] + 1`, …, `counts[0]` of them, then those of the next."""
    offsets = _offsets(counts)
    return np.arange(offsets[-1]) + np.repeat(firsts - offsets[:-1], counts)


def pieces(labels: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where each stretch of equal labels begins, and where the next does; nothing of none."""
    if not len(labels):
        return
    edges = np.flatnonzero(np.diff(labels)) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), len(labels)], strict=True)
