"""Averages of weight files: every tensor, one network only, a file that loads and says what it is made of."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gestalt3d.engine import checkpoint
from gestalt3d.engine.average import average
from gestalt3d.engine.model import load
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import SCANNET20
from tests.command import Command, save_weights
from tests.scenes import tiny_scan


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def save_other(path: Path, *, seed: int = 1, count: int = 0, **about: Any) -> Path:
    """Weights of the network of `save_weights`, other ones; `count` is what its counters say."""
    stored = checkpoint.read(save_weights(path))
    draws = torch.Generator().manual_seed(seed)
    for name, value in stored.tensors.items():
        if value.is_floating_point():
            stored.tensors[name] = torch.randn(value.shape, generator=draws).abs()
        else:
            stored.tensors[name] = torch.full_like(value, count)
    checkpoint.save(path, stored.tensors, {**stored.about, **about})
    return path


def test_every_tensor_is_the_mean_by_the_shares(tmp_path: Path, command: Command) -> None:
    a, b = save_weights(tmp_path / "a.safetensors"), save_other(tmp_path / "b.safetensors")
    out = tmp_path / "new" / "mean.safetensors"
    answer = command("average", a, b, "--shares", 7, 3, "-o", out)
    assert answer.code == 0 and "NOTE" not in answer.out
    first, second, mean = (checkpoint.read(file).tensors for file in (a, b, out))
    assert first.keys() == mean.keys()
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (0.7 * first[name].double() + 0.3 * second[name]).float())
        else:
            assert torch.equal(value, first[name])


def test_the_mean_loads_and_its_card_says_what_it_is(tmp_path: Path, command: Command) -> None:
    a, b = (
        save_weights(tmp_path / "a.safetensors"),
        save_other(tmp_path / "b.safetensors", origin={"seed": 6}),
    )
    out = tmp_path / "mean.safetensors"
    assert command("average", a, b, "-o", out).code == 0
    assert len(load(out).segment(tiny_scan().input).to_labels()) == 3000
    card = json.loads(out.with_suffix(".json").read_text())
    assert [part["share"] for part in card["average"]] == [0.5, 0.5]
    assert card["average"][1]["sha256"] == hashlib.sha256(b.read_bytes()).hexdigest()
    assert card["average"][1]["origin"] == {"seed": 6} and card["method"] == "asis"
    assert card["recipe"] == f"gestalt3d average {a} {b} --shares 0.5 0.5 -o mean.safetensors"
    assert checkpoint.read(out).about["origin"]["average"] == card["average"]


def test_averaged_weights_of_a_checkpoint_count_not_the_last_ones(tmp_path: Path) -> None:
    plain = save_other(tmp_path / "a.safetensors")
    stored = checkpoint.read(plain)
    run = {f"ema.{n}": v for n, v in stored.tensors.items()}
    run |= {f"model.{n}": torch.zeros_like(v) for n, v in stored.tensors.items()}
    checkpoint.save(tmp_path / "run.safetensors", run, stored.about)
    average([str(plain), str(tmp_path / "run.safetensors")], tmp_path / "mean.safetensors")
    for name, value in checkpoint.read(tmp_path / "mean.safetensors").tensors.items():
        torch.testing.assert_close(value, stored.tensors[name])


def test_counters_that_differ_are_those_of_the_first_file_and_it_is_said(
    tmp_path: Path, command: Command
) -> None:
    a, b = (save_other(tmp_path / f"{k}.safetensors", count=k) for k in (4, 5))
    answer = command("average", a, b, "-o", tmp_path / "mean.safetensors")
    assert answer.code == 0 and "NOTE" in answer.out and f"taken from {a}" in answer.out
    tensors = checkpoint.read(tmp_path / "mean.safetensors").tensors.values()
    assert {int(v) for v in tensors if not v.is_floating_point()} == {4}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("method", "its method is not that of"),
        ("vocabulary", "its vocabulary is not that of"),
        ("config", "its bandwidth is 0.9"),
        ("nan", "is not finite"),
    ],
)
def test_only_one_network_is_averaged(tmp_path: Path, command: Command, change: str, words: str) -> None:
    a, b = save_weights(tmp_path / "a.safetensors"), tmp_path / "b.safetensors"
    if change == "method":
        save_weights(b, "sgpn")
    elif change == "config":
        save_weights(b, bandwidth=0.9)
    elif change == "vocabulary":
        cls = type(checkpoint.load(a))
        other = cls.from_config(checkpoint.load(a).config, replace(SCANNET20, structure=frozenset()))
        checkpoint.save(b, other.state_dict(), checkpoint.describe(other))
    else:
        stored = checkpoint.read(save_other(b))
        stored.tensors["embed.weight"][0] = float("nan")
        checkpoint.save(b, stored.tensors, stored.about)
    answer = command("average", a, b, "-o", tmp_path / "mean.safetensors")
    assert answer.code == 2 and words in answer.err and len(answer.err.splitlines()) == 1
    assert not (tmp_path / "mean.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "at least two"),
        (("asis-rooms",), "at least two"),
        (("asis-rooms", "asis-rooms", "--shares", "1"), "1 numbers for 2 files"),
        (("asis-rooms", "asis-rooms", "--shares", "0", "0"), "nor all 0"),
        (("asis-rooms", "asis-rooms", "--shares", "1", "nan"), "not be negative"),
        (("asis-rooms", "nowhere.safetensors"), "no such weight file"),
    ],
)
def test_wrong_words_are_one_line(
    tmp_path: Path, command: Command, words: tuple[str, ...], said: str
) -> None:
    answer = command("average", *words, "-o", tmp_path / "mean.safetensors")
    assert answer.code == 2 and said in answer.err and len(answer.err.splitlines()) == 1


def test_a_mean_is_written_as_a_weight_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.safetensors"):
        average(["asis-rooms", "asis-rooms"], tmp_path / "mean.pt")
