"""Results as dicts, and their figures in words."""

from pathlib import Path

from gestalt3d.metrics.evaluator import CloudEvaluator
from gestalt3d.metrics.report import meanings, percent
from gestalt3d.structures.vocabulary import S3DIS

_PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_percent_scales_fractions_and_leaves_counts() -> None:
    assert percent({"AP": 0.25, "n": 3, "none": None, "in": {"IoU": 1.0}}) == {
        "AP": 25.0,
        "n": 3,
        "none": None,
        "in": {"IoU": 100.0},
    }


def test_every_metric_is_said_in_a_line_and_on_the_page_of_metrics() -> None:
    pooled = CloudEvaluator(S3DIS).results()["pooled"]
    metrics = {key for key, value in pooled.items() if not isinstance(value, dict)} | {"n_gt", "n_pred"}
    metrics |= {"mAP", "shape_mAP", "shape_mIoU"}  # of parts
    page = _PAGE.read_text(encoding="utf-8")
    for name in metrics:
        assert len(meanings({name})) == 1, name
        assert f"`{name}`" in page, name
    assert all(len(line) <= 130 for line in meanings(metrics))


def test_only_the_metrics_shown_are_explained() -> None:
    assert meanings({"mIoU", "room", "per_class"}) == ["mIoU: mean IoU of the classes"]
