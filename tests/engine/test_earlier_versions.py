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
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import SizeFilterConfig, TrainingConfig
from gestalt3d.methods.rooms.merging import AgreementConfig, BlockMergingConfig, VotesConfig
from gestalt3d.methods.sgpn import SGPN, SGPNConfig
from gestalt3d.methods.superpoints import SuperpointConfig
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
    from gestalt3d.configs import to_plain
    from gestalt3d.recipes import recipe

    plain = {**to_plain(recipe("asis-rooms")), "model": {**BLOCKS, **OF_ASIS}}
    (tmp_path / "recipe.json").write_text(json.dumps(plain), encoding="utf-8")
    assert recipe_of(tmp_path) == replace(recipe("asis-rooms"), model=ASIS_TODAY)
