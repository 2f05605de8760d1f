"""COCO's strings: by hand, round trips, and against pycocotools where it is installed."""

import numpy as np
import pytest

from gestalt3d.coco.runs import Runs
from gestalt3d.coco.strings import BadMask, from_counts, from_strings, to_counts, to_strings
from tests.coco.test_runs import drawn


@pytest.mark.parametrize(
    ("counts", "size", "text"),
    [
        ([2, 2], (2, 2), b"22"),
        ([4], (2, 2), b"4"),
        ([0, 4], (2, 2), b"04"),
        # 16 needs a second piece, for its highest bit would be the sign.
        ([16, 4], (4, 5), b"`04"),
        # From the fourth on differences: 3 - 2, 1 - 3.
        ([1, 2, 3, 3, 1], (2, 5), b"1231N"),
        # 700 = 28 + 21 * 32.
        ([700, 2], (26, 27), b"le02"),
    ],
)
def test_strings_by_hand(counts: list[int], size: tuple[int, int], text: bytes) -> None:
    runs = from_counts([np.array(counts)], np.array([size]))
    assert to_strings(runs) == [text] and to_counts(runs) == [counts]
    assert from_strings([text], np.array([size])) == runs
    expected = np.repeat(np.arange(len(counts)) % 2, counts).reshape(size[1], size[0]).T
    assert (runs.mask(0) == expected).all()


def test_masks_come_back_from_strings() -> None:
    masks = [*drawn(0, 40), *drawn(1, 40, height=300, width=200), *drawn(2, 3, height=1, width=1)]
    runs = Runs.from_masks(masks)
    assert from_strings(to_strings(runs), runs.sizes) == runs
    assert from_counts([np.array(own) for own in to_counts(runs)], runs.sizes) == runs
    assert to_strings(Runs.from_masks([])) == [] and to_counts(Runs.from_masks([])) == []


def test_strings_are_pycocotools_own() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    masks = drawn(3, 60, height=40, width=70)
    known = [mask.encode(np.asfortranarray(m.astype(np.uint8))) for m in masks]
    assert to_strings(Runs.from_masks(masks)) == [one["counts"] for one in known]


def test_runs_of_no_length_are_nothing() -> None:
    runs = from_counts([np.array([0, 0, 1, 2, 0, 1, 0])], np.array([[2, 2]]))
    assert (runs.starts.tolist(), runs.ends.tolist()) == ([1], [4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"21", "cover 3 pixels, its size 2 x 2 has 4"),
        (b"", "cover 0 pixels"),
        (b"23", "cover 5 pixels"),
        (b"2\x20", "character"),
        (b"2z", "character"),
        (b"2P", "cut off"),
        (b"oooooooooo0", "too long"),
        (b"3N3", "negative"),
    ],
)
def test_strings_that_are_none_are_named(text: bytes, message: str) -> None:
    with pytest.raises(BadMask, match=message) as error:
        from_strings([b"22", text], np.array([[2, 2], [2, 2]]))
    assert error.value.row == 1


def test_a_string_may_not_lend_its_end_to_the_next() -> None:
    with pytest.raises(BadMask, match="cut off") as error:
        from_strings([b"2P", b"022"], np.array([[2, 2], [2, 2]]))
    assert error.value.row == 0
