"""Results on paper: JSON without NaN, tables that line up."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.errors import UserError
from gestalt3d.metrics.evaluator import CloudEvaluator
from gestalt3d.metrics.report import class_table, meanings, percent, text_table, write_json
from gestalt3d.structures.vocabulary import S3DIS

_PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_json_holds_null_for_undefined(tmp_path) -> None:
    data = {
        "a": float("nan"),
        "b": [1, np.float64(0.5), np.int64(3)],
        "c": np.array([1.0, np.inf]),
        "d": None,
        "e": tmp_path,
    }
    write_json(tmp_path / "out.json", data)
    expected = {"a": None, "b": [1, 0.5, 3], "c": [1.0, None], "d": None, "e": str(tmp_path)}
    assert json.loads((tmp_path / "out.json").read_text()) == expected


def test_json_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch) -> None:
    with pytest.raises(UserError, match=r"out\.json: cannot be written \(No such file or directory\)"):
        write_json(tmp_path / "none" / "out.json", {})
    (tmp_path / "out.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_json(tmp_path / "out.json", {})
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_percent_scales_fractions_and_leaves_counts() -> None:
    assert percent({"AP": 0.25, "n": 3, "none": None, "in": {"IoU": 1.0}}) == {
        "AP": 25.0,
        "n": 3,
        "none": None,
        "in": {"IoU": 100.0},
    }


def test_table_lines_up() -> None:
    table = text_table(
        ["class", "AP", "n"], [["chair", 33.333, 12], ["bathtub", None, 0], ["x", math.nan, 5]]
    )
    assert table.splitlines() == [
        "class      AP   n",
        "-------  ----  --",
        "chair    33.3  12",
        "bathtub     –   0",
        "x           –   5",
    ]


def test_class_table_ends_with_the_means() -> None:
    scores = {"AP": 0.5, "AP50": None, "per_class": {"chair": {"AP": 0.5, "AP50": None}}}
    assert class_table(scores, scale=100.0) == (
        ["class", "AP", "AP50"],
        [["chair", 50.0, None], ["mean", 50.0, None]],
    )
    rooms = {"mCov": None, "nan_skipped": {"mCov": 0.25}, "per_class": {"wall": {"Cov": 0.25, "n_gt": 2}}}
    assert class_table(rooms)[1] == [["wall", 0.25, 2], ["mean", 0.25, None]]
    assert class_table({"mIoU": 0.5, "per_class": {"wall": 0.5}})[1] == [["wall", 0.5], ["mean", 0.5]]


def test_every_metric_is_said_in_a_line_and_on_the_page_of_metrics() -> None:
    pooled = CloudEvaluator(S3DIS).results()["pooled"]
    metrics = {key for key, value in pooled.items() if not isinstance(value, dict)} | {"n_gt", "n_pred"}
    page = _PAGE.read_text(encoding="utf-8")
    for name in metrics:
        assert len(meanings({name})) == 1, name
        assert f"`{name}`" in page, name
    assert all(len(line) <= 130 for line in meanings(metrics))


def test_only_the_metrics_shown_are_explained() -> None:
    assert meanings({"mIoU", "room", "per_class"}) == ["mIoU: mean IoU of the classes"]
