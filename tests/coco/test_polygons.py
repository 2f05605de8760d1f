"""Outlines: by hand, against the rule walked step by step, and against pycocotools where it is installed."""

import math
from itertools import pairwise

import numpy as np
import pytest

from gestalt3d.coco import polygons
from gestalt3d.coco.runs import Runs


def fill_polygons(outlines: list[np.ndarray], sizes: list[list[int]]) -> Runs:
    return polygons.fill_polygons(outlines, np.array(sizes, np.int64).reshape(-1, 2))


def walked(outline: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w) bool by the rule of the module, one fifth of a pixel after the other."""
    corners = [(math.trunc(5 * x + 0.5), math.trunc(5 * y + 0.5)) for x, y in outline.tolist()]
    flips = np.zeros((width, height + 1), int)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        is_flat = abs(x1 - x0) >= abs(y1 - y0)
        if (is_flat and x0 > x1) or (not is_flat and y0 > y1):
            x0, y0, x1, y1 = x1, y1, x0, y0
        steps = max(abs(x1 - x0), abs(y1 - y0))
        slope = ((y1 - y0) if is_flat else (x1 - x0)) / steps if steps else 0.0
        path = [
            (x0 + t, math.trunc(y0 + slope * t + 0.5))
            if is_flat
            else (math.trunc(x0 + slope * t + 0.5), y0 + t)
            for t in range(steps + 1)
        ]
        for (xa, ya), (xb, yb) in pairwise(path):
            column, rest = divmod(min(xa, xb) - 2, 5)
            if xa != xb and rest == 0 and 0 <= column < width:
                flips[column, min(max(math.ceil((min(ya, yb) - 2) / 5), 0), height)] += 1
    return (np.cumsum(flips, axis=1)[:, :height] % 2 == 1).T


def test_boxes_of_whole_pixels_are_exact() -> None:
    box = np.array([[1, 2], [4, 2], [4, 6], [1, 6]], float)
    mask = fill_polygons([box, box[::-1]], [[8, 5]] * 2)
    expected = np.zeros((8, 5), bool)
    expected[2:6, 1:4] = True
    assert (mask.mask(0) == expected).all() and (mask.mask(1) == expected).all()


def test_a_triangle_by_hand() -> None:
    """Column c has the pixels whose middle lies below the slanted side."""
    mask = fill_polygons([np.array([[0, 0], [4, 4], [0, 4]], float)], [[5, 5]])
    assert mask.mask(0).sum(axis=0).tolist() == [4, 3, 2, 1, 0]


def outlines(count: int, *, seed: int = 0) -> list[tuple[np.ndarray, int, int]]:
    """Outlines that cross themselves, and reach out of the image."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        height, width = rng.integers(1, 40, 2).tolist()
        corners = (rng.random((int(rng.integers(3, 9)), 2)) * 1.6 - 0.3) * [width, height]
        found.append(([corners, corners.round(), (2 * corners).round() / 2][i % 3], height, width))
    return found


def test_outlines_are_filled_by_the_rule() -> None:
    many = outlines(300)
    filled = fill_polygons([corners for corners, _, _ in many], [[h, w] for _, h, w in many])
    for i, (corners, height, width) in enumerate(many):
        assert (filled.mask(i) == walked(corners, height, width)).all(), corners


def test_outlines_are_filled_as_pycocotools_does() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    for corners, height, width in outlines(300, seed=1):
        (known,) = mask.frPyObjects([corners.ravel().tolist()], height, width)
        assert (fill_polygons([corners], [[height, width]]).mask(0) == mask.decode(known).astype(bool)).all()


def test_an_outline_around_the_image_fills_it_whatever_its_size() -> None:
    around = np.array([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]])
    beside = around / 1e6 + 50
    masks = fill_polygons([around, beside], [[9, 7]] * 2)
    assert masks.areas.tolist() == [63, 0]


def test_few_corners_have_no_area() -> None:
    masks = fill_polygons([np.zeros((0, 2)), np.array([[1, 1]]), np.array([[1, 1], [8, 8]])], [[9, 9]] * 3)
    assert masks.areas.tolist() == [0, 0, 0]
    assert len(fill_polygons([], [])) == 0


def test_batches_change_nothing(monkeypatch) -> None:
    many = outlines(30)
    given = [corners for corners, _, _ in many], [[h, w] for _, h, w in many]
    at_once = fill_polygons(*given)
    monkeypatch.setattr("gestalt3d.coco.polygons._AT_ONCE", 7)
    assert fill_polygons(*given) == at_once


@pytest.mark.parametrize("corner", [np.nan, np.inf, 2e6])
def test_corners_that_are_damage_are_refused(corner: float) -> None:
    with pytest.raises(ValueError, match="corner"):
        fill_polygons([np.array([[0, 0], [corner, 1], [2, 2]])], [[9, 9]])


def test_a_zigzag_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr("gestalt3d.coco.polygons._MOST_CROSSINGS", 100)
    zigzag = np.stack([np.arange(40) % 2 * 90.0, np.arange(40.0)], axis=1)
    with pytest.raises(ValueError, match="cross"):
        fill_polygons([zigzag], [[50, 100]])
