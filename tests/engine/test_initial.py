"""Weights to start from: the method's own, and those of its parts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gestalt3d.engine.checkpoint import describe, save
from gestalt3d.engine.initial import initialise
from gestalt3d.errors import UserError
from gestalt3d.methods.mtml import MTML, MTMLConfig
from gestalt3d.methods.staged import Staged, StagedConfig
from gestalt3d.methods.unet import UNet, UNetConfig
from gestalt3d.structures.vocabulary import S3DIS, SCANNET21

FINE = UNetConfig(width=4, levels=2)
PARTER = MTMLConfig(width=4, first_kernel=3)
JOINT = StagedConfig(FINE, PARTER)


def stored(path: Path, method: UNet | MTML | Staged) -> str:
    save(path, method.state_dict(), describe(method))
    return str(path)


@pytest.fixture
def semantics(tmp_path: Path) -> str:
    torch.manual_seed(1)
    return stored(tmp_path / "semantics.safetensors", UNet.from_config(FINE, S3DIS))


@pytest.fixture
def instances(tmp_path: Path) -> str:
    torch.manual_seed(2)
    return stored(tmp_path / "instances.safetensors", MTML.from_config(PARTER, S3DIS))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_each_file_fills_its_part(semantics: str, instances: str, order: tuple[int, int]) -> None:
    method = Staged.from_config(JOINT, S3DIS)
    files = [semantics, instances]
    said = initialise(method, [files[i] for i in order])
    assert "anew" not in said and semantics in said and instances in said
    torch.manual_seed(1)
    unet = UNet.from_config(FINE, S3DIS)
    torch.manual_seed(2)
    mtml = MTML.from_config(PARTER, S3DIS)
    for name, value in method.state_dict().items():
        part, _, rest = name.partition(".")
        assert torch.equal(value, unet.state_dict()[rest] if part == "semantics" else mtml.state_dict()[rest])


def test_a_whole_model_fills_everything(semantics: str, instances: str, tmp_path: Path) -> None:
    method = Staged.from_config(JOINT, S3DIS)
    initialise(method, [semantics, instances])
    whole = stored(tmp_path / "whole.safetensors", method)
    twin = Staged.from_config(JOINT, S3DIS)
    assert "anew" not in initialise(twin, [whole])
    assert all(torch.equal(v, twin.state_dict()[n]) for n, v in method.state_dict().items())


def test_a_part_of_a_whole_model_is_named_after_a_dot(semantics: str, instances: str, tmp_path: Path) -> None:
    method = Staged.from_config(JOINT, S3DIS)
    initialise(method, [semantics, instances])
    whole = stored(tmp_path / "whole.safetensors", method)
    wanted = method.semantics.state_dict()
    unet = UNet.from_config(FINE, S3DIS)
    assert "anew" not in initialise(unet, [f"{whole}.semantics"])
    assert all(torch.equal(v, unet.state_dict()[n]) for n, v in wanted.items())
    twin = Staged.from_config(JOINT, S3DIS)
    before = twin.parter.trunk.stem.weight.clone()
    own = sum(name.startswith("parter.") for name in twin.state_dict())
    assert initialise(twin, [f"{whole}.semantics"]).partition("anew: ")[2] == f"parter ({own} tensors)"
    assert torch.equal(twin.parter.trunk.stem.weight, before)
    assert all(torch.equal(v, twin.semantics.state_dict()[n]) for n, v in wanted.items())
    with pytest.raises(UserError, match=r"has no part 'trunk'; its parts are parter, semantics$"):
        initialise(unet, [f"{whole}.trunk"])
    with pytest.raises(UserError, match=r"has no part 'semantics'; it has no parts$"):
        initialise(unet, [f"{instances}.semantics"])
    with pytest.raises(UserError, match="no such weight file"):
        initialise(unet, [f"{tmp_path}/nothing.semantics"])


def test_a_part_of_the_methods_kind_is_found_in_a_whole_model(
    semantics: str, instances: str, tmp_path: Path
) -> None:
    method = Staged.from_config(JOINT, S3DIS)
    initialise(method, [semantics, instances])
    whole = stored(tmp_path / "whole.safetensors", method)
    for part in (method.parter, method.semantics):
        assert isinstance(part, MTML | UNet)
        twin = type(part).from_config(part.config, S3DIS)  # type: ignore[arg-type]
        assert "anew" not in initialise(twin, [whole])
        assert all(torch.equal(v, twin.state_dict()[n]) for n, v in part.state_dict().items())


def test_a_part_that_learns_takes_what_fits(semantics: str, instances: str) -> None:
    wider = replace(JOINT, parter=replace(PARTER, embedding=6, turns=3))
    said = initialise(Staged.from_config(wider, S3DIS), [instances, semantics])
    assert said.partition("anew: ")[2].split(", ") == ["parter.embed.weight", "parter.embed.after.bias"]


def test_a_part_that_does_not_learn_must_be_given(semantics: str, instances: str) -> None:
    with pytest.raises(UserError, match=r"uses semantics as they are.*trained 'unet' with --init"):
        initialise(Staged.from_config(JOINT, S3DIS), [instances])
    said = initialise(Staged.from_config(JOINT, S3DIS), [semantics])
    assert "parter (" in said.partition("anew")[2] and "semantics (" not in said.partition("anew")[2]


def test_a_part_of_other_settings_or_classes_is_refused(semantics: str) -> None:
    larger = replace(JOINT, semantics=replace(FINE, voxel_size=0.1))
    with pytest.raises(UserError, match=r"its voxel_size is 0\.05, this recipe's 0\.1; set --model"):
        initialise(Staged.from_config(larger, S3DIS), [semantics])
    with pytest.raises(UserError, match="knows other classes"):
        initialise(Staged.from_config(JOINT, SCANNET21), [semantics])
    with pytest.raises(UserError, match=r"holds the method 'unet', this recipe takes 'mtml'$"):
        initialise(MTML.from_config(PARTER, S3DIS), [semantics])
