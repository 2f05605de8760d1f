"""Every number of a recipe has its range, and leaving it is one line that names the option."""

import dataclasses
import math
import typing
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
import torch

from gestalt3d.configs import OutOfRange, Within, check_ranges
from gestalt3d.data.augment import augment
from gestalt3d.engine.recipe import Optim, from_plain, to_plain
from gestalt3d.errors import UserError
from gestalt3d.methods import method_class
from gestalt3d.methods.method import START
from gestalt3d.recipes import RECIPES, recipe
from gestalt3d.structures.vocabulary import S3DIS
from tests.command import Command
from tests.scenes import tiny_scan
from tests.settings import changed


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def numbers(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Path, type and value of every field of numbers, those of nested configurations included."""
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value, here = getattr(config, field.name), (*path, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, here)
        elif {int, float} & leaves(hints[field.name]):
            yield here, hints[field.name], value


def leaves(hint: Any) -> set[Any]:
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is Annotated:
        inner = inner[:1]
    elif typing.get_origin(hint) is typing.Literal:
        return set()
    return set().union(*map(leaves, inner)) if inner else {hint}


def with_number(config: Any, path: tuple[str, ...], number: Any) -> Any:
    first, *rest = path
    old = getattr(config, first)
    if rest:
        return replace(config, **{first: with_number(old, tuple(rest), number)})
    return replace(config, **{first: tuple(number for _ in old or "1") if isinstance(old, tuple) else number})


def has_range(hint: Any) -> bool:
    return any(isinstance(part, Within) or has_range(part) for part in typing.get_args(hint))


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_a_recipe_declares_its_range(name: str) -> None:
    assert [path for path, hint, _ in numbers(recipe(name)) if not has_range(hint)] == []


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_no_number_or_too_large_for_anything_is_refused_by_name(name: str) -> None:
    made = recipe(name)
    for path, hint, _ in numbers(made):
        wrong = (-5, 10**30) if float not in leaves(hint) else (-5.0, math.nan, math.inf, 1e30)
        for number in wrong:
            with pytest.raises(OutOfRange) as refused:
                with_number(made, path, number)
            assert refused.value.field == path[-1] and "\n" not in str(refused.value)


TINY: dict[str, dict[str, Any]] = {
    "asis-folder": {
        "width": 8, "neighbours": 4, "backbone": {"width_scale": 0.125, "group_size": 4},
        "blocks": {"points": 64, "normals": 4}, "training": {"blocks_per_scan": 1},
    },
    "sgpn-s3dis": {
        "width": 8, "similarity": 8, "backbone": {"width_scale": 0.125}, "blocks": {"points": 64},
        "training": {"blocks_per_scan": 1},
    },
    "semantics-rooms": {"width": 2, "levels": 2, "voxel_size": 0.3, "normals": 4},
    "mtml-rooms-true": {"width": 2, "voxel_size": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("name", TINY)
def test_zero_trains_or_is_refused(name: str) -> None:
    """For each number alone: whatever the ranges let through makes a finite loss."""
    base = recipe(name)
    base = replace(base, model=changed(base.model, **TINY[name]))
    scan, tried = tiny_scan(points=1200), 0
    for path, hint, _ in numbers(base):
        if path[0] == "optim" or (len(path) == 1 and path[0] not in ("seed",)):
            continue  # nothing that a batch and its loss depend on
        try:
            other = with_number(base, path, 0.0 if float in leaves(hint) else 0)
        except UserError:
            continue
        tried += 1
        rng = np.random.default_rng(0)
        torch.manual_seed(0)
        method: Any = method_class(other.method).from_config(other.model, S3DIS)
        batch = method.prepare(augment(scan, rng, other.augment), rng)
        terms = method.losses(method(batch), batch, START)
        assert bool(torch.stack(list(terms.values())).isfinite().all()), path
    assert tried > 20


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--optim.lr", "-1"], "--optim.lr -1: must be above 0"),
        (["--optim.lr", "nan"], "--optim.lr nan: must be above 0"),
        (["--optim.lr", "1e30"], "--optim.lr 1e+30: must be above 0 and at most 10"),
        (["--optim.steps", "0"], "--optim.steps 0: must be at least 1"),
        (["--log-every", "0"], "--log-every 0: must be at least 1"),
        (["--checkpoint-every", "0"], "--checkpoint-every 0"),
        (["--scans-per-step", "0"], "--scans-per-step 0"),
        (["--count", "0"], "--count 0: must be at least 1"),
        (["--workers", "-1"], "--workers -1: must be at least 0"),
        (["--seed", "-1"], "--seed -1: must be at least 0"),
        (["--model.blocks.normals", "2"], "--model.blocks.normals 2: must be 0 or at least 3"),
        (["--model.embedding", "0"], "--model.embedding 0"),
        (
            ["--model.merging.superpoints.scale", "1"],
            "--model.merging.superpoints.scale 1: must be above 0 and",
        ),
        (["--augment.scale", "1.1", "0.9"], "--augment.scale 1.1 0.9: must be two numbers"),
        (["--model.blocks.stride", "3"], "stride 3.0 exceeds size 2.0"),
        (["--epochs", "0"], "--epochs 0"),
        (["--stop-after", "0"], "--stop-after 0"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_train_refuses_options_out_of_range_in_one_line(
    command: Command, words: list[str], says: str
) -> None:
    answer = command("train", "asis-folder", "--root", "no/such", "--optim.precision", "no", *words)
    assert answer.code == 2 and len(answer.err.splitlines()) == 1
    assert answer.err.startswith(f"gestalt3d train: {says}"), answer.err


def test_a_stored_setting_out_of_range_is_named_with_its_file() -> None:
    plain = to_plain(recipe("asis-folder"))
    plain["model"]["merging"]["superpoints"]["links"] = 0
    with pytest.raises(
        UserError, match=r"^run\.json\.model\.merging\.superpoints\.links 0: must be at least 1$"
    ):
        from_plain(plain, "run.json")


def test_ranges_have_open_and_closed_ends() -> None:
    assert (
        0 not in Within(above=0) and 0 in Within(least=0) and 1 in Within(most=1) and 1 not in Within(below=1)
    )
    assert 0 in Within(least=3, off=0) and 2 not in Within(least=3, off=0)
    assert math.inf not in Within() and math.nan not in Within() and -1e30 not in Within(most=1)
    check_ranges(Optim())
