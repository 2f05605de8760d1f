"""Upright boxes: overlap against counting, clipping by another library and cases that others got wrong; average precision."""

from math import pi

import numpy as np
import pytest

from gestalt3d.metrics.boxes3d import box_average_precision, box_iou, box_pairs, inside_box

OCTAGON = 8 * (2**0.5 - 1)
"""Area that two squares of side 2 have in common when one is turned by 45 degrees."""


def random_boxes(rng: np.random.Generator, count: int, *, spread: float = 1.0) -> np.ndarray:
    return np.column_stack(
        [
            rng.uniform(-spread, spread, (count, 3)),
            rng.uniform(0.2, 2.5, (count, 3)),
            rng.uniform(-2 * pi, 2 * pi, count),
        ]
    )


def test_iou_is_that_of_counted_points() -> None:
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 12), random_boxes(rng, 12)
    points = rng.uniform(-3.5, 3.5, (400_000, 3))
    of_a = np.array([inside_box(points, box) for box in a])
    of_b = np.array([inside_box(points, box) for box in b])
    common = (of_a[:, None] & of_b[None]).sum(axis=2)
    union = (of_a[:, None] | of_b[None]).sum(axis=2)
    # A share s of k points is off by sqrt(s (1 - s) / k) in a standard deviation; five of them for 144 pairs.
    margin = 5 * np.sqrt(0.25 / union.min())
    found = box_iou(a, b)
    assert np.abs(found - common / union).max() < margin
    assert (found > 0).sum() > 50 and found.max() > 0.2


def test_iou_is_that_of_polygons_cut_by_shapely() -> None:
    shapely = pytest.importorskip("shapely")
    rng = np.random.default_rng(1)
    a, b = random_boxes(rng, 40), random_boxes(rng, 40)

    def footprint(box: np.ndarray):
        c, s = np.cos(box[6]), np.sin(box[6])
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2 * box[3:5]
        return shapely.Polygon(corners @ np.array([[c, s], [-s, c]]) + box[:2])

    for i, one in enumerate(a):
        for j, other in enumerate(b):
            low = max(one[2] - one[5] / 2, other[2] - other[5] / 2)
            high = min(one[2] + one[5] / 2, other[2] + other[5] / 2)
            common = footprint(one).intersection(footprint(other)).area * max(high - low, 0)
            wanted = common / (one[3:6].prod() + other[3:6].prod() - common)
            assert box_iou(one[None], other[None])[0, 0] == pytest.approx(wanted, abs=1e-12), (i, j)


def test_a_box_is_itself_wherever_it_stands() -> None:
    rng = np.random.default_rng(2)
    boxes = random_boxes(rng, 200, spread=5)
    for shift in (0.0, 1e3, 1e6, 4e8):  # pytorch3d#1082: large coordinates
        moved = boxes + shift * np.array([1, -1, 1, 0, 0, 0, 0])
        assert (np.diagonal(box_iou(moved, moved)) == 1).all()
    flat = boxes * np.array([1, 1, 1, 1, 1, 1e-6, 1])
    assert (np.diagonal(box_iou(flat, flat)) == 1).all()


def test_no_two_boxes_overlap_by_more_than_all() -> None:
    """pytorch3d#992, #1148: above 1, or .23 to .5 for a box with itself, where sides lie in one plane or nearly so."""
    rng = np.random.default_rng(3)
    boxes = random_boxes(rng, 200)
    almost = boxes + rng.normal(0, 1e-15, boxes.shape)
    quarter = boxes[:, [0, 1, 2, 4, 3, 5, 6]] + np.array([0, 0, 0, 0, 0, 0, pi / 2])
    half = boxes + np.array([0, 0, 0, 0, 0, 0, pi])
    for same in (almost, quarter, half, boxes + np.array([0, 0, 0, 0, 0, 0, 8 * pi])):
        found = box_iou(boxes, same)
        assert found.max() <= 1
        np.testing.assert_allclose(np.diagonal(found), 1, atol=1e-12)
    np.testing.assert_allclose(box_iou(boxes, boxes), box_iou(boxes, boxes).T, atol=1e-12)


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        ((0, 0, 0, 2, 2, 2, pi / 4), OCTAGON / (8 - OCTAGON)),
        ((0, 0, 0, 1, 1, 1, 0.3), 1 / 8),
        ((1, 0, 0, 2, 2, 2, 0), 1 / 3),
        ((2, 0, 0, 2, 2, 2, 0), 0),
        ((0, 0, 2, 2, 2, 2, 0.4), 0),
        ((0, 0, 1, 2, 2, 2, pi), 1 / 3),
        ((0, 0, 0, 2, 2, 0, 0), 0),
        ((50, 0, 0, 2, 2, 2, 0), 0),
        ((0, 0, 0, 0.1, 4, 2, pi / 2), 0.4 / 8.4),  # its long side lies along x, and half of it inside
    ],
)
def test_iou_by_hand(other: tuple[float, ...], wanted: float) -> None:
    cube = np.array([[0, 0, 0, 2, 2, 2, 0.0]])
    boxes = np.array([other], np.float64)
    assert box_iou(cube, boxes)[0, 0] == pytest.approx(wanted, abs=1e-12)
    assert box_iou(boxes, cube)[0, 0] == pytest.approx(wanted, abs=1e-12)


def test_iou_does_not_change_when_the_world_turns() -> None:
    rng = np.random.default_rng(4)
    a, b = random_boxes(rng, 50), random_boxes(rng, 50)
    angle, shift = 0.7, np.array([3.0, -2.0, 1.0])

    def moved(boxes: np.ndarray) -> np.ndarray:
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        return np.column_stack([boxes[:, :3] @ turn.T + shift, boxes[:, 3:6], boxes[:, 6] + angle])

    np.testing.assert_allclose(box_iou(moved(a), moved(b)), box_iou(a, b), atol=1e-12)


def test_empty_and_bad_boxes() -> None:
    none, one = np.zeros((0, 7)), np.ones((1, 7))
    assert box_iou(none, one).shape == (0, 1) and box_iou(one, none).shape == (1, 0)
    for bad, said in ((one * np.nan, "finite"), (one * -1, "negative")):
        with pytest.raises(ValueError, match=said):
            box_iou(one, bad)


def cube(x: float) -> list[float]:
    return [x, 0, 0, 1, 1, 1, 0]


def frame(found: list[tuple[int, float, float]], true: list[tuple[int, float]]):
    """Unit cubes along x: class, score and place of what was found, class and place of what is there."""
    return box_pairs(
        np.array([cube(x) for _, _, x in found], np.float64).reshape(-1, 7),
        np.array([c for c, _, _ in found], np.int64),
        np.array([s for _, s, _ in found], np.float64),
        np.array([cube(x) for _, x in true], np.float64).reshape(-1, 7),
        np.array([c for c, _ in true], np.int64),
    )


def test_average_precision_by_hand() -> None:
    # By score: right, wrong, right of three truths; precision 1, 1/2, 2/3 made to fall is 1, 2/3, 2/3.
    frames = [frame([(0, 0.9, 0), (0, 0.8, 9)], [(0, 0), (0, 20)]), frame([(0, 0.7, 5.1)], [(0, 5)])]
    found = box_average_precision(frames, classes=[0, 1])
    assert found.per_class[0] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert found.recall[0] == pytest.approx(2 / 3)
    assert np.isnan(found.per_class[1]) and found.mean == found.per_class[0]


def test_each_truth_counts_once_and_takes_the_best_scored() -> None:
    twice = [frame([(0, 0.5, 0), (0, 0.9, 0.3)], [(0, 0)])]
    assert box_average_precision(twice, classes=[0]).mean == 1  # the second point is after full recall
    swapped = [frame([(0, 0.9, 0.55), (0, 0.5, 0)], [(0, 0), (0, 1)])]
    # The first reaches both truths and takes the nearer one; the other is left for the second.
    found = box_average_precision(swapped, classes=[0], threshold=0.25)
    assert found.mean == 1 and found.mean_recall == 1


def test_iou_of_exactly_the_threshold_is_enough() -> None:
    shifted = frame([(0, 1.0, 0.5)], [(0, 0)])
    assert shifted.iou[0, 0] == pytest.approx(1 / 3)
    assert box_average_precision([shifted], classes=[0], threshold=float(shifted.iou[0, 0])).mean == 1
    assert box_average_precision([shifted], classes=[0], threshold=0.34).mean == 0


def test_classes_must_agree_unless_they_do_not_count() -> None:
    wrong = [frame([(1, 0.9, 0), (0, 0.8, 5)], [(0, 0), (-1, 5)])]
    found = box_average_precision(wrong, classes=[0, 1])
    assert found.per_class[0] == 0 and np.isnan(found.per_class[1])
    assert box_average_precision(wrong, classes=[0, 1], class_agnostic=True).mean == 1


def test_neither_frames_nor_equal_scores_have_an_order() -> None:
    rng = np.random.default_rng(5)
    frames = [
        frame(
            [(0, float(rng.integers(3)) / 3, float(rng.uniform(0, 6))) for _ in range(6)],
            [(0, float(x)) for x in rng.uniform(0, 6, 3)],
        )
        for _ in range(8)
    ]
    wanted = box_average_precision(frames, classes=[0]).mean
    assert 0 < wanted < 1
    assert box_average_precision(frames[::-1], classes=[0]).mean == wanted


def test_nothing_found_nothing_there() -> None:
    assert box_average_precision([frame([], [(0, 1)])], classes=[0]).mean == 0
    assert np.isnan(box_average_precision([frame([(0, 1.0, 1)], [])], classes=[0]).mean)
    assert np.isnan(box_average_precision([], classes=[0]).mean)
    with pytest.raises(ValueError, match="threshold"):
        box_average_precision([frame([], [])], classes=[0], threshold=0.0)
