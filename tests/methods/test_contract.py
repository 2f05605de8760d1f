"""What every method must do, said once."""

import inspect
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from gestalt3d.methods import config_class, method_class
from gestalt3d.methods.method import START
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import TrainingConfig
from gestalt3d.methods.rooms.merging import AgreementConfig, BlockMergingConfig, VotesConfig
from gestalt3d.methods.superpoints import SuperpointConfig, superpoints
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS
from tests.scenes import tiny_scan

SMALL: dict[str, Any] = {
    "backbone": PointNet2Config(width_scale=0.5),
    "width": 32,
    "blocks": LatticeConfig(points=256, min_points=50),
    "training": TrainingConfig(blocks_per_scan=3),
    "merging": BlockMergingConfig(min_points=5),
}
VOXELS: dict[str, Any] = {
    "voxel_size": 0.15,
    "width": 4,
    "first_kernel": 3,
    "structure": True,
    "dilations": (2, 2),
}
"""Instead, for the method that looks at voxels; walls and floors are instances, so that the tiny scene has some that touch."""
FINE: dict[str, Any] = {"voxel_size": 0.075, "width": 4, "levels": 3, "max_extent": 1.5}
"""Instead, for the method that gives points their class and parts nothing."""
SURFACES = SuperpointConfig(voxel_size=0.04, min_voxels=5)
WIDE = PointNet2Config(width_scale=0.5, radii=(0.2, 0.4, 0.8, 1.6))
THIN = LatticeConfig(points=256, min_points=50, grid=0.05)
TRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    "asis": ("asis", {"backbone": WIDE, "neighbours": 10}),
    "asis-pointnet": ("asis", {"backbone": PointNetConfig(width_scale=0.25), "neighbours": 10}),
    "asis-vanilla": ("asis", {"semantic_awareness": False, "instance_fusion": False}),
    "asis-votes": ("asis", {"blocks": THIN, "merging": VotesConfig(min_points=5), "neighbours": 10}),
    "asis-superpoints": (
        "asis",
        {
            "blocks": THIN,
            "merging": BlockMergingConfig(min_points=5, superpoints=SURFACES),
            "neighbours": 10,
        },
    ),
    "asis-agreement": (
        "asis",
        {
            "blocks": THIN,
            "merging": AgreementConfig(min_points=5, superpoints=SURFACES),
            "turns": 2,
            "neighbours": 10,
        },
    ),
    "sgpn": ("sgpn", {"backbone": WIDE, "loss_rows": 128, "min_group": 160, "min_confidence": 0.0}),
    "mtml": ("mtml", {"norm": True, "proposals": ProposalConfig(coherent=True)}),
    "mtml-overlapping": ("mtml", {"turns": 2}),
    "mtml-dense": ("mtml", {"space": "dense"}),
    "mtml-embedding-only": ("mtml", {"direction": False}),
    "staged": ("staged", {"parter": MTMLConfig(**VOXELS, norm=True)}),
    "staged-superpoints": (
        "staged",
        {
            "semantics": UNetConfig(**FINE, superpoints=SURFACES),
            "parter": MTMLConfig(**VOXELS, norm=True, proposals=ProposalConfig(coherent=True)),
        },
    ),
    "unet": ("unet", {"voxel_size": 0.1, "width": 8}),
    "unet-superpoints": ("unet", {"voxel_size": 0.1, "width": 8, "superpoints": SURFACES}),
}
"""Name of a case → method and what differs from `SMALL`."""


def build(case: str, **changes: Any) -> Any:
    name, own = TRAINED[case]
    cls = method_class(name)
    torch.manual_seed(0)
    base = {"mtml": VOXELS, "unet": FINE, "staged": {"semantics": UNetConfig(**FINE)}}.get(name, SMALL)
    return cls.from_config(config_class(name)(**{**base, **own, **changes}), S3DIS)


def scan_for(case: str, **options: Any) -> Scan:
    """The tiny scan, without semantics unless the case is one that takes them as its input."""
    scan = tiny_scan(**options)
    if case.startswith("mtml"):
        return scan
    return replace(scan, input=replace(scan.input, semantic=None))


@cache
def segmenter(case: str) -> Any:
    """An untrained method in eval mode, its features scaled so that they fall into several instances."""
    method = build(case)
    batch = method.prepare(scan_for(case), np.random.default_rng(0))
    set_bn_momentum(method, 1.0)
    attribute, feature, spread = {
        "asis": ("embed", "embedding", 0.6),
        "sgpn": ("similarity", "similarity", 0.05),
        "mtml": ("embed", "embedding", 2.0),
        "unet": ("classify", "logits", 2.0),
    }[getattr(method, "parter", method).name]
    layer = getattr(getattr(method, "parter", method), attribute)
    with torch.no_grad():
        method(batch)
        method.eval()
        layer.weight *= spread / getattr(method(batch), feature).std()
    return method


LABELS = ("classes", "instances", "parted.instances")


def tensors_of(batch: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a batch by name, "part.name" those of a batch in it."""
    found = {}
    for name, value in batch._asdict().items():
        of_part = {prefix + name: value} if isinstance(value, torch.Tensor) else tensors_of(value, f"{name}.")
        found.update(of_part)
    return found


def unlabelled(batch: Any) -> Any:
    """The batch without labels, in its parts neither."""
    changed = {}
    for name, value in batch._asdict().items():
        if not isinstance(value, torch.Tensor):
            changed[name] = unlabelled(value)
        elif name in LABELS:
            changed[name] = torch.full_like(value, -1)
    return batch._replace(**changed)


trained = pytest.mark.parametrize("case", TRAINED)


def same_partition(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal up to the numbers of the instances; -1 stays -1."""
    pairs = torch.unique(torch.stack([a, b]), dim=1)
    return bool(((a < 0) == (b < 0)).all()) and all(len(side.unique()) == pairs.shape[1] for side in pairs)


@trained
def test_every_parameter_receives_gradient(case: str) -> None:
    method = build(case)
    batch = method.prepare(scan_for(case), np.random.default_rng(0))
    losses = method.losses(method(batch), batch, START)
    assert all(bool(torch.isfinite(term)) for term in losses.values())
    sum(losses.values()).backward()
    learns = {n: p for n, p in method.named_parameters() if not n.startswith("semantics.")}
    silent = [n for n, p in learns.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    assert all(p.grad is None for n, p in method.named_parameters() if n not in learns)


@pytest.mark.parametrize(
    ("case", "steps", "rate"),
    [
        ("asis", 60, 1e-2),
        ("asis-pointnet", 80, 5e-3),
        ("sgpn", 80, 5e-3),
        ("mtml", 60, 1e-2),
        ("unet", 80, 2e-2),
    ],
)
def test_overfits_one_scene(case: str, steps: int, rate: float) -> None:
    if case in ("mtml", "unet"):
        method = build(case, **({"random_turns": False} if case == "mtml" else {"max_extent": None}))
    else:
        dropout = {} if case == "sgpn" else {"dropout": 0.0}
        method = build(
            case,
            training=TrainingConfig(blocks_per_scan=6),
            merging=BlockMergingConfig(min_points=15),
            **dropout,
        )
    scan, rng = scan_for(case, boxes=2), np.random.default_rng(0)
    optimizer = torch.optim.Adam(method.parameters(), lr=rate)
    history = []
    for step in range(steps):
        left = 1 - step / steps
        optimizer.param_groups[0]["lr"] = rate * left
        set_bn_momentum(method, max(0.5 * left, 0.05))
        batch = method.prepare(scan, rng)
        loss = torch.stack(list(method.losses(method(batch), batch, START).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    # Directions cost -1 where they are perfect.
    least = -1.0 if case == "mtml" else 0.0
    assert np.mean(history[-5:]) - least < 0.3 * (history[0] - least)

    found = method.eval().segment(scan.input)
    assert (found.element_classes == scan.truth.element_classes).float().mean() > 0.8
    if case == "unet":
        assert len(found) == 0
        return
    assert adjusted_rand_score(scan.truth.to_labels(), found.to_labels()) > 0.5


@trained
def test_permuted_points_give_the_same_partition(case: str) -> None:
    method, cloud = segmenter(case), scan_for(case).input
    order = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(1))
    one, other = method.segment(cloud), method.segment(cloud[order])
    assert len(one) > 1 or (method.name == "unet" and len(one.element_classes.unique()) > 1)
    assert same_partition(one.to_labels()[order], other.to_labels())
    assert torch.equal(one.element_classes[order], other.element_classes)
    assert torch.equal(one.scores.sort().values, other.scores.sort().values)


@pytest.mark.parametrize("case", [case for case in TRAINED if case.endswith("superpoints")])
def test_a_superpoint_has_one_class_and_is_in_one_instance(case: str) -> None:
    cloud = scan_for(case).input
    found, own = segmenter(case).segment(cloud), superpoints(cloud, SURFACES)
    for answer in (found.element_classes, found.to_labels()):
        pairs = torch.stack([own, answer]).unique(dim=1)
        assert pairs.shape[1] == int(own.max()) + 1


@trained
def test_same_seed_same_answer(case: str) -> None:
    method, cloud = segmenter(case), scan_for(case).input
    one, other = method.segment(cloud), method.segment(cloud)
    assert torch.equal(one.to_labels(), other.to_labels())
    assert torch.equal(one.scores, other.scores)


@trained
def test_segment_sees_a_cloud_and_no_labels(case: str) -> None:
    assert list(inspect.signature(segmenter(case).segment).parameters) == ["cloud"]


@trained
def test_labels_change_only_the_labels_of_a_batch(case: str) -> None:
    method, scan = build(case), scan_for(case)
    order = torch.randperm(len(scan.input), generator=torch.Generator().manual_seed(1))
    shuffled = type(scan.truth).from_labels(
        scan.truth.to_labels()[order],
        scan.truth.classes,
        vocabulary=S3DIS,
        element_classes=scan.truth.element_classes[order],
    )
    one, other = (
        tensors_of(method.prepare(Scan("", scan.input, i), np.random.default_rng(0)))
        for i in (scan.truth, shuffled)
    )
    for name, value in one.items():
        assert torch.equal(value, other[name]) == (name not in LABELS), name


@trained
def test_prepare_repeats_with_its_generator(case: str) -> None:
    method = build(case)
    one, same, other = (
        tensors_of(method.prepare(scan_for(case), np.random.default_rng(seed))) for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


@trained
@pytest.mark.parametrize("points", [0, 1, 2, 40])
def test_hardly_any_points(case: str, points: int) -> None:
    cloud = scan_for(case).input[torch.arange(points)]
    found = segmenter(case).segment(cloud)
    assert found.masks.size == points
    assert len(found.element_classes) == points and bool((found.element_classes >= 0).all())


@trained
def test_points_of_one_place(case: str) -> None:
    cloud = scan_for(case).input[torch.zeros(300, dtype=torch.int64)]
    assert len(set(segmenter(case).segment(cloud).to_labels().tolist())) == 1


@trained
def test_a_cloud_without_colors_far_from_the_origin(case: str) -> None:
    cloud = scan_for(case, colors=False).input
    found = segmenter(case).segment(replace(cloud, points=cloud.points + torch.tensor([900.0, -900.0, 50.0])))
    assert bool((found.element_classes >= 0).all())


@trained
def test_segment_leaves_the_method_as_it_was(case: str) -> None:
    method = build(case).train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.segment(scan_for(case, points=500).input)
    assert method.training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


@trained
def test_config_and_weights_rebuild_the_method(case: str) -> None:
    method = segmenter(case)
    twin = type(method).from_config(method.config, method.vocabulary).eval()
    twin.load_state_dict(method.state_dict())
    cloud = scan_for(case).input
    assert torch.equal(method.segment(cloud).to_labels(), twin.segment(cloud).to_labels())


@trained
def test_losses_ignore_points_without_labels(case: str) -> None:
    method = build(case)
    batch = method.prepare(scan_for(case), np.random.default_rng(0))
    blank = unlabelled(batch)
    assert all(float(term.detach()) == 0 for term in method.losses(method(blank), blank, START).values())


@trained
def test_works_in_bfloat16_and_scores_in_float32(case: str) -> None:
    method = build(case)
    batch = method.prepare(scan_for(case), np.random.default_rng(0))
    with torch.autocast("cpu", torch.bfloat16):
        prediction = method(batch)
        losses = method.losses(prediction, batch, START)
    assert all(value.dtype == torch.float32 for value in (*prediction, *losses.values()))
    torch.stack(list(losses.values())).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.requires_grad)
