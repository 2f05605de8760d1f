"""Tables of A3D: rows that are given the same, and figures that are perfect where the truth answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gestalt3d import reproduce
from gestalt3d.data import open_data
from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model, load
from gestalt3d.errors import UserError
from gestalt3d.methods.a3d import A3D, A3DConfig
from gestalt3d.methods.mask_rcnn import MaskRCNN, MaskRCNNConfig
from gestalt3d.methods.pcnet import PCNetConfig
from gestalt3d.reproduce import a3d_rows, completions, run
from gestalt3d.reproduce.network_costs import cost
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


def test_rows_of_photos_differ_in_method_and_start_alone() -> None:
    """Every training of Tables 2 and 3 sees as many photos; those that it goes on from saw a part of the single objects."""
    for name in ("a3d-table2", "a3d-table3"):
        for row in reproduce.TABLES[name].rows:
            if row.untrained is not None:
                continue
            made = a3d_rows.row_of_photos(row.key, steps=7, seed=1)
            assert (made.data, made.scans_per_step, made.optim.steps, made.count) == (
                "photos:train",
                6,
                7,
                None,
            )
            assert made.optim == a3d_rows.row_of_photos("a3d-photos-none", steps=7, seed=1).optim
            assert (row.start is None) == row.key.endswith("-none")
            if row.start is None:
                continue
            before = a3d_rows.row_of_photos(row.start, steps=7, seed=1)
            part = {"few": 8_775, "all": 35_100}[row.start.rpartition("-")[2]]
            assert (before.data, before.count, type(before.model)) == (
                "objects:train",
                part,
                type(made.model),
            )
    with pytest.raises(UserError, match="no row 'a3d-photos-some'"):
        a3d_rows.row_of_photos("a3d-photos-some", steps=None, seed=0)


def test_a_row_that_says_how_many_scans_it_learns_from_gets_them(tmp_path: Path) -> None:
    """What a training goes on from has its own number; the table's is for those that say none."""
    table = reproduce.TABLES["a3d-table3"]
    tiny = replace(a3d_rows.row_of_photos("pcnet-few", steps=1, seed=0), count=13)
    table = replace(table, setting=replace(table.setting, recipe=lambda *_: tiny))
    run._trained_by_key(table, "pcnet-few", (), 0, tmp_path, table.setting.quick, "cpu", lambda *_: None)  # pyright: ignore[reportPrivateUsage]
    recipe = checkpoint.read(tmp_path / "pcnet-few-seed0" / "last.safetensors").about["recipe"]
    assert recipe["count"] == 13 != table.setting.quick.train


def test_costs_are_those_of_the_layers() -> None:
    """PCNet-M completes ten crops, each by 3 x 3 convolutions whose products can be counted by hand."""
    config = PCNetConfig(side=16, widths=(4,))
    found = cost(config, SHAPENET13, (100, 40))
    network = 2 * (3 * 3) * (2 * 4 + 4 * 4) * 16 * 16 + 2 * 4 * 2 * 16 * 16
    # Neighbours are looked at in pairs for the order, which adds two crops for each of nine pairs.
    assert found.flops in (network * (18 + hidden) for hidden in range(11))
    assert found.parameters == 9 * (2 * 4 + 4 * 4) + 2 * 4 * 2 + 4 * 2 + 2
    assert cost(load("convex-hulls").method.config, SHAPENET13, (100, 40)) == (0, 0)


def test_photos_are_measured_with_what_one_finder_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row completes the same masks for mAP: with a finder that finds nothing, it is 0, whatever IoU says."""
    finder = MaskRCNNConfig(
        levels="mobilenetv2", width=8, shorter=64, longer=64, box_hidden=8, mask_width=8, mask_layers=1,
        masks="visible", min_score=1.0,
    )  # fmt: skip
    method, rule = MaskRCNN.from_config(finder, SHAPENET13).eval(), load("convex-hulls")
    monkeypatch.setattr("gestalt3d.engine.model.load", lambda name: Model(name, method))
    photos: Any = open_data("photos:test", limit=2)
    found = completions.measure_photos(rule, photos, lambda *_: None)
    assert found.values["mAP"] == 0.0 and (found.values["mIoU"] or 0) > 20
    assert found.values["parameters (M)"] == sum(p.numel() for p in method.parameters()) / 1e6
    assert set(found.values) == set(reproduce.TABLES["a3d-table2"].columns)
