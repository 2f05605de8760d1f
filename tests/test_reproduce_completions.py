"""Tables of A3D: rows that are given the same, and figures that are perfect where the truth answers."""

from dataclasses import replace
from typing import Any

import pytest

from gestalt3d import reproduce
from gestalt3d.data import open_data
from gestalt3d.engine.model import Model, load
from gestalt3d.methods.a3d import A3D, A3DConfig
from gestalt3d.methods.mask_rcnn import MaskRCNNConfig
from gestalt3d.reproduce import a3d_rows, completions
from gestalt3d.structures.vocabulary import SHAPENET13
from tests.methods import test_a3d


class Few:
    """The first pictures of the test, one of each category."""

    def __init__(self) -> None:
        self.names, self.samples = [], []
        pictures = open_data("objects:test", limit=13)
        self.names, self.samples = pictures.names, [pictures[i] for i in range(13)]

    def __len__(self) -> int:
        return 13

    def __getitem__(self, i: int) -> Any:
        return self.samples[i]


@pytest.fixture(scope="module")
def few() -> Few:
    return Few()


def _told(model: Any, few: Few) -> Any:
    return completions.measure(model, few, lambda *_: None)  # pyright: ignore[reportArgumentType]


def test_rules_are_between_nothing_and_everything(few: Few) -> None:
    """Every category has one object; what is visible is most of it, and nothing of what is hidden."""
    found = _told(load("visible-masks"), few)
    assert set(reproduce.TABLES["a3d-table1"].columns) <= set(found.values)
    assert found.values["hidden mIoU"] == 0.0
    assert 40 < found.values["mIoU"] < 95
    assert found.values["mIoU"] == pytest.approx(sum(found.values[name] for name in SHAPENET13.names) / 13)
    assert found.num_true == dict.fromkeys(SHAPENET13.names, 1)
    hulls = _told(load("convex-hulls"), few)
    assert hulls.values["hidden mIoU"] > 10
    assert len(hulls.left_out["mIoU"]) == 13


def test_viewpoints_of_the_comparison_are_those_of_training(few: Few) -> None:
    seen = open_data(completions.SEEN, limit=13)
    trained = {open_data("objects:train", limit=200)[i].viewpoint.index for i in range(0, 200, 13)}
    assert {s.viewpoint.index for s in few.samples}.isdisjoint(trained)
    assert {seen[i].viewpoint.index for i in range(0, 13, 4)} & trained


def test_rows_differ_in_what_their_labels_say() -> None:
    base = a3d_rows.ROWS["a3d-table"]
    assert isinstance(base, A3DConfig)
    assert a3d_rows.ROWS["a3d-table-no-cross-view"] == replace(base, cross_view=False)
    assert a3d_rows.ROWS["a3d-table-one-azimuth"] == replace(base, azimuths=1)
    heads = [a3d_rows.ROWS[f"{name}-objects"] for name in ("mask-rcnn", "orcnn", "bcnet", "shapedict")]
    assert all(isinstance(one, MaskRCNNConfig) for one in heads)
    assert len({replace(one, head="mask") for one in heads if isinstance(one, MaskRCNNConfig)}) == 1


def test_every_row_sees_as_many_pictures() -> None:
    for key in a3d_rows.ROWS:
        made = a3d_rows.row(key, steps=5, seed=1)
        pairs = isinstance(made.model, A3DConfig) and made.model.cross_view
        assert made.scans_per_step * (2 if pairs else 1) == 32
        assert (made.optim.steps, made.seed, made.data) == (5, 1, "objects:train")


def test_silhouettes_alone_are_answered_without_refinement(few: Few) -> None:
    method = A3D(replace(test_a3d.SMALL, keep_visible=False), SHAPENET13).eval()
    with_edges = _told(Model("small", method), few).values["mIoU"]
    alone = a3d_rows.silhouettes_alone(Model("small", method))
    assert alone.method.refinement.convs is None  # pyright: ignore[reportAttributeAccessIssue]
    assert _told(alone, few).values["mIoU"] != with_edges
