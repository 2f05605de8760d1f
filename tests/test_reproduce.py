"""Tables: rows are trained, finished runs are not trained again, claims are judged by paired differences."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d import reproduce
from gestalt3d.engine.model import Model, load
from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.mtml import MTML, Prediction
from gestalt3d.methods.staged import Staged
from gestalt3d.recipes import mtml
from gestalt3d.reproduce import asis_rows, block_times, mtml_rows
from gestalt3d.reproduce.claim import Claim, Faster, Measured, Target
from gestalt3d.reproduce.run import one_run
from tests.settings import changed


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows as they are, with networks of a few channels, timed on few points; the rooms are made once for all tests."""
    make = asis_rows.row

    def small(key: str, *, steps: int, seed: int) -> Recipe:
        row = make(key, steps=steps, seed=seed)
        model = changed(
            row.model,
            width=16,
            backbone={"width_scale": 0.125},
            blocks={"points": 256},
            training={"blocks_per_scan": 1},
        )
        return replace(
            row, model=model, workers=0, scans_per_step=1, optim=replace(row.optim, precision="no")
        )

    monkeypatch.setattr(asis_rows, "row", small)
    few = partial(block_times.block_times, blocks=2, points=512)
    monkeypatch.setattr(block_times, "block_times", few)
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def test_a_table_is_made_and_finished_runs_are_read(tiny: None, tmp_path: Path) -> None:
    result = reproduce.retrain("asis-table3", tmp_path, quick=True)
    assert [row["row"] for row in result["rows"]] == ["baseline", "+IF", "+SA", "+IF +SA"]
    for row in result["rows"]:
        assert 0 <= row["ours"]["mIoU"] <= 100
        assert row["seeds"] == [0]
    assert {c["holds"] for c in result["claims"]} == {None}  # one seed decides nothing
    assert "[49.5]" in reproduce.shown_rows(result)[0]["mIoU"]
    assert "too few seeds" in "\n".join(reproduce.judgements(result))

    file = tmp_path / "quick" / "vanilla-pn-seed0.json"
    run = json.loads(file.read_text())
    file.write_text(json.dumps(run | {"figures": {"mIoU": 12.0, "mWCov": 34.0}}))
    again = reproduce.retrain("asis-table3", tmp_path, quick=True)
    assert again["rows"][0]["ours"]["mIoU"] == 12.0


def test_the_backbone_alone_has_classes_and_no_instances(tiny: None, tmp_path: Path) -> None:
    result = reproduce.retrain("asis-table2", tmp_path, quick=True, rows=["backbone-pn"])
    ours = next(row["ours"] for row in result["rows"] if row["row"] == "PN alone")
    assert 0 <= ours["mIoU"] <= 100
    run = json.loads((tmp_path / "quick" / "backbone-pn-seed0.json").read_text())
    assert run["figures"]["mCov"] == 0 and list(run["left_out"]["mIoU"]) and run["num_true"]["floor"] >= 1


def test_times_are_taken_of_runs_that_lack_them(tiny: None, tmp_path: Path) -> None:
    reproduce.retrain("asis-table1", tmp_path, quick=True, rows=["asis-pn"])
    result = reproduce.retrain("asis-table5", tmp_path, quick=True, rows=["sgpn-pn", "asis-pn"])
    ours = {row["row"]: row["ours"] for row in result["rows"] if row["seeds"]}
    assert set(ours) == {"SGPN", "ASIS"}
    for times in ours.values():
        assert times["network ms"] > 0 and times["grouping ms"] > 0
    assert ours["ASIS"]["scikit-learn grouping ms"] > 0
    assert ours["SGPN"]["scikit-learn grouping ms"] is None


def test_the_package_ships_runs_that_tables_are_made_of(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = reproduce.retrain("asis-table3", tmp_path, quick=True, rows=["asis-pn", "vanilla-pn"])
    (tmp_path / "quick").rename(tmp_path / "results")
    monkeypatch.setattr(reproduce.resources, "files", lambda _: tmp_path)
    assert reproduce.committed("asis-table3") == made


def test_rows_and_seeds_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--rows asis-pn3: asis-table3 has vanilla-pn, if-pn"):
        reproduce.retrain("asis-table3", tmp_path, rows=["asis-pn3"])
    with pytest.raises(UserError, match="--seeds 7: the budget has 0, 1, 2"):
        reproduce.retrain("asis-table3", tmp_path, seeds=[7])


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "asis-pn-seed0.json").write_text("{}")
    with pytest.raises(UserError, match=r"asis-pn-seed0\.json: not the result of a run"):
        reproduce.retrain("asis-table3", tmp_path, rows=["asis-pn"], seeds=[0])


def runs(values: list[float], **more: Any) -> list[Measured]:
    return [Measured(seed, {"m": value}, **more) for seed, value in enumerate(values)]


def judged(better: list[Measured], worse: list[Measured]) -> dict[str, Any]:
    return Claim("a", "b", "m").judged({"a": better, "b": worse})


def test_seeds_are_compared_in_pairs_with_a_t_quantile() -> None:
    # Differences 2, 2.5, 3: mean 2.5, deviation .5, t of two degrees of freedom 4.303.
    verdict = judged(runs([9.0, 15.0, 30.0]), runs([7.0, 12.5, 27.0]))
    assert verdict["standard_error"] == pytest.approx(0.5 / 3**0.5)
    assert verdict["interval"] == pytest.approx(
        [2.5 - 4.3027 * 0.5 / 3**0.5, 2.5 + 4.3027 * 0.5 / 3**0.5], abs=1e-3
    )
    assert verdict["holds"] is True and verdict["opposite"] is False
    # Twice the standard error of three seeds is not enough: here 2.5 +- 4.303 * 1.1 / sqrt 3.
    assert judged(runs([8.4, 15.0, 30.6]), runs([7.0, 12.5, 27.0]))["holds"] is False
    assert judged(runs([7.0, 12.5, 27.0]), runs([9.0, 15.0, 30.0]))["opposite"] is True


def test_only_seeds_that_both_rows_have_are_compared() -> None:
    verdict = judged(runs([9.0, 15.0, 30.0]), runs([7.0, 12.5, 27.0])[1:])
    assert verdict["seeds"] == 2 and verdict["difference"] == pytest.approx(2.75)


def test_the_error_of_scans_is_that_of_the_mean_where_the_figure_is_a_mean() -> None:
    a, b = [4.0, 6.0, 9.0, 3.0], [3.0, 2.0, 7.0, 4.0]

    def run(values: list[float]) -> list[Measured]:
        left_out = [(sum(values) - v) / 3 for v in values]
        return [Measured(0, {"m": sum(values) / 4}, {"m": left_out}, ["p", "q", "r", "s"], trained=False)]

    differences = np.subtract(a, b)
    verdict = judged(run(a), run(b))
    assert verdict["standard_error"] == pytest.approx(differences.std(ddof=1) / 2)
    assert verdict["scans"] == 4 and verdict["difference"] == pytest.approx(1.5)
    assert verdict["interval"][0] == pytest.approx(1.5 - 3.1824 * differences.std(ddof=1) / 2, abs=1e-3)
    assert verdict["holds"] is False


def test_errors_of_seeds_and_of_scans_add_up() -> None:
    names = ["p", "q", "r"]

    def run(seed: int, shift: float) -> Measured:
        return Measured(seed, {"m": 10.0 + shift}, {"m": [9.0 + shift, 10.0 + shift, 11.0 + shift]}, names)

    flat = [Measured(seed, {"m": 0.0}, {"m": [0.0, 0.0, 0.0]}, names) for seed in range(2)]
    verdict = judged([run(0, 0.0), run(1, 2.0)], flat)
    assert verdict["standard_error"] ** 2 == pytest.approx(2.0 / 2 + 1.0 * 2**2 / 3)


def test_runs_on_other_scans_share_seeds_alone() -> None:
    a = [Measured(s, {"m": 5.0 + s}, {"m": [5.0, 6.0]}, ["p", "q"]) for s in range(2)]
    b = [Measured(s, {"m": 2.0}, {"m": [2.0, 2.0]}, ["p", "r"]) for s in range(2)]
    assert judged(a, b)["scans"] == 0 and judged(a, b)["standard_error"] == pytest.approx(0.5)


def test_figures_of_more_and_of_fewer_scans_are_not_compared() -> None:
    assert judged(runs([9.0, 10.0], num_scans=40), runs([5.0, 6.0], num_scans=12))["seeds"] == 0


def test_what_is_not_trained_goes_with_every_seed() -> None:
    verdict = judged(runs([9.0, 10.0, 11.0]), runs([5.0], trained=False))
    assert verdict["seeds"] == 3 and verdict["holds"] is True


def test_one_training_decides_nothing() -> None:
    verdict = judged(runs([10.0]), runs([5.0]))
    assert verdict["holds"] is None and verdict["difference"] == 5.0
    assert judged([], runs([5.0]))["holds"] is None


def test_speed_is_compared_on_one_machine_alone() -> None:
    here, there = runs([10.0], device="here"), runs([40.0], device="there")
    claim = Faster("a", "b", "m", 3.5)
    assert claim.judged({"a": here, "b": there})["holds"] is None
    same = claim.judged({"a": here, "b": runs([40.0], device="here")})
    assert same["holds"] is True and same["ratio"] == 4.0


def test_a_target_is_reached_by_the_mean_in_every_metric() -> None:
    target = Target("a", {"m": 90.0, "n": 80.0})
    of = lambda *figures: {"a": [Measured(seed, f) for seed, f in enumerate(figures)]}  # noqa: E731
    assert target.judged(of({"m": 89.0, "n": 80.0}, {"m": 91.0, "n": 80.0}))["holds"] is True
    short = target.judged(of({"m": 89.0, "n": 99.0}, {"m": 90.0, "n": 99.0}))
    assert short["holds"] is False and short["missed"] == {"m": -0.5}
    assert target.judged(of({"m": 95.0, "n": 95.0}))["holds"] is None
    assert target.judged({"a": []})["holds"] is None


def test_toy_boxes_have_a_table_on_true_semantics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = mtml_rows.row
    small = lambda key, **given: replace(make(key, **given), workers=0)  # noqa: E731
    monkeypatch.setattr(mtml_rows, "row", small)
    result = reproduce.retrain("mtml-table1", tmp_path, quick=True)
    assert [row["row"] for row in result["rows"]] == [
        "connected components, true semantics",
        "FE only, true semantics",
        "multi-task, true semantics",
    ]
    for row in result["rows"]:
        assert list(row["ours"]) == [*(f"AP50 box{i}" for i in range(1, 6)), "AP50"]
        assert 0 <= row["ours"]["AP50"] <= 100
    assert result["rows"][2]["paper"]["AP50 box5"] == 95.3
    assert "true semantics" in result["data"] and "; 2 steps a row" in result["data"]
    assert any("[98]" in cell for row in reproduce.shown_rows(result) for cell in row.values())
    assert "undecided" in "\n".join(reproduce.judgements(result))
    files = sorted(file.name for file in (tmp_path / "quick").glob("*.json"))
    assert files == [f"{k}-seed0.json" for k in ("components-toyboxes", "mtml-toyboxes-fe", "mtml-toyboxes")]


def test_a_row_without_directions_differs_in_them_alone() -> None:
    both, features = (mtml_rows.row(key, steps=None, seed=3) for key in ("mtml-toyboxes", "mtml-toyboxes-fe"))
    assert replace(features, name=both.name, model=replace(features.model, direction=True)) == both
    assert both == replace(mtml.mtml_toyboxes(), seed=3)


def test_rows_on_rooms_start_from_the_semantic_stage_alone(tmp_path: Path) -> None:
    both, features = (mtml_rows.row(key, steps=9, seed=3) for key in ("mtml-rooms-both", "mtml-rooms-fe"))
    assert (
        replace(features, name=both.name, model=changed(features.model, parter={"direction": True})) == both
    )
    assert (
        features.model.parter.proposals.feature_weight > 0
    )  # without directions, too, there is something to score by
    assert (
        both.optim == replace(mtml.mtml_rooms_true().optim, steps=9)
        and both.model.parter.semantic_noise.deviation == 0
    )
    # What the paper does not have takes no part but in the last row.
    for recipe in (both, features):
        assert recipe.model.parter.turns == 1 and recipe.model.semantics.superpoints is None
        assert recipe.model.parter.proposals.merge is None
    rows = {row.key: row for row in reproduce.TABLES["mtml-table2"].rows}
    for key in ("mtml-rooms", "components-rooms"):
        model, adjust = load(key), rows[key].adjust
        assert model.method.semantics.config.superpoints is not None
        assert adjust is not None
        model = adjust(model)
        assert model.method.semantics.config.superpoints is None
        parter = model.method.parter.config
        assert key == "components-rooms" or (parter.turns == 1 and parter.proposals.merge is None)
    assert rows["mtml-rooms-superpoints"].adjust is None
    assert rows[both.name].init == rows[features.name].init == ("mtml-rooms.semantics",)
    for key in ("mtml-rooms", "mtml-rooms-both-fe", "mtml-toyboxes-both", "asis-rooms-fe"):
        with pytest.raises(UserError, match="no r"):
            mtml_rows.row(key, steps=9, seed=0)


def test_rows_with_and_without_directions_draw_the_same_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison of rows is one of what they learnt and score by, not of what they may choose from."""
    at = torch.ones(8, 8, 4).nonzero()
    random = torch.Generator().manual_seed(0)
    embedding, direction = torch.rand(256, 4, generator=random) * 4, torch.randn(256, 3, generator=random)
    classes = torch.randint(0, 3, (256,), generator=random)
    rows = {row.key: row for row in reproduce.TABLES["mtml-table2"].rows}
    drawn = []
    monkeypatch.setattr(
        "gestalt3d.methods.voxels.grouping.best_first",
        lambda scores, sizes: (drawn.append(sizes.tolist()), torch.arange(0))[1],
    )
    for key in ("mtml-rooms-fe", "mtml-rooms-both", "mtml-rooms-both-scored-as-fe"):
        row = rows[key]
        config = mtml_rows.row(row.trained_as or key, steps=1, seed=0).model
        staged = Staged.from_config(config, mtml.mtml_rooms().vocabulary())
        if row.adjust is not None:
            row.adjust(Model(key, staged))
        method = staged.parter
        assert isinstance(method, MTML)
        seen = Prediction(direction if method.config.direction else direction[:, :0], embedding)
        method.group([seen], at, classes)
    assert len(drawn[0]) > 10 and drawn[0] == drawn[1] == drawn[2]


def test_a_row_that_scores_otherwise_shares_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Path] = []
    monkeypatch.setattr("gestalt3d.engine.train.train", lambda _, out, **__: trained.append(out))
    table = reproduce.TABLES["mtml-table2"]
    row = next(row for row in table.rows if row.trained_as)
    with pytest.raises(UserError, match=r"last\.safetensors"):
        one_run(table, row, 1, tmp_path, table.setting.quick, "cpu", lambda *_: None)
    assert trained == [tmp_path / "mtml-rooms-both-seed1"]


def test_rows_from_one_start_share_its_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []
    monkeypatch.setattr(
        "gestalt3d.engine.train.train", lambda recipe, out, **__: trained.append((out.name, recipe.init))
    )
    table = reproduce.TABLES["asis-table3-long"]
    for row in table.rows[:2]:
        with pytest.raises(UserError, match=r"last\.safetensors"):
            one_run(table, row, 2, tmp_path, table.setting.quick, "cpu", lambda *_: None)
    start = "start-pn2-long-seed2"
    from_it = (str(tmp_path / start / "last.safetensors"),)
    assert trained[:2] == [(start, ()), ("vanilla-pn2-long-seed2", from_it)]
    assert trained[3] == ("if-pn2-long-seed2", from_it)
    recipe = table.setting.recipe
    rows = [recipe(f"{kind}-pn2-long", 9, 2) for kind in ("vanilla", "asis")]
    assert replace(rows[1].model, semantic_awareness=False, instance_fusion=False) == rows[0].model
    assert rows[0].optim == rows[1].optim and rows[0].augment == rows[1].augment


def test_a_row_starts_from_the_weights_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("gestalt3d.engine.train.train", lambda recipe, *_, **__: seen.append(recipe.init))
    table = reproduce.TABLES["mtml-table2"]
    row = next(row for row in table.rows if row.init)
    with pytest.raises(UserError, match=r"last\.safetensors"):  # nothing was trained
        one_run(table, row, 0, tmp_path, table.setting.quick, "cpu", lambda *_: None)
    assert seen == [("mtml-rooms.semantics",)]


def test_no_two_settings_share_a_row() -> None:
    settings: dict[str, Any] = {}
    for table in reproduce.TABLES.values():
        for row in table.rows:
            assert settings.setdefault(row.key, table.setting) == table.setting


def test_unknown_tables_are_named() -> None:
    with pytest.raises(UserError, match="asis-table1"):
        reproduce.committed("asis-table9")


@pytest.mark.parametrize("name", list(reproduce.TABLES))
def test_what_is_committed_fits_its_table(name: str) -> None:
    try:
        result = reproduce.committed(name)
    except UserError:
        pytest.skip("no result of this table is shipped yet")
    table = reproduce.TABLES[name]
    assert [row["row"] for row in result["rows"]] == [row.label for row in table.rows]
    assert result["commit"] and result["device"]
    assert len({len(row) for row in reproduce.shown_rows(result)}) == 1
