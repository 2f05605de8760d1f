"""The figures of GSPN's tables of proposals: what a perfect network gets, and rows that differ in what they say."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from gestalt3d.data.completion import ANSWER, TO_GROUND, VISIBLE
from gestalt3d.data.parts import Parts
from gestalt3d.data.rooms import Rooms
from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.gspn import GSPN, Prediction
from gestalt3d.methods.regions.proposals import Made
from gestalt3d.methods.regions.scene import Batch
from gestalt3d.methods.rpointnet import RPointNetConfig
from gestalt3d.recipes.gspn import gspn_rooms, rpointnet_rooms
from gestalt3d.reproduce import TABLES, whole
from gestalt3d.reproduce.gspn_rows import ALONE, PRETRAINING, ROWS, alone_row, heads_row, parts_row, row
from gestalt3d.reproduce.proposals import measure, proposal_quality
from gestalt3d.reproduce.run import one_run
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.methods.test_gspn import SMALL
from tests.scenes import tiny_scan


class _Exact(GSPN):
    """Proposes the objects themselves, `grown` times as large; it peeks at the truth that `proposal_quality` hides."""

    grown = 1.0
    truth: Batch

    def batch_of(self, *given: Any) -> Batch:
        self.truth = super().batch_of(*given)
        return self.truth

    def forward(self, batch: Batch) -> Prediction:
        assert (
            not len(batch.shapes)
            and bool((batch.owner == -2).all())
            and bool((batch.owner_of_points == -2).all())
        )
        owner = self.truth.object_of_seed
        # The last row is for seeds of no object.
        shape = torch.cat([self.truth.shapes, torch.zeros(1, 512, 3)])[owner.clamp(min=-1)] * self.grown
        center = torch.cat([self.truth.boxes, torch.zeros(1, 6)])[owner.clamp(min=-1), :3]
        nothing = torch.zeros(*owner.shape, 1)
        made = Made(shape, torch.full(shape.shape[:3], 9.0))
        return Prediction(center, nothing[..., 0], center, nothing, nothing[..., 0], made)


def exact(grown: float) -> _Exact:
    from gestalt3d.methods.gspn import GSPNConfig

    method = _Exact(GSPNConfig(**SMALL), S3DIS)
    method.grown = grown
    return method


def test_the_objects_themselves_are_perfect_and_larger_ones_as_good_as_their_overlap() -> None:
    found = proposal_quality(exact(1.0), tiny_scan())
    assert 0 < len(found.iou) < SMALL["seeds"]
    torch.testing.assert_close(found.iou, torch.ones(len(found.iou)), atol=1e-4, rtol=0)
    assert float(found.chamfer.max()) < 1e-8
    larger = proposal_quality(exact(1.25), tiny_scan())
    torch.testing.assert_close(larger.iou, torch.full((len(larger.iou),), 1 / 1.25**3), atol=1e-3, rtol=0)
    assert float(larger.chamfer.min()) > 1e-4


def test_figures_are_means_over_seeds_with_each_scan_left_out() -> None:
    scans = [
        tiny_scan(0),
        tiny_scan(1),
        replace(tiny_scan(2), truth=tiny_scan(2).truth[:2]),
    ]  # the last one bare

    class Scans(list[Any]):
        names = ("a", "b", "bare")

    model: Any = SimpleNamespace(method=exact(1.25))
    found = measure(model, Scans(scans), lambda *_: None)  # type: ignore[arg-type]
    assert found.values["mIoU"] == pytest.approx(100 / 1.25**3, abs=0.1) and found.values["IoU > 0.5"] == 100
    assert found.left_out["mIoU"][2] == pytest.approx(found.values["mIoU"])
    assert found.scans == ["a", "b", "bare"] and found.num_true["seeds on objects"] > 0
    nothing = measure(model, Scans([scans[2]]), lambda *_: None)  # type: ignore[arg-type]
    assert nothing.values == {"mIoU": None, "IoU > 0.5": None, "CD cm²": None}
    with pytest.raises(UserError, match="not of geometric"):
        measure(SimpleNamespace(method=SimpleNamespace(name="geometric")), Scans(scans), lambda *_: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("gspn", set()),
        ("gspn-boxes", {"proposes"}),
        ("gspn-segments", {"proposes"}),
        ("gspn-ed", {"variational"}),
        ("gspn-one-context", {"contexts"}),
        ("gspn-no-center", {"center"}),
    ],
)
def test_rows_differ_from_the_recipe_in_what_they_say(key: str, changed: set[str]) -> None:
    made, base = row(key, steps=None, seed=3), gspn_rooms()
    assert {
        f.name for f in fields(base.model) if getattr(made.model, f.name) != getattr(base.model, f.name)
    } == changed
    in_32_bits = replace(base.optim, precision="no")
    assert replace(made, model=base.model, name=base.name, seed=base.seed) == replace(base, optim=in_32_bits)
    assert made.seed == 3


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("rpointnet", set()),
        ("rpointnet-no-context", {"context_features"}),
        ("rpointnet-no-semantics", {"semantic_features"}),
        ("rpointnet-no-pretraining", {"semantics", "learn"}),
        ("rpointnet-pn2", {"semantics", "learn"}),
    ],
)
def test_rows_of_heads_differ_from_the_recipe_in_what_they_say(key: str, changed: set[str]) -> None:
    made, base = heads_row(key, steps=None, seed=3), rpointnet_rooms()
    assert {
        f.name for f in fields(base.model) if getattr(made.model, f.name) != getattr(base.model, f.name)
    } == changed
    in_32_bits = replace(base.optim, precision="no")
    assert replace(made, model=base.model, name=base.name, seed=base.seed) == replace(base, optim=in_32_bits)
    assert made.seed == 3


@pytest.mark.parametrize(("key", "proposals"), ALONE.items())
def test_heads_of_table_4_stand_behind_the_proposals_of_their_row(key: str, proposals: str) -> None:
    made, behind = (alone_row(name, steps=7, seed=1) for name in (key, proposals))
    assert isinstance(made.model, RPointNetConfig)
    assert made.model.gspn == behind.model == row(proposals, steps=7, seed=1).model
    assert (made.optim, made.data, made.seed) == (behind.optim, behind.data, behind.seed)
    table = TABLES["gspn-table4"]
    assert {row.key: row.start for row in table.rows} == ALONE


def test_pre_training_is_what_its_row_differs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Recipe] = []
    monkeypatch.setattr("gestalt3d.engine.train.train", lambda recipe, *_, **__: trained.append(recipe))
    table = TABLES["gspn-table6"]
    for key in ("rpointnet-no-pretraining", "rpointnet-pn2"):
        with pytest.raises(UserError, match=r"last\.safetensors"):
            chosen = next(row for row in table.rows if row.key == key)
            one_run(table, chosen, 2, tmp_path, table.setting.full, "cpu", lambda *_: None)
    without, before, behind = trained
    start = str(tmp_path / f"{PRETRAINING}-seed2" / "last.safetensors")
    assert (without.init, before.init) == (("rpointnet-rooms.gspn",), ())
    assert behind.init == (*without.init, start)
    assert replace(behind, init=without.init, name=without.name) == without
    assert (before.optim.steps, without.optim.steps) == (2_000, 400)
    assert isinstance(without.model, RPointNetConfig) and before.model == without.model.semantics


def test_every_row_is_named() -> None:
    assert len(ROWS) == 6
    with pytest.raises(UserError, match="no row 'x'"):
        heads_row("x", steps=1, seed=0)
    with pytest.raises(UserError, match="no row 'x'"):
        row("x", steps=1, seed=0)


def test_whole_objects_are_perfect_where_the_truth_answers(tmp_path: Path) -> None:
    room = Rooms("val", count=1, vocabulary=S3DIS, cache_dir=tmp_path, shapes=True)

    class Truth:
        def segment(self, _cloud: PointCloud) -> Instances:
            return room[0].truth

    assert tuple(whole.NAMES) == (ANSWER, VISIBLE, TO_GROUND)
    figures = whole.measure(Truth(), room, lambda *_: None)  # type: ignore[arg-type]
    assert set(whole.columns()) == set(figures.values) and figures.values["found %"] == 100
    assert figures.values["box IoU %, answer"] > 99 > figures.values["box IoU %, visible points"]
    assert figures.values["Chamfer cm, answer"] < 3
    ranges = [figures.values[f"Chamfer cm, visible points, hidden {share}"] for share in whole.RANGES[:-1]]
    known = [value for value in ranges if value is not None]
    assert known == sorted(known) and len(known) > 1


def test_categories_are_means_over_their_own_classes() -> None:
    objects = Parts("val", count=8)

    class Truth:
        vocabulary = objects.vocabulary

        def segment(self, cloud: PointCloud) -> Instances:
            scan = next(scan for scan in objects if torch.equal(scan.input.points, cloud.points))
            chairs = torch.tensor([name.startswith("chair/") for name in self.vocabulary.names])
            return scan.truth[chairs[scan.truth.classes]]

    figures = TABLES["gspn-table2"].setting.measure(Truth(), objects, lambda *_: None).values  # type: ignore[arg-type]
    assert [figures[f"AP50 {name}"] for name in ("Chair", "Table", "Lamp", "Storage")] == [100, 0, 0, 0]
    assert 0 < figures["AP50"] < 100


@pytest.mark.parametrize("key", ["sgpn-parts", "gspn-parts", "rpointnet-parts-alone"])
def test_rows_of_parts_learn_the_same_classes(key: str) -> None:
    made = parts_row(key, steps=5, seed=2)
    assert (made.data, made.classes, made.optim.steps, made.seed) == ("parts:train", "partnet-3", 5, 2)
    with pytest.raises(UserError, match="no row 'x'"):
        parts_row("x", steps=1, seed=0)
