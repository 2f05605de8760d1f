"""From labelled scans to a model that parts unlabelled ones: the semantic stage, then MTML on what it predicts."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gestalt3d.engine.checkpoint import read, save
from gestalt3d.engine.initial import initialise
from gestalt3d.engine.model import load
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.engine.results import Kinds
from gestalt3d.engine.segment import Options, segment_files
from gestalt3d.engine.train import train
from gestalt3d.errors import UserError
from gestalt3d.io import save_cloud
from gestalt3d.io.ply import write_ply
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.staged import Staged, StagedConfig
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.recipes import recipe
from gestalt3d.structures.vocabulary import S3DIS
from tests.scenes import save_folder, tiny_scan

FINE = UNetConfig(voxel_size=0.1, width=4, levels=2, max_extent=2.0)
TRUE = MTMLConfig(width=4, first_kernel=3, dilations=(2, 2), norm=True, voxel_size=0.2)
PLAIN = Options(kinds=Kinds(picture=False, page=False))
NOISE = SemanticNoiseConfig(deviation=2.5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders semantics, true and predicted with a run each."""
    out = tmp_path_factory.mktemp("runs")
    root = save_folder(out / "scans")
    base = Recipe(
        name="tiny",
        model=FINE,
        optim=Optim(steps=2, ema=0.9),
        data="folder",
        root=root,
        classes="s3dis",
        scans_per_step=2,
        workers=0,
    )
    semantics = train(base, out / "semantics", device="cpu")
    true = train(replace(base, model=TRUE), out / "true", device="cpu")
    joint = StagedConfig(FINE, replace(TRUE, semantic_noise=NOISE))
    train(replace(base, model=joint, init=(str(true), str(semantics))), out / "predicted", device="cpu")
    return out


def test_fine_tuning_leaves_the_stage_as_it_was(trained: Path) -> None:
    stage = read(trained / "semantics" / "last.safetensors").tensors
    joint = read(trained / "predicted" / "last.safetensors").tensors
    true = read(trained / "true" / "last.safetensors").tensors
    for name, value in stage.items():
        if name.startswith("ema."):
            rest = name.removeprefix("ema.")
            assert torch.equal(joint[f"model.semantics.{rest}"], value), name
            assert torch.equal(joint[f"ema.semantics.{rest}"], value), name
    assert not torch.equal(joint["model.parter.embed.weight"], true["model.embed.weight"])


def test_a_scan_without_labels_is_segmented(trained: Path, tmp_path: Path) -> None:
    save_cloud(tmp_path / "scan.ply", tiny_scan().input)
    model = load(trained / "predicted" / "last.safetensors")
    outcome = segment_files(model, [tmp_path / "scan.ply"], tmp_path / "out", PLAIN)
    assert outcome.done and not outcome.failed


def test_labels_of_the_file_count_when_asked_for_and_only_then(trained: Path, tmp_path: Path) -> None:
    scan = tiny_scan()
    path, labels = tmp_path / "scan.ply", scan.input.semantic
    assert labels is not None
    columns = dict(zip("xyz", scan.input.points.numpy().T, strict=True))
    with path.open("wb") as file:
        write_ply(file, {**columns, "label": labels.numpy()})
    found = {}
    model = load(trained / "predicted" / "last.safetensors")
    for name, options in (("asked", replace(PLAIN, semantic="label")), ("not", PLAIN)):
        segment_files(
            model,
            [path],
            tmp_path / name,
            options,
            on_result=lambda result, name=name: found.update({name: result.answer.found}),
        )
    assert torch.equal(found["asked"].element_classes, labels)
    assert not torch.equal(found["not"].element_classes, labels)


def test_what_cannot_be_is_one_line(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "scan.ply"
    columns = dict(zip("xyz", tiny_scan().input.points.numpy().T, strict=True))
    with path.open("wb") as file:
        write_ply(file, {**columns, "label": torch.full((3000,), 77).numpy()})
    asked = replace(PLAIN, semantic="label")
    outcome = segment_files(load(trained / "true" / "last.safetensors"), [path], tmp_path / "out", asked)
    (line,) = outcome.failed
    assert line.startswith(f"{path}: the cloud's semantic classes must be -1 to 12, got 77")
    stage = load(trained / "semantics" / "last.safetensors")
    with pytest.raises(UserError, match="--semantic label: last takes no semantics"):
        segment_files(stage, [path], tmp_path / "out", asked)
    outcome = segment_files(stage, [path], tmp_path / "out", PLAIN)
    assert outcome.done  # classes for all points, and no instances


def test_the_recipes_fit_each_other() -> None:
    stage, true, joint = (recipe(name) for name in ("semantics-rooms", "mtml-rooms-true", "mtml-rooms"))
    # Only the third step sees semantics that err, and only in its own training are they to err more.
    assert isinstance(true.model, MTMLConfig)
    noisy = replace(true.model, semantic_noise=SemanticNoiseConfig(deviation=2.5))
    assert joint.model == StagedConfig(stage.model, noisy)
    assert len({r.classes for r in (stage, true, joint)}) == 1


def test_settings_that_only_segment_knows_may_differ(trained: Path, tmp_path: Path) -> None:
    stored = read(trained / "semantics" / "last.safetensors")
    older = {
        **stored.about,
        "config": {k: v for k, v in stored.about["config"].items() if k != "tile_voxels"},
    }
    save(tmp_path / "older.safetensors", stored.tensors, older)
    joint = Staged.from_config(StagedConfig(replace(FINE, turns=4), TRUE), S3DIS)
    said = initialise(
        joint, [str(trained / "true" / "last.safetensors"), str(tmp_path / "older.safetensors")]
    )
    assert "anew" not in said
    other = Staged.from_config(StagedConfig(replace(FINE, normals=0), TRUE), S3DIS)
    with pytest.raises(UserError, match="its normals is 16, this recipe's 0"):
        initialise(other, [str(tmp_path / "older.safetensors")])
