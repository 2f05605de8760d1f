"""Completions by the share of the surface that is hidden."""

import pytest

from gestalt3d.metrics.completion import Completed, Completion, by_hidden_share


def row(hidden: float, *figures: float) -> Completed:
    made = {"answer": Completion(*figures)} if figures else {}
    return Completed(0, 0 if figures else -1, hidden, 1.0, made)


def test_objects_count_in_the_range_of_their_hidden_share() -> None:
    rows = [row(0.0, 1, 2, 0.5), row(0.2), row(0.25, 3, 4, 0.1), row(0.3, 5, 8, 0.3), row(1.0)]
    table = by_hidden_share(rows)
    assert [entry["hidden"] for entry in table] == [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1), (0, 1)]
    assert [entry["objects"] for entry in table] == [2, 2, 0, 1, 5]
    assert [entry["found"] for entry in table] == [1, 2, 0, 0, 3]
    assert table[0]["answer"] == {"chamfer_m": 1, "chamfer": 2, "box_iou": 0.5}
    assert table[1]["answer"] == pytest.approx({"chamfer_m": 4, "chamfer": 6, "box_iou": 0.2})
    assert table[2]["answer"] == table[3]["answer"] == {"chamfer_m": None, "chamfer": None, "box_iou": None}
    assert table[4]["answer"] == pytest.approx({"chamfer_m": 3, "chamfer": 14 / 3, "box_iou": 0.3})


def test_nothing_found_and_nothing_there() -> None:
    assert [entry["objects"] for entry in by_hidden_share([])] == [0] * 5
    assert by_hidden_share([row(0.6)])[2] == {"hidden": (0.5, 0.75), "objects": 1, "found": 0}


def test_edges_are_checked() -> None:
    assert len(by_hidden_share([row(0.5)], edges=())) == 2
    for edges in ((0.5, 0.25), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)):
        with pytest.raises(ValueError, match="rise between 0 and 1"):
            by_hidden_share([], edges=edges)
