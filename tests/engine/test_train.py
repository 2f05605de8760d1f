"""Training resumes bit for bit, shares its batch over processes, and writes whole files only."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import open_data
from gestalt3d.data.augment import AugmentConfig
from gestalt3d.data.block_store import BlockStore
from gestalt3d.engine import checkpoint, provenance
from gestalt3d.engine.train import StepBatches, bn_momentum, learning_rate, train
from gestalt3d.errors import UserError
from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.recipes import PLAIN, Optim, Recipe, table_row
from tests.scenes import save_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("scans"), count=3)


def tiny(folder: Path, **changes: object) -> Recipe:
    model = ASISConfig(points=128, width_scale=0.25, width=16, group_size=8, neighbours=4, blocks_per_scan=1)
    recipe = Recipe(
        name="tiny",
        method="asis",
        model=model,
        optim=Optim(steps=6, ema=0.9, clip=1.0),
        data="folder",
        root=folder,
        classes="",
        scans_per_step=2,
        workers=0,
        checkpoint_every=2,
        log_every=1,
    )
    return replace(recipe, **changes)  # type: ignore[arg-type]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(path).tensors


def assert_equal(a: Path, b: Path) -> None:
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def test_a_stopped_run_resumes_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    whole = train(tiny(folder), tmp_path / "whole", device="cpu")
    train(tiny(folder), tmp_path / "parts", device="cpu", stop_after=3)
    parts = train(tiny(folder), tmp_path / "parts", device="cpu", resume=True)
    assert_equal(whole, parts)


def test_a_killed_run_resumes_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    whole = train(tiny(folder), tmp_path / "whole", device="cpu")

    class Killed(BaseException):
        pass

    def kill(step: int, _steps: int, _terms: dict[str, float]) -> None:
        if step == 5:  # one step after the checkpoint of step 4
            raise Killed

    with pytest.raises(Killed):
        train(tiny(folder), tmp_path / "killed", device="cpu", report=kill)
    resumed = train(tiny(folder), tmp_path / "killed", device="cpu", resume=True)
    assert_equal(whole, resumed)
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_training_learns(folder: Path, tmp_path: Path) -> None:
    recipe = tiny(folder, optim=Optim(steps=25, lr=5e-3))
    train(recipe, tmp_path, device="cpu")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_log_holds_the_terms_and_their_sum(folder: Path, tmp_path: Path) -> None:
    train(tiny(folder, optim=Optim(steps=1)), tmp_path, device="cpu")
    line = json.loads((tmp_path / "log.jsonl").read_text())
    parts = sum(line[k] for k in ("semantic", "variance", "distance", "regularisation"))
    assert line["loss"] == pytest.approx(parts, rel=1e-5)


def test_a_checkpoint_rebuilds_its_model(folder: Path, tmp_path: Path) -> None:
    last = train(tiny(folder, optim=Optim(steps=1)), tmp_path, device="cpu")
    method = checkpoint.load(last)
    assert method.config == tiny(folder).model
    assert not method.training


def test_weights_know_their_code_seed_and_initial_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(tiny(folder, optim=Optim(steps=1)), tmp_path / "a", device="cpu")
    monkeypatch.setattr(provenance, "commit", lambda: "0123456789ab")
    later = tiny(folder, optim=Optim(steps=3), seed=7)
    last = train(later, tmp_path / "b", device="cpu", init=str(first), stop_after=1)
    began = checkpoint.read(last).about["origin"]
    hashed = hashlib.sha256(first.read_bytes()).hexdigest()
    assert began["init"] == [{"name": str(first), "sha256": hashed}]
    assert (began["seed"], began["commit"], began["processes"]) == (7, "0123456789ab", 1)
    train(later, tmp_path / "b", device="cpu", resume=True, stop_after=2)
    assert checkpoint.read(last).about["origin"] == began
    monkeypatch.setattr(provenance, "commit", lambda: "ba9876543210")
    train(later, tmp_path / "b", device="cpu", resume=True)
    assert checkpoint.read(last).about["origin"] == {**began, "resumed": ["ba9876543210"]}
    checkpoint.export_weights(last, tmp_path / "w.safetensors", {})
    assert checkpoint.read(tmp_path / "w.safetensors").about["origin"]["init"] == began["init"]


def test_the_commit_is_that_of_the_checkout() -> None:
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a checkout")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    now = provenance.commit()
    assert now is not None and head.startswith(now.removesuffix("+")) and len(now) >= 12


def test_the_log_of_a_resumed_run_counts_on(folder: Path, tmp_path: Path) -> None:
    train(tiny(folder), tmp_path, device="cpu", stop_after=4)
    train(tiny(folder), tmp_path, device="cpu", resume=True)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def test_initial_weights_fit_other_classes(folder: Path, tmp_path: Path) -> None:
    first = train(tiny(folder, optim=Optim(steps=1)), tmp_path / "a", device="cpu")
    other = tiny(folder, classes="scannet20", optim=Optim(steps=1, lr=0.0, lr_floor=0.0))
    said: list[str] = []
    second = train(other, tmp_path / "b", device="cpu", init=str(first), note=said.append)
    a, b = tensors(first), tensors(second)
    assert len(said) == 1 and "classify.weight" in said[0] and "embed.weight" not in said[0]
    assert torch.equal(a["model.embed.weight"], b["model.embed.weight"])
    assert a["model.classify.weight"].shape != b["model.classify.weight"].shape


def test_initial_weights_of_another_network_are_refused(folder: Path, tmp_path: Path) -> None:
    first = train(tiny(folder, optim=Optim(steps=1)), tmp_path / "a", device="cpu")
    other = tiny(folder, model=replace(tiny(folder).model, backbone="pointnet"))
    with pytest.raises(UserError, match="tensors fit; it is another network"):
        train(other, tmp_path / "b", device="cpu", init=str(first))


def test_class_weights_are_those_of_the_scans_trained_on(folder: Path, tmp_path: Path) -> None:
    first = train(tiny(folder, optim=Optim(steps=1)), tmp_path / "a", device="cpu")
    balanced = tiny(folder, model=replace(tiny(folder).model, class_balance=0.5), optim=Optim(steps=1))
    second = train(balanced, tmp_path / "b", device="cpu", init=str(first))
    assert bool((tensors(first)["model.class_weights"] == 1).all())
    assert float(tensors(second)["model.class_weights"].std()) > 0


@pytest.mark.parametrize(
    ("resume", "prepare", "words"),
    [(True, False, "no checkpoint to resume"), (False, True, "holds a run already")],
)
def test_wrong_starts_are_refused(
    folder: Path, tmp_path: Path, resume: bool, prepare: bool, words: str
) -> None:
    if prepare:
        train(tiny(folder, optim=Optim(steps=1)), tmp_path, device="cpu")
    with pytest.raises(UserError, match=words):
        train(tiny(folder), tmp_path, device="cpu", resume=resume)


def test_resuming_with_another_recipe_is_refused(folder: Path, tmp_path: Path) -> None:
    train(tiny(folder, optim=Optim(steps=1)), tmp_path, device="cpu")
    with pytest.raises(UserError, match="another seed"):
        train(tiny(folder, optim=Optim(steps=1), seed=5), tmp_path, device="cpu", resume=True)


def test_two_processes_see_the_halves_of_one_batch(folder: Path) -> None:
    recipe = tiny(folder, augment=AugmentConfig())
    scans = open_data("folder", root=folder)
    method = ASIS.from_config(recipe.model, scans.vocabulary)  # type: ignore[arg-type]
    (one,) = StepBatches(scans, method, recipe, rank=0, world=1)[3]
    halves = [StepBatches(scans, method, recipe, rank=r, world=2)[3][0] for r in (0, 1)]
    separate = StepBatches(scans, method, replace(recipe, separate_scans=True), rank=0, world=1)[3]
    for whole, *parts in zip(one, *halves, *separate, strict=True):
        assert torch.equal(whole, torch.cat(parts[:2])) and torch.equal(whole, torch.cat(parts[2:]))


def test_separate_scans_take_the_mean_gradient(folder: Path, tmp_path: Path) -> None:
    """With batch norm frozen a step on two scans is the same, one after the other or together."""
    first = str(train(tiny(folder, optim=Optim(steps=1)), tmp_path / "first", device="cpu"))
    recipe = tiny(folder, optim=Optim(steps=1, lr=1e-3, clip=1.0), freeze_bn=True)
    recipe = replace(recipe, model=replace(recipe.model, dropout=0.0, neighbours=1))  # type: ignore[call-arg]
    together = train(recipe, tmp_path / "together", device="cpu", init=first)
    apart = train(replace(recipe, separate_scans=True), tmp_path / "apart", device="cpu", init=first)
    logs = [json.loads((file.parent / "log.jsonl").read_text())["loss"] for file in (together, apart)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-5)
    one, other = (
        {name: value for name, value in tensors(file).items() if name.endswith("exp_avg")}
        for file in (together, apart)
    )
    assert len(one) > 10
    for name, gradient in one.items():
        assert torch.allclose(gradient, other[name], rtol=1e-3, atol=1e-6), name


@pytest.mark.skipif(sys.platform == "win32", reason="torchrun with gloo is tested on Linux and macOS")
def test_gradients_of_two_processes_equal_one_at_twice_the_batch(folder: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("gradients.py")
    env = os.environ | {
        "OMP_NUM_THREADS": "1",
        "GESTALT3D_TEST_SCANS": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node"]
    for count in (1, 2):
        out = tmp_path / f"{count}.pt"
        subprocess.run(
            [*command, str(count), str(script), str(out)],
            check=True,
            env=env,
            timeout=240,
            capture_output=True,
        )
    one, two = (torch.load(tmp_path / f"{count}.pt", weights_only=True) for count in (1, 2))
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, rtol=0, atol=1e-5)


def test_batch_norm_that_was_never_trained_is_not_frozen(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"never trained.*--init"):
        train(tiny(folder, freeze_bn=True), tmp_path / "a", device="cpu")
    assert not (tmp_path / "a").exists()
    first = train(tiny(folder, optim=Optim(steps=1)), tmp_path / "first", device="cpu")
    frozen = tiny(folder, freeze_bn=True, optim=Optim(steps=2))
    train(frozen, tmp_path / "b", device="cpu", init=str(first), stop_after=1)
    last = train(frozen, tmp_path / "b", device="cpu", resume=True)
    before, after = tensors(first), tensors(last)
    norms = [name for name in before if name.startswith("model.") and "running_" in name]
    assert norms and all(torch.equal(before[name], after[name]) for name in norms)


def stored(folder: Path, **changes: object) -> Recipe:
    return tiny(folder, augment=PLAIN, stored_blocks=True, scans_per_step=4, **changes)


def test_a_run_on_stored_blocks_resumes_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    whole = train(stored(folder, workers=1), tmp_path / "whole", device="cpu")
    train(stored(folder), tmp_path / "parts", device="cpu", stop_after=3)
    parts = train(stored(folder), tmp_path / "parts", device="cpu", resume=True)
    assert_equal(whole, parts)


def test_two_processes_share_the_stored_blocks_of_a_step(folder: Path, tmp_path: Path) -> None:
    recipe = stored(folder)
    scans = open_data("folder", root=folder)
    method = ASIS.from_config(recipe.model, scans.vocabulary)  # type: ignore[arg-type]
    blocks = BlockStore(scans, method.lattice, method.lattice_settings(), root=tmp_path)
    batches = [
        StepBatches(scans, method, recipe, rank=rank, world=world, blocks=blocks)
        for rank, world in ((0, 1), (0, 2), (1, 2))
    ]
    assert batches[0].epoch == len(blocks) / 4
    for step in range(len(blocks) // 4 + 2):  # into the second epoch
        (one,), *halves = (part[step] for part in batches)
        for whole, *parts in zip(one, *(half[0] for half in halves), strict=True):
            assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment": AugmentConfig()}, "cannot be augmented"),
        ({"method": "mtml", "model": MTMLConfig(norm=True)}, "'mtml' has no blocks"),
    ],
)
def test_blocks_are_stored_only_where_they_can_be(
    folder: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        train(replace(stored(folder), **changes), tmp_path / "run", device="cpu")  # type: ignore[arg-type]


def test_schedules() -> None:
    paper = Optim(steps=10**6)
    assert learning_rate(paper, 0) == 1e-3
    assert learning_rate(paper, 12_500) == 5e-4  # 300,000 samples at batch 24
    assert learning_rate(paper, 10**6) == paper.lr_floor
    assert bn_momentum(paper, 0) == 0.5
    assert bn_momentum(paper, 10**6) == 0.01
    cosine = Optim(steps=100, schedule="cosine", warmup=10, lr=1.0)
    assert learning_rate(cosine, 0) == pytest.approx(0.1)
    assert learning_rate(cosine, 10) == 1.0
    assert learning_rate(cosine, 99) < 0.01


def test_rows_of_a_table_differ_in_the_method_alone() -> None:
    rows = [table_row(key, steps=10, seed=1) for key in ("vanilla-pn", "if-pn", "sa-pn", "asis-pn")]
    for row in rows[1:]:
        same = replace(row, name=rows[0].name, model=rows[0].model)
        assert same == rows[0]
    switches = {(r.model.semantic_awareness, r.model.instance_fusion) for r in rows}  # type: ignore[union-attr]
    assert len(switches) == 4
