"""Recipes say what the papers say, and the commands that lead to their weights fit together."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tyro

from gestalt3d.cli.train import TrainOptions
from gestalt3d.cli.verbs import VERBS
from gestalt3d.data import open_data
from gestalt3d.engine import checkpoint
from gestalt3d.engine.cards import read_card
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.model import load
from gestalt3d.engine.train import train
from gestalt3d.errors import UserError
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.recipes import RECIPES, chain, recipe
from gestalt3d.structures.vocabulary import SCANNET20
from tests.command import Command
from tests.data.scannet_files import VERTICES, write_scene, write_table


@pytest.mark.parametrize("name", RECIPES)
def test_the_commands_of_a_chain_parse_and_each_starts_from_what_was_made(name: str) -> None:
    made: set[str] = set(checkpoint.shipped())
    commands = [shlex.split(line) for line in chain(name)]
    for words in commands:
        program, verb, *rest = words
        assert program == "gestalt3d" and verb in VERBS
        if verb == "train":
            default = recipe(rest[0])
            run = tyro.cli(TrainOptions, args=rest[1:], default=TrainOptions(default))
            assert set(run.recipe.init) <= made
            made.add(f"{run.out}/last.safetensors")
            assert (run.recipe.root is not None) == (
                re.split("[:-]", default.data)[0]
                not in ("rooms", "toyboxes", "parts", "views", "objects", "photos")
            )
            assert run.recipe.semantics is None or str(run.recipe.semantics.parent) in made
        elif verb == "average":
            files = rest[: rest.index("--shares")]
            assert set(files) <= made and len(rest[rest.index("--shares") + 1 : rest.index("-o")]) == len(
                files
            )
        else:
            assert rest[rest.index("-m") + 1] in made
            made.add(rest[rest.index("--submission") + 1])
    assert any(words[1:3] == ["train", name] for words in commands)


def test_help_of_a_recipe_shows_its_chain(capsys: pytest.CaptureFixture[str]) -> None:
    answer = Command(capsys)("train", "sgpn-s3dis", "--help")
    assert answer.code == 0 and "sgpn-s3dis-semantics" in answer.out


def test_mtml_on_scannet_is_the_papers() -> None:
    r = recipe("mtml-scannet")
    assert isinstance(r.model, MTMLConfig)
    assert (r.optim.lr, r.optim.schedule, r.scans_per_step, r.model.norm) == (5e-4, "constant", 2, False)
    assert r.optim.steps == 100 * 1201 // 2
    assert (r.data, r.validate, r.classes) == ("scannet:train", "scannet:val", "scannet20")
    assert isinstance(r.model, MTMLConfig) and r.augment.rotation and not r.augment.p_color


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k in range(2):
        write_scene(tmp_path / "scannet", f"scene000{k}_00", seed=k)
    return write_table(tmp_path / "scannet", train=["scene0000_00", "scene0001_00"], val=["scene0001_00"])


def _words(root: Path, out: Path) -> tuple[object, ...]:
    return (
        "train",
        "mtml-scannet",
        "--root",
        root,
        "-o",
        out,
        "--workers",
        0,
        "--stop-after",
        2,
        "--device",
        "cpu",
    )


def test_mtml_on_scannet_trains_on_true_classes_and_then_on_given_ones(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two stages of its Sec. 3.3; what is given is what another network predicted, in the benchmark's format."""
    command = Command(capsys)
    answer = command(*_words(root, tmp_path / "true"))
    assert answer.code == 0, answer.err
    first = tmp_path / "true" / "last.safetensors"
    bare = command("evaluate", "-m", first, "-d", "scannet:val", "--root", root)
    assert bare.code == 2 and "carries no semantic classes" in bare.err
    words = ("evaluate", "-m", "geometric", "-d", "scannet:all", "--root", root)
    assert command(*words, "--submission", tmp_path / "classes").code == 0
    given = ("--semantics", tmp_path / "classes" / "semantic")
    answer = command(*_words(root, tmp_path / "given"), *given, "--init", first)
    assert answer.code == 0, answer.err
    last = tmp_path / "given" / "last.safetensors"
    answer = command("evaluate", "-m", last, "-d", "scannet:val", "--root", root, *given)
    assert answer.code == 0 and "scene0001_00" in answer.out, answer.err


def test_given_classes_are_those_of_the_file_in_the_models_vocabulary(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    folder.mkdir()
    ids = np.array([5, 7, 13, 0, 41, 39] * VERTICES)[:VERTICES]
    for k in range(2):
        (folder / f"scene000{k}_00.txt").write_text("\n".join(map(str, ids)) + "\n")
    scan = open_data("scannet:train", root=root, semantics=folder)[0]
    assert scan.input.semantic is not None
    names = [SCANNET20.names[c] if c >= 0 else "" for c in scan.input.semantic[:6].tolist()]
    assert names == ["chair", "table", "", "", "", "otherfurniture"]
    mapped = open_data("scannet:train", root=root, semantics=folder, vocabulary=load("geometric").vocabulary)
    other = mapped[0].input.semantic
    assert other is not None and mapped.vocabulary.names[int(other[5])] == "clutter"


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "no such file"), ("5\n7\n", f"2 lines for {VERTICES} vertices"), ("chair\n", "not an integer")],
)
def test_given_classes_that_do_not_fit_are_one_line(
    root: Path, tmp_path: Path, text: str | None, words: str
) -> None:
    (tmp_path / "classes").mkdir()
    if text is not None:
        for k in range(2):
            (tmp_path / "classes" / f"scene000{k}_00.txt").write_text(text)
    with pytest.raises(UserError, match=words):
        open_data("scannet:train", root=root, semantics=tmp_path / "classes")[0]


def test_classes_are_given_with_scannet_only(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="scannet only"):
        open_data("rooms:val", semantics=tmp_path)


def test_mtml_trains_on_the_real_scene(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "scannet"
    small = replace(recipe("mtml-scannet"), root=root, workers=0, scans_per_step=1)
    last = train(small, tmp_path / "run", device="cpu", stop_after=2)
    truth = tmp_path / "truth"
    truth.mkdir()
    labels = (root / "gt" / "scene0000_00.txt").read_text().split()
    (truth / "scene0000_00.txt").write_text("".join(f"{int(v) // 1000}\n" for v in labels))
    given = open_data("scannet:train", root=root, vocabulary=SCANNET20, limit=1, semantics=truth)
    found = evaluate(load(last), given)
    assert found["scans"]["scene0000_00"]["mIoU"] == pytest.approx(100, abs=3)


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_a_card_holds_the_commands_that_rebuild_its_weights(name: str) -> None:
    """They parse, each starts from what an earlier one made, and what cannot be done again is said."""
    card = read_card(checkpoint.shipped()[name])
    assert all({"command", "seed", "steps", "weights_in_commit"} <= leg.keys() for leg in card["history"])
    assert card["not_rebuilt"].split()[-1] and "bits will differ" in card["not_rebuilt"]
    made, used = {*checkpoint.shipped()} - {name}, set[str]()
    for line in card["rebuild"]:
        program, verb, *rest = shlex.split(line)
        if (program, verb) == ("git", "show"):
            commit, _, file = rest[0].partition(":")
            assert file == f"gestalt3d/weights/{name}.safetensors" and commit.endswith("~1")
            assert commit.removesuffix("~1") == card["history"][-1]["weights_in_commit"]
            made.add(rest[-1])
        elif program == "gestalt3d" and verb == "train":
            run = tyro.cli(TrainOptions, args=rest[1:], default=TrainOptions(recipe(rest[0])))
            assert all(init in made or init.rpartition(".")[0] in made for init in run.recipe.init)
            used |= {*run.recipe.init}
            made.add(f"{run.out}/last.safetensors")
        elif program == "gestalt3d":
            assert verb == "average" and set(rest[: rest.index("--shares")]) <= made
        else:
            assert program == "python" and all(
                file in rest[0] for file in made - used if file.startswith("runs/")
            )
            compile(rest[0], name, "exec")


def test_the_parts_of_mtml_rooms_are_joined_as_its_card_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = checkpoint.shipped()["mtml-rooms"]
    method = checkpoint.load(weights)
    for part, made in (("mtml", method), ("semantics", method.semantics)):
        checkpoint.save(
            tmp_path / f"runs/{part}/last.safetensors", made.state_dict(), checkpoint.describe(made)
        )
    monkeypatch.chdir(tmp_path)
    exec(shlex.split(read_card(weights)["rebuild"][-1])[-1], {})
    joined, shipped = checkpoint.read(Path("mtml-rooms.safetensors")), checkpoint.read(weights)
    assert joined.tensors.keys() == shipped.tensors.keys()
    assert all(value.equal(joined.tensors[name]) for name, value in shipped.tensors.items())
