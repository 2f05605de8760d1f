"""Run lengths as COCO writes them: lists of numbers, and strings of them.

Lengths are of background and mask in turn, background first, and add up to the pixels of the image. In a string a length, from
the fourth on its difference to the last but one, is written in pieces of five bits, lowest first, each a character from "0" on:
32 more where another piece follows; the highest bit of the last piece is the sign.
"""

from collections.abc import Sequence

import numpy as np

from gestalt3d.coco.runs import Runs, as_sizes

_FIRST = ord("0")
_MORE, _SIGN, _BITS = 32, 16, 5
_LONGEST = 7
"""Characters of a number: 35 bits, more than any mask has pixels."""


class BadMask(ValueError):
    """A mask that is none; `row` is its position among those that were given."""

    def __init__(self, row: int, cause: str) -> None:
        super().__init__(f"mask {row}: {cause}")
        self.row, self.cause = row, cause


def from_counts(lengths: Sequence[np.ndarray], sizes: np.ndarray) -> Runs:
    """From a list of run lengths for each mask; `BadMask` where they do not fit the (i, 2) sizes."""
    amount = np.array([len(own) for own in lengths], np.int64)
    return _from_lengths(np.concatenate([np.zeros(0, np.int64), *lengths]), amount, as_sizes(sizes))


def from_strings(strings: Sequence[bytes], sizes: np.ndarray) -> Runs:
    """From COCO's string of each mask; `BadMask` where one is none or does not fit its (h, w) in `sizes`."""
    sizes = as_sizes(sizes)
    pieces = np.frombuffer(b"".join(strings), np.uint8) - np.uint8(_FIRST)  # wraps: others are above 63
    bounds = np.append(0, np.cumsum([len(one) for one in strings])).astype(np.int64)
    is_last = (pieces & _MORE) == 0
    whole = bounds[1:][np.diff(bounds) > 0] - 1
    if (wrong := np.flatnonzero(pieces >= 2 * _MORE)).size:
        raise BadMask(_row(bounds, wrong[0]), "its counts hold a character that COCO's strings do not have")
    if not is_last[whole].all():
        raise BadMask(_row(bounds, whole[~is_last[whole]][0]), "its counts are cut off")
    ends = np.flatnonzero(is_last)
    starts = np.append(0, ends + 1)[: len(ends)]
    count = ends - starts + 1
    if (wrong := np.flatnonzero(count > _LONGEST)).size:
        raise BadMask(_row(bounds, starts[wrong[0]]), "its counts hold a number that is too long")
    place = np.arange(len(pieces)) - np.repeat(starts, count)
    bits = (pieces & (_MORE - 1)).astype(np.int64) << (_BITS * place)
    numbers = np.add.reduceat(bits, starts) if len(starts) else np.zeros(0, np.int64)
    numbers -= np.where(pieces[ends] & _SIGN, np.int64(1) << (_BITS * count), 0)
    amount = np.diff(np.searchsorted(ends, bounds))
    return _from_lengths(_summed(numbers, amount), amount, sizes)


def to_strings(runs: Runs) -> list[bytes]:
    """COCO's string of each mask, byte for byte what pycocotools writes."""
    lengths, amount = _lengths(runs)
    place = _places(amount)
    two_back = np.append(np.zeros(min(len(lengths), 2), np.int64), lengths[:-2])
    left = np.where(place > 2, lengths - two_back, lengths)
    pieces, is_used = np.zeros((len(left), _LONGEST), np.uint8), np.zeros((len(left), _LONGEST), bool)
    is_open = np.ones(len(left), bool)
    for column in range(_LONGEST):
        piece = left & (_MORE - 1)
        left = left >> _BITS
        is_used[:, column] = is_open
        is_open = is_open & (left != np.where(piece & _SIGN, -1, 0))
        pieces[:, column] = piece + _FIRST + _MORE * is_open
    text = pieces[is_used].tobytes()
    ends = np.append(0, np.cumsum(is_used.sum(axis=1)))[np.append(0, np.cumsum(amount))]
    return [text[a:b] for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def to_counts(runs: Runs) -> list[list[int]]:
    """Run lengths of each mask, COCO's uncompressed form."""
    lengths, amount = _lengths(runs)
    return [own.tolist() for own in np.split(lengths, np.cumsum(amount)[:-1])] if len(amount) else []


def _from_lengths(lengths: np.ndarray, amount: np.ndarray, sizes: np.ndarray) -> Runs:
    bounds = np.append(0, np.cumsum(amount)).astype(np.int64)
    if (wrong := np.flatnonzero(lengths < 0)).size:
        raise BadMask(_row(bounds, wrong[0]), "it has a run of negative length")
    total = np.append(0, np.cumsum(lengths))
    pixels = sizes.prod(axis=1)
    covered = np.diff(total[bounds])
    if (wrong := np.flatnonzero(covered != pixels)).size:
        row = int(wrong[0])
        height, width = sizes[row].tolist()
        raise BadMask(
            row, f"its runs cover {covered[row]:,} pixels, its size {width} x {height} has {pixels[row]:,}"
        )
    toggles = total[1:] - np.repeat(total[bounds[:-1]], amount)
    # The last run reaches the end of the image: one of background ends nothing.
    is_kept = _places(amount) < np.repeat(amount // 2 * 2, amount)
    return Runs.from_toggles(amount // 2 * 2, toggles[is_kept], sizes)


def _lengths(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Run lengths of all masks, and how many each has."""
    pixels = runs.sizes.prod(axis=1)
    last = np.zeros(len(runs), np.int64)
    has = runs.counts > 0
    last[has] = runs.ends[runs.offsets[1:][has] - 1]
    amount = 2 * runs.counts + (last < pixels) + ((pixels == 0) & ~has)
    bounds = np.append(0, np.cumsum(amount)).astype(np.int64)
    edges = np.repeat(pixels, amount)
    at = np.repeat(bounds[:-1], runs.counts) + 2 * _places(runs.counts)
    edges[at], edges[at + 1] = runs.starts, runs.ends
    lengths = np.diff(edges, prepend=0)
    lengths[bounds[:-1]] = edges[bounds[:-1]]
    return lengths, amount


def _summed(numbers: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Lengths of the numbers of strings: from the fourth on of each mask, the last but one is added."""
    place = _places(amount)
    out = numbers.copy()
    for chain, count in (
        (place % 2 == 1, amount // 2),
        ((place % 2 == 0) & (place > 0), np.maximum(amount - 1, 0) // 2),
    ):
        sums = np.cumsum(numbers[chain])
        first = np.repeat(np.cumsum(count) - count, count)
        out[chain] = sums - np.append(0, sums)[first]
    return out


def _places(amount: np.ndarray) -> np.ndarray:
    """0, 1, … within each mask."""
    starts = np.append(0, np.cumsum(amount))[:-1]
    return np.arange(int(amount.sum())) - np.repeat(starts, amount)


def _row(bounds: np.ndarray, at: np.integer | np.ndarray) -> int:
    return int(np.searchsorted(bounds, at, side="right")) - 1
