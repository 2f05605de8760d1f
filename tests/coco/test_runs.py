"""Masks as runs: every computation gives what the same computation on pixels gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.coco.runs import MOST_PIXELS, Runs


def drawn(seed: int, count: int, *, height: int = 7, width: int = 5) -> list[np.ndarray]:
    """Masks of all densities, empty and full among them."""
    rng = np.random.default_rng(seed)
    return [rng.random((height, width)) < p for p in rng.choice([0, 0.2, 0.5, 0.9, 1], count)]


@given(st.integers(0, 10**6))
def test_pixels_come_back(seed: int) -> None:
    masks = drawn(seed, 6)
    runs = Runs.from_masks(masks)
    assert len(runs) == 6 and all((runs.mask(i) == mask).all() for i, mask in enumerate(masks))
    assert all((runs.pixels(i) == np.flatnonzero(mask)).all() for i, mask in enumerate(masks))
    pixels = [runs.pixels(i) for i in range(6)]
    assert Runs.from_pixels(runs.areas, np.concatenate(pixels), (7, 5)) == runs
    assert runs.areas.tolist() == [mask.sum() for mask in masks]
    assert (runs.starts < runs.ends).all()


@given(st.integers(0, 10**6))
def test_boxes_are_those_of_the_pixels(seed: int) -> None:
    masks = drawn(seed, 5)
    for box, mask in zip(Runs.from_masks(masks).boxes.tolist(), masks, strict=True):
        rows, columns = np.nonzero(mask)
        known = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0, 0, 0, 0]
        assert box == known


@given(st.integers(0, 10**6))
def test_sets_are_those_of_the_pixels(seed: int) -> None:
    one, other = drawn(seed, 6), drawn(seed + 1, 6)
    a, b = Runs.from_masks(one), Runs.from_masks(other)
    pairs = list(zip(one, other, strict=True))
    assert a.minus(b) == Runs.from_masks([x & ~y for x, y in pairs])
    assert a.union(b) == Runs.from_masks([x | y for x, y in pairs])
    assert a.joined(np.array([2, 4])) == Runs.from_masks([np.any(one[:2], axis=0), np.any(one[2:], axis=0)])
    rows, columns = np.divmod(np.arange(36), 6)
    assert a.common(rows, b, columns).tolist() == [
        (one[i] & other[j]).sum() for i, j in zip(rows, columns, strict=True)
    ]


def test_what_is_shared_is_counted_in_passes(monkeypatch) -> None:
    monkeypatch.setattr("gestalt3d.coco.runs._AT_ONCE", 3)
    masks = drawn(5, 8)
    runs = Runs.from_masks(masks)
    every = np.arange(8)
    assert runs.common(every, runs, every[::-1]).tolist() == [
        (a & b).sum() for a, b in zip(masks, masks[::-1], strict=True)
    ]


def test_masks_of_different_sizes_stand_beside_each_other() -> None:
    masks = [np.ones((2, 3)), np.zeros((4, 1)), np.ones((1, 1))]
    runs = Runs.from_masks(masks)
    assert runs.sizes.tolist() == [[2, 3], [4, 1], [1, 1]] and runs.areas.tolist() == [6, 0, 1]
    assert Runs.cat([runs.take(np.array([2])), runs.take(np.array([0, 1]))]) == runs.take(np.array([2, 0, 1]))


def test_none_is_allowed() -> None:
    none = Runs.from_masks([])
    nothing = np.zeros(0, np.int64)
    assert len(none) == 0 and none.boxes.shape == (0, 4) and none.areas.tolist() == []
    assert none.minus(none) == none and len(none.common(nothing, none, nothing)) == 0
    assert Runs.empty(np.array([[3, 4]])).areas.tolist() == [0]


def test_toggles_that_meet_cancel() -> None:
    runs = Runs.from_toggles(np.array([6]), np.array([0, 0, 2, 4, 4, 6]), np.array([[3, 2]]))
    assert (runs.starts.tolist(), runs.ends.tolist()) == ([2], [6])


def test_sizes_are_bounded() -> None:
    with pytest.raises(ValueError, match="may have"):
        Runs.empty(np.array([[MOST_PIXELS, 2]]))
    with pytest.raises(ValueError, match="match one by one"):
        Runs.empty(np.array([[3, 4]])).minus(Runs.empty(np.array([[4, 3]])))
