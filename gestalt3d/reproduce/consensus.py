"""What a consensus of the shipped models for rooms owes to its sources, to their looks and to its judge. In no paper."""

from dataclasses import replace
from typing import TYPE_CHECKING

from gestalt3d.errors import UserError
from gestalt3d.reproduce.claim import Claim
from gestalt3d.reproduce.measure import number
from gestalt3d.reproduce.table import Budget, Figures, Progress, Row, Setting, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.recipe import Recipe
    from gestalt3d.methods.consensus import ConsensusConfig

COLUMNS = ("AP", "AP50", "AP25", "recall50", "coverage", "AP50 by class")
_SHIPPED = "consensus-best"


def measure(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """Whatever the class, but for the last column: the mean over ScanNet's classes, of those who answer in them."""
    plain, named = scans.evaluator(model.vocabulary, class_agnostic=True), scans.evaluator(model.vocabulary)
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        found = model.segment(scan.input)
        plain.see(scan, found)
        named.see(scan, found)
    pooled, left_out = plain.results()["pooled"], plain.left_out()
    values = {name: number(pooled[name]) for name in COLUMNS[:-1]}
    spread = {name: left_out[name] for name in COLUMNS[:-1]}
    if model.vocabulary.title == "scannet21":
        values[COLUMNS[-1]] = number(named.results()["pooled"]["AP50"])
        spread[COLUMNS[-1]] = named.left_out()["AP50"]
    return Figures(values, spread, list(scans.names), {})


def _recipe(key: str, _steps: int | None, _seed: int) -> "Recipe":
    raise UserError(f"{key}: nothing is trained for this table")


ROOMS = Setting(
    data="rooms:test",
    full=Budget(train=24, test=12, seeds=(0, 1, 2)),
    quick=Budget(train=1, test=1, seeds=(0,)),
    recipe=_recipe,
    measure=measure,
    about="{test} synthetic rooms (rooms:test), whatever the class but for the last column; sources draw with seeds {seeds}; the"
    " judge is the shipped one, which has learnt from {train} rooms of another split. All rows with several sources choose among"
    " what the same sources have found in the same looks, but for those that a row leaves out, and may overlap unless they say"
    " so. Models alone answer as they are shipped: those of mtml-rooms, asis-rooms and geometric-regions do not overlap, and"
    " asis-rooms looks at two turns, where a look of the consensus is one",
)


def _judged(change: "Callable[[ConsensusConfig], ConsensusConfig]") -> "Callable[[Model], Model]":
    """The shipped judge behind a consensus with other settings."""

    def adjust(model: "Model") -> "Model":
        from gestalt3d.reproduce.remembered import remembering

        method = remembering(model.method)
        return replace(model, method=method.with_consensus(change(method.config.consensus)))

    return adjust


def _agreed(change: "Callable[[ConsensusConfig], ConsensusConfig]") -> "Callable[[Model], Model]":
    """The consensus alone, with other settings."""

    def adjust(model: "Model") -> "Model":
        from gestalt3d.reproduce.remembered import remembering

        method = remembering(model.method)
        return replace(model, method=method.with_consensus(change(method.config.consensus)).consensus)

    return adjust


def _one_look(config: "ConsensusConfig") -> "ConsensusConfig":
    return config.with_first_looks()


def _turns(config: "ConsensusConfig") -> "ConsensusConfig":
    """Of each source the first three looks: as it is, and two turns."""
    return replace(config, sources=tuple(replace(s, looks=s.looks[:3]) for s in config.sources))


def _same(config: "ConsensusConfig") -> "ConsensusConfig":
    return config


def _own_scores(config: "ConsensusConfig") -> "ConsensusConfig":
    return replace(config, agreement_weight=0.0, size_weight=0.0, own_weight=1.0)


def _apart(config: "ConsensusConfig") -> "ConsensusConfig":
    return replace(config, coherent=True)


def _without(model: str) -> "Callable[[ConsensusConfig], ConsensusConfig]":
    return lambda config: replace(
        config.with_first_looks(),
        sources=tuple(s for s in config.with_first_looks().sources if s.model != model),
    )


_SOURCES = ("mtml-rooms", "asis-rooms", "rpointnet-rooms", "geometric-regions")


def _row(label: str, key: str, adjust: "Callable[[Model], Model]") -> Row:
    return Row(label, f"consensus-{key}", {}, untrained=_SHIPPED, adjust=adjust)


TABLES: dict[str, Table] = {
    "consensus": Table(
        "What several models for rooms agree on (not in a paper)",
        ROOMS,
        COLUMNS,
        (
            *(Row(f"{name} alone", f"alone-{name}", {}, untrained=name) for name in _SOURCES),
            _row("one look, own scores", "one-own", _agreed(lambda c: _own_scores(_one_look(c)))),
            _row("one look, agreement", "one-agreed", _agreed(_one_look)),
            *(
                _row(f"the same without {name}", f"one-without-{name}", _agreed(_without(name)))
                for name in _SOURCES
            ),
            _row("one look, judge (consensus-fast)", "one-judged", _judged(_one_look)),
            _row("three turns, agreement", "turns-agreed", _agreed(_turns)),
            _row("three turns, judge", "turns-judged", _judged(_turns)),
            _row("six looks, own scores", "six-own", _agreed(_own_scores)),
            _row("six looks, agreement", "six-agreed", _agreed(_same)),
            _row("six looks, judge (consensus-best)", "six-judged", _judged(_same)),
            _row("the same without overlap", "six-judged-apart", _judged(_apart)),
        ),
        (
            *(Claim("consensus-one-judged", f"alone-{name}", "AP50") for name in _SOURCES),
            Claim("consensus-one-agreed", "consensus-one-own", "AP50"),
            *(Claim("consensus-one-agreed", f"consensus-one-without-{name}", "AP50") for name in _SOURCES),
            Claim("consensus-one-judged", "consensus-one-agreed", "AP50"),
            Claim("consensus-six-agreed", "consensus-six-own", "AP50"),
            Claim("consensus-six-agreed", "consensus-one-agreed", "AP50"),
            Claim("consensus-six-judged", "consensus-six-agreed", "AP50"),
            Claim("consensus-six-judged", "consensus-one-judged", "AP50"),
            Claim("consensus-six-judged", "consensus-turns-judged", "AP50"),
            Claim("consensus-six-judged", "consensus-six-judged-apart", "AP50"),
            Claim("consensus-six-judged", "alone-mtml-rooms", "AP50 by class"),
        ),
    ),
}
