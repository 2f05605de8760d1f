"""Tables of A3IS-CNN: rows that share what they should, and figures that are perfect where the truth answers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gestalt3d import reproduce
from gestalt3d.data import open_data
from gestalt3d.engine.model import Model
from gestalt3d.engine.recipe import Recipe
from gestalt3d.methods.a3is import A3IS, A3ISConfig
from gestalt3d.methods.dss import DSSConfig
from gestalt3d.reproduce import a3is_rows, frames
from gestalt3d.reproduce.result import assemble
from gestalt3d.reproduce.run import Run
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import DSS19
from tests.methods import test_a3is


class Truth:
    """Answers with what is true."""

    name, takes, takes_semantics, vocabulary, config = "truth", View, False, DSS19, None

    def __init__(self, samples: list[Any]) -> None:
        self.samples = samples

    @classmethod
    def from_config(cls, _config: Any, _vocabulary: Any) -> "Truth":
        return cls([])

    def segment(self, view: Any, /) -> Any:
        return next(s.truth for s in self.samples if s.input is view)


class Few:
    """Views that are made once."""

    def __init__(self) -> None:
        views = open_data("views:val", vocabulary=DSS19, limit=2)
        self.names, self.samples = views.names, [views[i] for i in range(2)]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Any:
        return self.samples[i]


def told(model: Any, views: Few, measure: Any = frames.measure_hidden) -> Any:
    return measure(model, views, lambda *_: None)


def test_the_truth_is_perfect_and_guesses_from_it_are_not() -> None:
    views = Few()
    truth = Truth(views.samples)
    found = told(truth, views)
    assert {found.values[name] for name in ("found %", *frames.HIDDEN)} == {100.0}
    assert set(reproduce.TABLES["a3is-hidden"].columns) <= set(found.values)
    assert set(found.left_out) == set(frames.HIDDEN) and found.left_out["hidden IoU"] == [100.0, 100.0]
    filled, floor = (
        told(adjust(Model("truth", truth)), views).values["hidden IoU"]
        for adjust in (a3is_rows.filling_boxes, a3is_rows.reaching_the_floor)
    )
    assert 0 < floor < 100 and 20 < filled < 70
    plain = told(truth, views, frames.measure)
    assert {plain.values[name] for name in frames.COLUMNS} == {100.0}
    assert len(plain.left_out["AP"]) == 2 and sum(plain.num_true.values()) > 0


@pytest.mark.parametrize("table", ["a3is-table1", "a3is-table2a", "a3is-table2b"])
def test_rows_differ_in_one_thing(table: str) -> None:
    """But for the photo's size and start in 2a, which all of its rows share."""
    keys = [r.trained_as or r.key for r in reproduce.TABLES[table].rows if not r.published_only]
    recipes = [a3is_rows.row(key, steps=400, seed=1) for key in keys]
    assert len({r.optim for r in recipes}) == len({r.augment for r in recipes}) == 1
    proposals = {getattr(r.model, "dss", r.model).propose for r in recipes if r.name != "a3is-anchors"}
    assert proposals == {"clusters"}
    assert {(r.data, r.count, r.scans_per_step, r.seed, r.classes) for r in recipes} == {
        ("views:train", None, 2, 1, "dss19")
    }
    if table == "a3is-table2a":
        models = {replace(r.model, dss=replace(r.model.dss, image="vgg16")) for r in recipes}  # type: ignore
        assert len(models) == 1
    if table == "a3is-table2b":
        plain = {replace(r.model, place="align", activation="sigmoid") for r in recipes}  # type: ignore
        assert len(plain) == 1 and len({r.model for r in recipes}) == 4
        assert {r.init for r in reproduce.TABLES[table].rows} == {("a3is-rooms.dss",)}
        assert {r.model.learn for r in recipes} == {"branch"}  # type: ignore


def test_boxes_of_a_trained_network_are_a_row_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One training, two rows; the quick table runs from the command line's own function."""

    def small(key: str, *, steps: int, seed: int) -> Recipe:
        recipe = make(key, steps=steps, seed=seed)
        dss = replace(test_a3is.BEHIND, min_score=0.0)
        model: Any = dss if isinstance(recipe.model, DSSConfig) else replace(test_a3is.SMALL, dss=dss)
        return replace(recipe, model=model, workers=0, scans_per_step=1)

    make = a3is_rows.row
    assert isinstance(a3is_rows.ROWS["a3is"], A3ISConfig)
    monkeypatch.setattr(a3is_rows, "row", small)
    result = reproduce.retrain("a3is-table1", tmp_path, rows=["a3is", "a3is-boxes"], quick=True)
    assert [row["row"] for row in result["rows"]][-3:-1] == [
        "RGB-D, boxes of the row below",
        "RGB-D + A3IS branch",
    ]
    trained = [p.name for p in (tmp_path / "quick").iterdir() if p.is_dir()]
    assert trained == ["a3is-seed0"]


def test_the_quantizer_of_every_row_of_figure_6_is_measured(tmp_path: Path) -> None:
    """Half-wave with three levels: of features of variance 1 the error is some hundredths, before any training."""
    table = reproduce.TABLES["a3is-fig6"]
    for row in table.rows:
        model = table.setting.recipe(row.key, 1, 0).model
        assert isinstance(model, A3ISConfig) and model.quantizer == 3
    small = replace(test_a3is.SMALL, quantizer=3)
    views = Few()
    found = told(Model("small", A3IS(small, DSS19).eval()), views, frames.measure_quantizer)
    error = found.values["error in test frames"]
    assert error is not None and 10 < error < 500


def test_curves_are_means_over_the_seeds() -> None:
    table = replace(reproduce.TABLES["a3is-fig6"], claims=())
    key = table.rows[0].key
    runs = [
        Run(
            key,
            seed,
            40,
            1,
            1,
            "",
            "",
            1.0,
            {},
            {},
            curves={"quantizer_error": [(20, 0.25 + seed), (40, 0.5)]},
        )
        for seed in (0, 1)
    ]
    assert assemble("a3is-fig6", table, runs).get("curves") == {table.rows[0].label: [(20, 0.75), (40, 0.5)]}
