"""Training resumes bit for bit, shares its batch over processes, and writes whole files only."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import open_data
from gestalt3d.data.augment import PLAIN, AugmentConfig
from gestalt3d.data.block_store import BlockStore
from gestalt3d.engine import checkpoint, provenance
from gestalt3d.engine.batches import StepBatches
from gestalt3d.engine.log import read_log
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.engine.resume import carried_on
from gestalt3d.engine.schedules import bn_momentum, learning_rate
from gestalt3d.engine.train import train
from gestalt3d.errors import UserError
from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.rooms.backbone import PointNetConfig
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.reproduce import asis_rows
from tests.engine import gradients
from tests.scenes import save_folder
from tests.settings import changed


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(tmp_path_factory.mktemp("scans"), count=3)


def tiny(folder: Path, **changes: object) -> Recipe:
    model = changed(
        ASISConfig(width=16, neighbours=4),
        backbone={"width_scale": 0.25, "group_size": 8},
        blocks={"points": 128},
        training={"blocks_per_scan": 1},
    )
    recipe = Recipe(
        name="tiny",
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


ONE_STEP = Optim(steps=1)


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tiny recipe ends with where nothing stops it."""
    return train(tiny(folder), tmp_path_factory.mktemp("whole"), device="cpu")


@pytest.fixture(scope="module")
def first(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one step leaves. To be read, not to be gone on with."""
    return train(tiny(folder, optim=ONE_STEP), tmp_path_factory.mktemp("first"), device="cpu")


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(path).tensors


def assert_equal(a: Path, b: Path) -> None:
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


def test_a_stopped_run_resumes_bit_for_bit(whole: Path, folder: Path, tmp_path: Path) -> None:
    train(tiny(folder), tmp_path / "parts", device="cpu", stop_after=3)
    parts = train(tiny(folder), tmp_path / "parts", device="cpu", resume=True)
    assert_equal(whole, parts)


def test_a_killed_run_resumes_bit_for_bit(whole: Path, folder: Path, tmp_path: Path) -> None:

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 0), (signal.SIGTERM, 1)])
def test_the_first_signal_finishes_the_step_and_saves_it(
    whole: Path, folder: Path, tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    before = signal.getsignal(number)
    out = tmp_path / "stopped"
    with pytest.raises(
        KeyboardInterrupt, match=r"step 3 of 6 and saved; go on with: gestalt3d train --resume --out"
    ):
        train(tiny(folder, workers=workers), out, device="cpu", report=at_step(3, number))
    assert signal.getsignal(number) is before
    assert checkpoint.read(out / "last.safetensors").about["run"]["step"] == 3
    resumed = train(tiny(folder), out, device="cpu", resume=True)
    assert_equal(whole, resumed)


def at_step(wanted: int, *numbers: signal.Signals) -> Callable[[int, int, dict[str, float]], None]:
    """A report that sends this process signals after a step."""

    def report(step: int, _steps: int, _terms: dict[str, float]) -> None:
        for number in numbers if step == wanted else ():
            signal.raise_signal(number)

    return report


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_the_second_signal_ends_at_once_and_leaves_the_last_checkpoint(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="at once; the last checkpoint is whole; go on with"):
        train(tiny(folder), tmp_path, device="cpu", report=at_step(3, signal.SIGINT, signal.SIGINT))
    assert checkpoint.read(tmp_path / "last.safetensors").about["run"]["step"] == 2


def test_more_steps_go_on_as_if_they_had_been_planned_where_the_rate_knows_no_end(
    folder: Path, tmp_path: Path
) -> None:
    optim, said = Optim(steps=4, ema=0.9, schedule="constant"), []
    long = replace(optim, steps=6)
    whole = train(tiny(folder, optim=long), tmp_path / "whole", device="cpu")
    train(tiny(folder, optim=optim), tmp_path / "parts", device="cpu")
    parts = train(tiny(folder, optim=long), tmp_path / "parts", device="cpu", resume=True, note=said.append)
    assert_equal(whole, parts)
    assert "going on at step 5 of 6 instead of 4" in said
    assert json.loads((tmp_path / "parts" / "recipe.json").read_text())["optim"]["steps"] == 6


def test_more_steps_of_a_cosine_say_what_becomes_of_the_rate() -> None:
    short = Recipe(
        name="a", data="folder", model=ASISConfig(), optim=Optim(steps=100, schedule="cosine", lr=1e-3)
    )
    long = replace(short, optim=replace(short.optim, steps=200))
    line = carried_on(short, long, 100, learning_rate)
    assert "step 101 of 200 instead of 100" in line and "goes on at 0.0005 (it would be 1e-05" in line


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"optim": Optim(steps=1, lr=2e-3)}, "--optim.lr is 0.001 there and 0.002 here"),
        ({"optim": Optim(steps=1, clip=1.0)}, "--optim.clip is 0.0 there and 1.0 here"),
        ({"augment": AugmentConfig(p_tilt=0.1)}, "--augment.p-tilt is 0.5 there and 0.1 here"),
        ({"seed": 5}, "--seed is 0 there and 5 here"),
    ],
)
def test_a_value_that_differs_from_the_resumed_run_is_named(
    first: Path, folder: Path, changes: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        train(tiny(folder, **{"optim": ONE_STEP, **changes}), first.parent, device="cpu", resume=True)


def test_logged_losses_are_means_and_the_first_step_is_logged(
    whole: Path, folder: Path, tmp_path: Path
) -> None:
    train(tiny(folder, log_every=3), tmp_path, device="cpu")
    each, seldom = ({row["step"]: row["loss"] for row in read_log(out)} for out in (whole.parent, tmp_path))
    assert list(seldom) == [1, 3, 6] and seldom[1] == each[1]
    assert seldom[6] == pytest.approx(np.mean([each[4], each[5], each[6]]))


def test_a_held_out_share_is_validated_and_never_learnt_from(
    whole: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: set[str] = set()
    plain = StepBatches._one

    def watched(self: StepBatches, step: int, slot: int) -> object:
        learnt.update(self.scans.names)
        return plain(self, step, slot)

    monkeypatch.setattr(StepBatches, "_one", watched)
    said: list[str] = []
    recipe = tiny(folder, hold_out=0.3, validate_every=4)
    last = train(recipe, tmp_path, device="cpu", note=said.append)
    kept = next(line for line in said if line.startswith("held out")).rpartition(": ")[2]
    assert {*learnt, kept} == {"tiny0", "tiny1", "tiny2"} and kept not in learnt
    validated = [row for row in read_log(tmp_path) if "val_mCov" in row]
    assert [row["step"] for row in validated] == [4, 6]
    best = checkpoint.read(last.with_name("best.safetensors")).about["run"]
    assert best["best"] == max(row["val_mCov"] for row in validated)
    assert (tmp_path / "loss.png").stat().st_size > 1000
    assert not whole.with_name("best.safetensors").exists()


def test_scans_that_are_learnt_from_validate_nothing(folder: Path, tmp_path: Path) -> None:
    recipe = tiny(folder, validate="folder", validate_every=1, optim=ONE_STEP)
    train(recipe, tmp_path, device="cpu")
    assert [row["step"] for row in read_log(tmp_path)] == [1]
    assert not (tmp_path / "best.safetensors").exists()


def test_too_few_scans_hold_none_out_and_say_so(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    recipe = tiny(folder, hold_out=0.3, validate_every=1, count=2, optim=ONE_STEP)
    train(recipe, tmp_path, device="cpu", note=said.append)
    assert any("too few to hold some out of 2" in line for line in said)
    assert not (tmp_path / "best.safetensors").exists()


def test_what_is_learnt_from_is_said_in_words(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    train(tiny(folder, optim=ONE_STEP), tmp_path, device="cpu", note=said.append, epochs=3)
    assert "3 scans, 9,000 points, 15 instances (" in said[0] and "floor: 3" in said[0]
    assert any(line.startswith("4 steps of 2 scans, every scan about 3 times; on cpu") for line in said)
    assert [row["step"] for row in read_log(tmp_path)] == [1, 2, 3, 4]


def test_running_out_of_memory_says_what_to_lower(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried …"
        )

    monkeypatch.setattr(StepBatches, "_one", full)
    with pytest.raises(UserError, match="out of memory at step 1; lower --scans-per-step"):
        train(tiny(folder), tmp_path, device="cpu")


def test_the_best_is_that_of_the_first_figure_that_the_recipe_validates_by(
    folder: Path, tmp_path: Path
) -> None:
    recipe = tiny(
        folder,
        model=UNetConfig(width=4, levels=2, voxel_size=0.2),
        hold_out=0.3,
        validate_every=2,
        validate_by=("mIoU", "oAcc"),
    )
    last = train(recipe, tmp_path, device="cpu")
    scores = {row["step"]: row["val_mIoU"] for row in read_log(tmp_path) if "val_mIoU" in row}
    run = checkpoint.read(last.with_name("best.safetensors")).about["run"]
    assert run["best"] == max(scores.values()) == scores[run["best_step"]]


def test_a_figure_that_there_is_not_is_named(folder: Path, tmp_path: Path) -> None:
    recipe = tiny(folder, hold_out=0.3, validate_every=1, validate_by=("mIou",))
    with pytest.raises(UserError, match=r"--validate-by mIou: no such figure; there are .*mIoU"):
        train(recipe, tmp_path, device="cpu")


def test_training_learns(folder: Path, tmp_path: Path) -> None:
    recipe = tiny(folder, optim=Optim(steps=25, lr=5e-3))
    train(recipe, tmp_path, device="cpu")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_log_holds_the_terms_and_their_sum(first: Path) -> None:
    line = json.loads(first.with_name("log.jsonl").read_text())
    parts = sum(line[k] for k in ("semantic", "variance", "distance", "regularisation"))
    assert line["loss"] == pytest.approx(parts, rel=1e-5)


def test_a_checkpoint_rebuilds_its_model(first: Path, folder: Path) -> None:
    method = checkpoint.load(first)
    assert method.config == tiny(folder).model
    assert not method.training


def test_weights_know_their_code_seed_and_initial_files(
    first: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "commit", lambda: "0123456789ab")
    later = tiny(folder, optim=Optim(steps=3), seed=7)
    last = train(replace(later, init=(str(first),)), tmp_path / "b", device="cpu", stop_after=1)
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


def test_initial_weights_fit_other_classes(first: Path, folder: Path, tmp_path: Path) -> None:
    other = tiny(folder, classes="scannet20", optim=Optim(steps=1, lr=1e-30, lr_floor=0.0))
    said: list[str] = []
    second = train(replace(other, init=(str(first),)), tmp_path / "b", device="cpu", note=said.append)
    a, b = tensors(first), tensors(second)
    (taken,) = [line for line in said if "tensors are those of" in line]
    assert "classify.weight" in taken and "embed.weight" not in taken
    assert torch.equal(a["model.embed.weight"], b["model.embed.weight"])
    assert a["model.classify.weight"].shape != b["model.classify.weight"].shape


def test_initial_weights_of_another_network_are_refused(first: Path, folder: Path, tmp_path: Path) -> None:
    other = tiny(folder, model=replace(tiny(folder).model, backbone=PointNetConfig()))
    with pytest.raises(UserError, match=r"tensors fit, .* weights; it is another network"):
        train(replace(other, init=(str(first),)), tmp_path / "b", device="cpu")


def test_class_weights_are_those_of_the_scans_trained_on(first: Path, folder: Path, tmp_path: Path) -> None:
    balanced = tiny(
        folder, model=changed(tiny(folder).model, training={"class_balance": 0.5}), optim=Optim(steps=1)
    )
    second = train(replace(balanced, init=(str(first),)), tmp_path / "b", device="cpu")
    assert bool((tensors(first)["model.class_weights"] == 1).all())
    assert float(tensors(second)["model.class_weights"].std()) > 0


def test_wrong_starts_are_refused(first: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint to resume"):
        train(tiny(folder), tmp_path, device="cpu", resume=True)
    with pytest.raises(UserError, match="holds a run already"):
        train(tiny(folder), first.parent, device="cpu")


def test_two_processes_see_the_halves_of_one_batch(folder: Path) -> None:
    recipe = tiny(folder, augment=AugmentConfig())
    scans = open_data("folder", root=folder)
    method = ASIS.from_config(recipe.model, scans.vocabulary)  # type: ignore[arg-type]
    (one,) = StepBatches(scans, method, recipe, rank=0, world=1)[3]
    halves = [StepBatches(scans, method, recipe, rank=r, world=2)[3][0] for r in (0, 1)]
    separate = StepBatches(scans, method, replace(recipe, separate_scans=True), rank=0, world=1)[3]
    for whole, *parts in zip(one, *halves, *separate, strict=True):
        assert torch.equal(whole, torch.cat(parts[:2])) and torch.equal(whole, torch.cat(parts[2:]))


def test_separate_scans_take_the_mean_gradient(first: Path, folder: Path, tmp_path: Path) -> None:
    """With batch norm frozen a step on two scans is the same, one after the other or together."""
    recipe = tiny(folder, optim=Optim(steps=1, lr=1e-3, clip=1.0), freeze_bn=True)
    recipe = replace(recipe, model=replace(recipe.model, dropout=0.0, neighbours=1))  # type: ignore[call-arg]
    together = train(replace(recipe, init=(str(first),)), tmp_path / "together", device="cpu")
    apart = train(replace(recipe, separate_scans=True, init=(str(first),)), tmp_path / "apart", device="cpu")
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
    env = os.environ | {
        "OMP_NUM_THREADS": "1",
        "GESTALT3D_TEST_SCANS": str(folder),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    script, out = Path(gradients.__file__), tmp_path / "two.pt"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*torchrun, str(script), str(out)], check=True, env=env, timeout=240, capture_output=True)
    one, two = gradients.gradient(folder), torch.load(out, weights_only=True)
    assert len(one) > 20 and one.keys() == two.keys()
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, rtol=0, atol=1e-5)


def test_batch_norm_that_was_never_trained_is_not_frozen(first: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"never trained.*--init"):
        train(tiny(folder, freeze_bn=True), tmp_path / "a", device="cpu")
    assert not (tmp_path / "a").exists()
    frozen = tiny(folder, freeze_bn=True, optim=Optim(steps=2))
    train(replace(frozen, init=(str(first),)), tmp_path / "b", device="cpu", stop_after=1)
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


def test_cutting_blocks_says_how_far_it_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))
    told: list[tuple[str, float, int]] = []
    train(
        stored(folder), tmp_path / "run", device="cpu", stop_after=1, on_progress=lambda *it: told.append(it)
    )
    count = len(open_data("folder", root=folder))
    assert told and {stage for stage, _, _ in told} == {"cutting blocks"}
    assert [done for _, done, total in told if total == count][-1] == count > 1


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


def test_epochs_of_stored_blocks_are_counted_in_blocks(folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    train(stored(folder), tmp_path / "run", device="cpu", epochs=0.5, note=said.append)
    blocks = int(next(line for line in said if "each epoch" in line).split()[0])
    assert read_log(tmp_path / "run")[-1]["step"] == round(0.5 * blocks / 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augment": AugmentConfig()}, "cannot be augmented"),
        ({"model": MTMLConfig(norm=True)}, "'mtml' has no blocks"),
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
    rows = [asis_rows.row(key, steps=10, seed=1) for key in ("vanilla-pn", "if-pn", "sa-pn", "asis-pn")]
    for row in rows[1:]:
        same = replace(row, name=rows[0].name, model=rows[0].model)
        assert same == rows[0]
    switches = {(r.model.semantic_awareness, r.model.instance_fusion) for r in rows}  # type: ignore[union-attr]
    assert len(switches) == 4
