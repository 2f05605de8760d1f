"""Files that earlier versions wrote: weights, checkpoints and recipes whose settings were flat tables."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gestalt3d.engine import checkpoint
from gestalt3d.engine.resume import recipe_of
from gestalt3d.errors import UserError
from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.mtml import MTML, MTMLConfig
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import SizeFilterConfig, TrainingConfig
from gestalt3d.methods.rooms.merging import AgreementConfig, BlockMergingConfig, VotesConfig
from gestalt3d.methods.sgpn import SGPN, SGPNConfig
from gestalt3d.methods.staged import Staged, StagedConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.methods.unet import UNet, UNetConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.structures.vocabulary import S3DIS

# What version 0.1.0 of November 2026 wrote of blocks.
BLOCKS: dict[str, Any] = json.loads("""{
    "backbone": "pointnet2", "width": 16, "width_scale": 0.25, "radii": [0.12, 0.25, 0.5, 1.0], "group_size": 8,
    "block_size": 2.0, "stride": 0.75, "points": 128, "min_block_points": 20, "normals": 4, "class_balance": 0.5,
    "object_blocks": 0.25, "blocks_per_scan": 3, "grid": 0.03, "views": 2, "merging": "agreement", "merge_voxel": 0.1,
    "merge_voxel_fraction": null, "merge_overlap": 6, "merge_points": 9, "vote_iou": 0.3, "class_power": 2.0,
    "min_agreement": 0.2, "size_filter": 0.125, "superpoints": {"voxel_size": 0.04, "neighbours": 16, "links": 8,
    "reach": 0.2, "color_weight": 0.5, "scale": 0.05, "min_voxels": 5}, "max_room": 9.0, "inference_blocks": 4,
    "scan_statistics": 8, "seed": 3
}""")
OF_ASIS: dict[str, Any] = json.loads("""{
    "semantic_awareness": true, "instance_fusion": false, "embedding": 4, "neighbours": 10, "delta_var": 0.5,
    "delta_dist": 1.5, "alpha": 0.001, "bandwidth": 0.5, "dropout": 0.0
}""")
OF_SGPN: dict[str, Any] = json.loads("""{
    "similarity": 8, "k1": 10.0, "k2": 80.0, "epochs": 200, "semantics_only": false, "loss_rows": 512,
    "min_confidence": 0.4, "min_proposal": 5, "merge_iou": 0.6, "merge_containment": 0.8, "min_group": 50
}""")
OF_MTML: dict[str, Any] = json.loads("""{
    "inputs": "semantic", "features": 0, "semantics": {"voxel_size": 0.05, "width": 4, "levels": 2, "repeats": 1,
    "normals": 0, "class_balance": 0.3, "max_extent": 5.0, "superpoints": null, "views": 4, "tile_voxels": 500000},
    "voxel_size": 0.1, "space": "sparse", "width": 4, "first_kernel": 3, "dilations": [2, 2], "norm": true, "embedding": 4,
    "direction": true, "delta_var": 0.5, "delta_dist": 1.5, "gamma_var": 1.0, "gamma_dist": 1.0, "gamma_reg": 0.001,
    "alpha_fe": 0.5, "alpha_dir": 1.0, "structure": false, "turns": false, "doubt": 2.5, "doubt_balls": 30,
    "doubt_radius": [0.2, 0.8], "views": 2, "tile_voxels": 500000, "proposals": {"bandwidths": [1.0, 1.5, 2.0],
    "connectivity": 26, "coherency_threshold": 0.5, "feature_weight": 0.0, "direction_weight": 1.0, "size_weight": 0.0,
    "semantic_weight": 0.0, "large_weight": 1.0, "size_deviation": 0.1, "nms_iou": 0.5, "across": true, "merge": 0.6,
    "unions": false, "merge_gain": 0.0, "min_voxels": 5, "coherent": true, "min_rest": 0.5}
}""")
PARTER = MTMLConfig(
    width=4,
    first_kernel=3,
    dilations=(2, 2),
    norm=True,
    random_turns=False,
    semantic_noise=SemanticNoiseConfig(deviation=2.5, balls=30, radius=(0.2, 0.8)),
    turns=2,
    proposals=ProposalConfig(
        bandwidths=(1.0, 1.5, 2.0), feature_weight=0.0, size_weight=0.0, large_weight=1.0, across=True, merge=0.6,
        unions=False, min_voxels=5, coherent=True,
    ),
)  # fmt: skip
STAGED = StagedConfig(
    UNetConfig(width=4, levels=2, normals=0, class_balance=0.3, max_extent=5.0, turns=4), PARTER
)
SURFACES = SuperpointConfig(voxel_size=0.04, min_voxels=5)
ASIS_TODAY = ASISConfig(
    backbone=PointNet2Config(radii=(0.12, 0.25, 0.5, 1.0), group_size=8, width_scale=0.25),
    width=16,
    blocks=LatticeConfig(
        size=2.0, stride=0.75, points=128, min_points=20, grid=0.03, normals=4, max_room=9.0
    ),
    training=TrainingConfig(blocks_per_scan=3, object_blocks=0.25, class_balance=0.5),
    merging=AgreementConfig(superpoints=SURFACES, class_power=2.0, min_agreement=0.2, min_points=9),
    size_filter=SizeFilterConfig(share=0.125, voxel_size=0.1),
    turns=2,
    inference_blocks=4,
    scan_statistics=8,
    seed=3,
    instance_fusion=False,
    embedding=4,
    neighbours=10,
    bandwidth=0.5,
    dropout=0.0,
)
VOXELS = {"voxel_size": 0.1, "voxel_fraction": None, "min_overlap": 6, "min_points": 9}


def about(method: str, config: dict[str, Any]) -> dict[str, Any]:
    vocabulary = {
        "title": "s3dis",
        "names": list(S3DIS.names),
        "official_ids": [],
        "structure": sorted(S3DIS.structure),
    }
    return {
        "format": "gestalt3d", "version": "0.1.0", "method": method, "config": config, "vocabulary": vocabulary,
    }  # fmt: skip


def written(path: Path, tensors: dict[str, torch.Tensor], words: dict[str, Any]) -> Path:
    save_file(tensors, path, metadata={"gestalt3d": json.dumps(words)})
    return path


@pytest.mark.parametrize(
    ("changes", "today"),
    [
        ({}, {}),
        ({"merging": "first"}, {"merging": BlockMergingConfig(**VOXELS, superpoints=SURFACES)}),
        (
            {"merging": "votes", "superpoints": None, "merge_voxel_fraction": 0.005},
            {"merging": VotesConfig(**{**VOXELS, "voxel_fraction": 0.005}, min_iou=0.3)},
        ),
        ({"backbone": "pointnet"}, {"backbone": PointNetConfig(width_scale=0.25)}),
    ],
    ids=["agreement", "first", "votes", "pointnet"],
)
def test_a_flat_table_of_asis_is_read(tmp_path: Path, changes: dict[str, Any], today: dict[str, Any]) -> None:
    expected = replace(ASIS_TODAY, **today)
    made = ASIS.from_config(expected, S3DIS)
    words = about("asis", {**BLOCKS, **OF_ASIS, **changes})
    read = checkpoint.load(written(tmp_path / "w.safetensors", made.state_dict(), words))
    assert read.config == expected
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in made.state_dict().items())


def test_a_flat_table_of_sgpn_is_read(tmp_path: Path) -> None:
    shared = {name: getattr(ASIS_TODAY, name) for name in ASIS_TODAY.__dict__.keys() - OF_ASIS.keys()}
    expected = SGPNConfig(**shared, similarity=8, loss_rows=512)
    made = SGPN.from_config(expected, S3DIS)
    words = about("sgpn", {**BLOCKS, **OF_SGPN})
    assert checkpoint.load(written(tmp_path / "w.safetensors", made.state_dict(), words)).config == expected


def as_before(made: Staged) -> dict[str, torch.Tensor]:
    """Tensors under the names of when the semantic stage was a part of MTML."""
    return {name.removeprefix("parter."): value for name, value in made.state_dict().items()}


def test_mtml_with_a_semantic_stage_inside_is_one_behind_it(tmp_path: Path) -> None:
    made = Staged.from_config(STAGED, S3DIS)
    file = written(tmp_path / "w.safetensors", as_before(made), about("mtml", OF_MTML))
    read = checkpoint.load(file)
    assert isinstance(read, Staged) and read.config == STAGED
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in made.state_dict().items())


def test_the_weights_of_a_checkpoint_of_mtml_with_a_semantic_stage_inside_are_found(tmp_path: Path) -> None:
    made = Staged.from_config(STAGED, S3DIS)
    tensors = {
        f"{prefix}{name}": value + shift
        for prefix, shift in (("model.", 0), ("ema.", 1))
        for name, value in as_before(made).items()
    } | {"optim.0.step": torch.zeros(())}
    stored = checkpoint.read(written(tmp_path / "last.safetensors", tensors, about("mtml", OF_MTML)))
    assert stored.renamed and "optim.0.step" in stored.tensors
    weights = checkpoint.weights_of(stored)
    assert all(torch.equal(value + 1, weights[name]) for name, value in made.state_dict().items())


def test_mtml_alone_and_the_semantic_stage_alone_have_other_settings_only(tmp_path: Path) -> None:
    alone = MTML.from_config(PARTER, S3DIS)
    words = about("mtml", {**OF_MTML, "semantics": None})
    file = written(tmp_path / "mtml.safetensors", alone.state_dict(), words)
    assert checkpoint.load(file).config == PARTER and not checkpoint.read(file).renamed
    unet = UNet.from_config(STAGED.semantics, S3DIS)
    words = about("unet", OF_MTML["semantics"])
    file = written(tmp_path / "unet.safetensors", unet.state_dict(), words)
    assert checkpoint.load(file).config == STAGED.semantics


def test_a_run_whose_network_was_in_another_order_says_why_it_cannot_go_on(tmp_path: Path) -> None:
    from gestalt3d.engine.recipe import Optim, Recipe, to_plain
    from gestalt3d.engine.train import train
    from tests.scenes import save_folder

    root = save_folder(tmp_path / "scans", count=1)
    recipe = Recipe(
        name="tiny", model=STAGED, optim=Optim(steps=2), data="folder", root=root, classes="s3dis",
        scans_per_step=1, workers=0,
    )  # fmt: skip
    plain = {**to_plain(recipe), "method": "mtml", "model": OF_MTML}
    out = tmp_path / "run"
    out.mkdir()
    tensors = {f"model.{n}": v for n, v in as_before(Staged.from_config(STAGED, S3DIS)).items()}
    run = {"step": 1, "best": 0.0, "seconds": 1.0, "best_step": 0}
    written(out / "last.safetensors", tensors, {**about("mtml", OF_MTML), "recipe": plain, "run": run})
    with pytest.raises(UserError, match=r"in another order.*start from its weights with --init"):
        train(recipe, out, resume=True, device="cpu")


def test_settings_that_an_even_earlier_version_lacked_have_their_defaults(tmp_path: Path) -> None:
    made = ASIS.from_config(ASISConfig(width=16, backbone=PointNetConfig(width_scale=0.25)), S3DIS)
    words = about("asis", {"backbone": "pointnet", "width": 16, "width_scale": 0.25, "points": 64})
    read = checkpoint.load(written(tmp_path / "w.safetensors", made.state_dict(), words))
    assert read.config == replace(made.config, blocks=LatticeConfig(points=64))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"merging": "agreement", "superpoints": None}, r"config\.merging\.superpoints: expected a table"),
        ({"merging": "last"}, r"config\.merging: must be one of blockmerging, votes, agreement, got 'last'"),
        ({"merging": ["votes"]}, r"config\.merging: must be one of"),
        ({"stride": -1.0}, r"config\.blocks\.stride -1: must be above 0"),
    ],
)
def test_a_damaged_flat_table_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    file = written(
        tmp_path / "w.safetensors", {"a": torch.zeros(1)}, about("asis", {**BLOCKS, **OF_ASIS, **changes})
    )
    with pytest.raises(UserError, match=says):
        checkpoint.load(file)


def test_a_run_with_a_flat_table_goes_on_with_the_same_settings(tmp_path: Path) -> None:
    from gestalt3d.engine.recipe import to_plain
    from gestalt3d.recipes import recipe

    plain = {**to_plain(recipe("asis-rooms")), "model": {**BLOCKS, **OF_ASIS}}
    (tmp_path / "recipe.json").write_text(json.dumps(plain), encoding="utf-8")
    assert recipe_of(tmp_path) == replace(recipe("asis-rooms"), model=ASIS_TODAY)
