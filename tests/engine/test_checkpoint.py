"""A weight file rebuilds its model alone, says what is wrong with it, and is never a pickle."""

import json
import multiprocessing
import multiprocessing.context
import os
import stat
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import load
from gestalt3d.errors import UserError
from gestalt3d.methods.mtml import MTML, MTMLConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.structures.vocabulary import S3DIS, VOCABULARIES, Vocabulary
from tests.command import save_weights
from tests.engine import fresh
from tests.scenes import tiny_scan


def test_a_weight_file_rebuilds_its_model(tmp_path: Path) -> None:
    path = save_weights(
        tmp_path / "w.safetensors", "asis", bandwidth=0.7, backbone={"radii": (0.2, 0.4, 0.8, 1.6)}
    )
    method = checkpoint.load(path)
    assert method.config.bandwidth == 0.7 and method.config.backbone.radii == (0.2, 0.4, 0.8, 1.6)
    assert method.vocabulary == S3DIS and not method.training
    for name, value in checkpoint.read(path).tensors.items():
        assert torch.equal(method.state_dict()[name], value)


@pytest.mark.parametrize("method", ["asis", "sgpn"])
def test_the_name_of_the_method_is_in_the_file(tmp_path: Path, method: str) -> None:
    path = save_weights(tmp_path / "w.safetensors", method)
    assert load(path).method.name == method and load(path).name == "w"


def test_averaged_weights_of_a_checkpoint_come_first(tmp_path: Path) -> None:
    stored = checkpoint.read(save_weights(tmp_path / "w.safetensors"))
    tensors = {f"model.{n}": v for n, v in stored.tensors.items()}
    averaged = {n: v + 1 if v.is_floating_point() else v for n, v in stored.tensors.items()}
    checkpoint.save(tmp_path / "c.safetensors", {**tensors, "optim.0.step": torch.ones(1)}, stored.about)
    plain = checkpoint.load(tmp_path / "c.safetensors").state_dict()
    ema = {f"ema.{n}": v for n, v in averaged.items()}
    checkpoint.save(tmp_path / "c.safetensors", {**tensors, **ema}, stored.about)
    mean = checkpoint.load(tmp_path / "c.safetensors").state_dict()
    name = next(n for n, v in plain.items() if v.is_floating_point())
    assert torch.equal(plain[name], stored.tensors[name]) and torch.equal(mean[name], plain[name] + 1)


def test_weights_fit_whatever_the_number_of_classes_in_part(tmp_path: Path) -> None:
    stored = checkpoint.read(save_weights(tmp_path / "w.safetensors"))
    words = Vocabulary("two", ("yes", "no"))
    twin = checkpoint.build(
        {
            **stored.about,
            "vocabulary": {"title": "two", "names": ["yes", "no"], "official_ids": [], "structure": []},
        },
        "here",
    )
    assert twin.vocabulary == words
    differing = checkpoint.load_into(twin, stored, partial=True)
    assert differing and all(13 in stored.tensors[n].shape for n in differing)
    same = [n for n in stored.tensors if n not in differing]
    assert all(torch.equal(twin.state_dict()[n], stored.tensors[n]) for n in same) and same
    with pytest.raises(UserError, match="does not fit"):
        checkpoint.load_into(twin, stored)


def test_settings_may_be_negative_where_their_range_allows(tmp_path: Path) -> None:
    made = MTML.from_config(MTMLConfig(width=2, proposals=ProposalConfig(merge_gain=-0.5)), S3DIS)
    checkpoint.save(tmp_path / "w.safetensors", made.state_dict(), checkpoint.describe(made))
    assert checkpoint.load(tmp_path / "w.safetensors").config.proposals.merge_gain == -0.5
    about = checkpoint.describe(made)
    about["config"]["proposals"]["merge_gain"] = -1.5
    checkpoint.save(tmp_path / "w.safetensors", made.state_dict(), about)
    with pytest.raises(
        UserError, match=r"w\.safetensors: config\.proposals\.merge_gain -1\.5: must be at least -1"
    ):
        checkpoint.load(tmp_path / "w.safetensors")


def test_claims_of_the_metadata_take_no_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    stored = checkpoint.read(save_weights(tmp_path / "w.safetensors"))
    about = {**stored.about, "config": {**stored.about["config"], "width": 60_000}}
    checkpoint.save(tmp_path / "lie.safetensors", stored.tensors, about)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="does not fit"):
        checkpoint.load(tmp_path / "lie.safetensors")
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    )  # kB; the layers claim 14 GB each


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files are POSIX's")
def test_weights_may_be_read_by_whom_other_files_may(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        path = save_weights(tmp_path / "w.safetensors")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_exported_weights_are_small_and_carry_a_card(tmp_path: Path) -> None:
    stored = checkpoint.read(save_weights(tmp_path / "w.safetensors"))
    tensors = {f"{p}.{n}": v for p in ("model", "ema") for n, v in stored.tensors.items()}
    about = {**stored.about, "recipe": {"name": "x"}, "run": {"step": 3}}
    checkpoint.save(tmp_path / "c.safetensors", tensors, about)
    out = tmp_path / "out" / "mine.safetensors"
    checkpoint.export_weights(tmp_path / "c.safetensors", out, {"data": "rooms"})
    exported = checkpoint.read(out)
    assert exported.tensors.keys() == stored.tensors.keys() and "recipe" not in exported.about
    assert json.loads(out.with_suffix(".json").read_text()) == {"data": "rooms"}
    assert load(out).segment(tiny_scan(points=600).input).masks.size == 600


def test_weights_of_half_the_precision_take_half_the_space_and_say_nearly_the_same(tmp_path: Path) -> None:
    file = save_weights(tmp_path / "w.safetensors")
    out = tmp_path / "half.safetensors"
    checkpoint.export_weights(file, out, {}, half=True)
    whole, half = checkpoint.load(file), checkpoint.load(out)
    assert out.stat().st_size < 0.7 * file.stat().st_size
    for name, value in whole.state_dict().items():
        own = half.state_dict()[name]
        assert own.dtype == value.dtype
        torch.testing.assert_close(own, value, rtol=1e-3, atol=1e-6)
        assert value.ndim > 1 or torch.equal(own, value)
    stored = checkpoint.read(file)
    wide = next(name for name, value in stored.tensors.items() if value.ndim > 1)
    checkpoint.save(file, {**stored.tensors, wide: stored.tensors[wide] + 1e6}, stored.about)
    with pytest.raises(UserError, match="beyond those of float16"):
        checkpoint.export_weights(file, out, {}, half=True)


def test_shipped_weights_are_small_and_fit(tmp_path: Path) -> None:
    shipped = checkpoint.shipped()
    if not shipped:
        pytest.skip("no weights in this checkout")
    for name, path in shipped.items():
        assert path.stat().st_size <= 16e6, name
        assert checkpoint.load(name).vocabulary in VOCABULARIES.values()


@pytest.fixture(scope="module")
def processes() -> multiprocessing.context.BaseContext:
    """New processes, forked where that can be from one that has imported torch and numba and nothing of ours."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "numba"])
    return context


@pytest.mark.parametrize("name", sorted(checkpoint.shipped()))
def test_shipped_weights_segment_in_a_process_that_has_imported_nothing_else(
    processes: multiprocessing.context.BaseContext, name: str
) -> None:
    """Modules are imported when they are needed, and what they make then must be there to stay."""
    with ProcessPoolExecutor(1, mp_context=processes) as process:
        assert process.submit(fresh.segmented, name).result(timeout=300) == 60


def test_weights_are_loaded_without_torchs_compiler(processes: multiprocessing.context.BaseContext) -> None:
    """But for those of Mask R-CNN, whose parts are torchvision's."""
    for name, path in checkpoint.shipped().items():
        with ProcessPoolExecutor(1, mp_context=processes) as process:
            loaded = process.submit(fresh.loads_the_compiler, name).result(timeout=300)
        assert loaded == (checkpoint.method_in(path) == "mask-rcnn"), name


def test_the_device_is_one_of_this_machine() -> None:
    assert checkpoint.usable_device("cpu").type == "cpu"
    assert checkpoint.usable_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UserError, match="--device nonsense"):
        checkpoint.usable_device("nonsense")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no CUDA"):
            checkpoint.usable_device("cuda:0")
