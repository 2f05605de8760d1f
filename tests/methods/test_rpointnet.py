"""R-PointNet: regions, what is wanted of them, and a tiny scene's instances with all stages learning at once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.methods import rpointnet
from gestalt3d.methods.gspn import Context, GSPNConfig
from gestalt3d.methods.method import Moment
from gestalt3d.methods.pointnet2 import PointNet2Config
from gestalt3d.methods.regions.box_deltas import box_deltas, changed_boxes
from gestalt3d.methods.regions.heads import regions_of
from gestalt3d.methods.regions.parts import parts_of
from gestalt3d.methods.rpointnet import Batch, RPointNet, RPointNetConfig, of_whole_pieces
from gestalt3d.methods.superpoints import SuperpointConfig, superpoints
from gestalt3d.ops.aligned_boxes import aligned_iou
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit
from tests.methods import test_gspn
from tests.scenes import tiny_scan

SMALL = RPointNetConfig(
    gspn=GSPNConfig(
        points=600, seeds=24, test_seeds=32, seeds_on_objects=0.5, width_scale=0.125, latent=8,
        contexts=(Context(0.4, 16), Context(0.8, 24)), center_points=(150, 40, 16, 8),
    ),
    semantics=PointNet2Config(points=600, width_scale=0.25, level_points=(150, 40, 16, 8), dropout=0.0),
    learn="all", width_scale=0.25, regions=16, region_points=64, test_region_points=128,
)  # fmt: skip
LATE = Moment(step=9, steps=10, samples=10**9)
UNSURE = replace(SMALL, gspn=replace(SMALL.gspn, seeds_on_objects=0.0), min_score=0.0)
"""No class is too unlikely for an untrained network, and labels have no say in which seeds are drawn."""
# Where objects are not known, regions are background.
LABELS = dict.fromkeys(("scene.owner", "scene.shapes", "scene.boxes", "scene.owner_of_points", "classes"))
VOTING = replace(UNSURE, gspn=replace(UNSURE.gspn, **test_gspn.VOTING), semantics=None)
"""Behind a backbone, from which the semantic features come."""
CASE = Case(
    config=UNSURE,
    moment=LATE,
    labels=LABELS,
    overfit=Overfit(config=replace(UNSURE, min_score=0.1, max_iou=0.3), steps=60, rate=5e-3, structure=False),
)
CASES = [Case(name="voting", config=VOTING, moment=LATE, labels=LABELS, overfit=None)]


def build(**changes: Any) -> RPointNet:
    torch.manual_seed(0)
    return RPointNet.from_config(replace(SMALL, **changes), S3DIS)


def batch_of(method: RPointNet, seed: int = 0) -> Batch:
    return method.prepare(tiny_scan(seed), np.random.default_rng(seed))


@pytest.mark.parametrize("case", [{}, {"context_features": False}])
def test_every_parameter_receives_gradient(case: dict[str, Any]) -> None:
    method = build(**case)
    batch = batch_of(method)
    losses = method.losses(method(batch), batch, LATE)
    assert {"class", "box", "mask", "generation", "center", "semantic"} <= set(losses)
    sum(losses.values()).backward()
    silent = [n for n, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize(("learn", "fixed"), [("heads", ("gspn.", "semantics.")), ("semantics", ("gspn.",))])
def test_trained_stages_stay_as_they_are(learn: str, fixed: tuple[str, ...]) -> None:
    method = build(learn=learn).train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    batch = batch_of(method)
    losses = method.losses(method(batch), batch, LATE)
    sum(losses.values()).backward()
    torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1).step()
    changed = {n for n, value in method.state_dict().items() if not torch.equal(value, before[n])}
    assert changed and not any(name.startswith(fixed) for name in changed)
    assert ("semantic" in losses) == (learn == "semantics") and "generation" not in losses


def test_without_features_of_a_stage_the_heads_do_not_depend_on_it() -> None:
    for case, part in (
        ({"semantic_features": False, "learn": "heads"}, "semantics"),
        ({"context_features": False}, "context"),
    ):
        method = build(**case).eval()
        batch = batch_of(method)
        torch.manual_seed(1)
        before = method(batch)
        stage = method.semantics if part == "semantics" else method.gspn.objectness
        for weight in stage.parameters():
            torch.nn.init.constant_(weight, 0.01)
        torch.manual_seed(1)
        after = method(batch)
        if part == "semantics":
            torch.testing.assert_close(after.classes, before.classes)
        else:
            assert method.class_head.first.split[1] == 0


def test_regions_are_the_objects_and_what_is_beside_them() -> None:
    method = build()
    batch = Batch.cat([batch_of(method, seed) for seed in range(2)])
    wanted = method(batch).wanted
    assert wanted.boxes.shape == (2, 16, 6)
    for k, truth in enumerate(batch.scene.boxes.split(batch.scene.objects.tolist())):
        overlap = aligned_iou(wanted.boxes[k], truth)
        first = int(batch.scene.objects[:k].sum())
        for r, object in enumerate(wanted.object[k].tolist()):
            if object < 0:
                assert overlap[r].max() <= 0.5
            else:
                assert overlap[r, object - first] == overlap[r].max() > 0.5
                torch.testing.assert_close(wanted.true_boxes[k, r], truth[object - first])
        assert 1 <= int((wanted.object[k] >= 0).sum()) <= 4  # a quarter of 16


def test_a_perfect_prediction_costs_nothing() -> None:
    method = build()
    batch = batch_of(method)
    torch.manual_seed(0)
    made = method(batch)
    positive = made.wanted.object >= 0
    kind = torch.where(positive, batch.kinds[made.wanted.object.clamp(min=0)], made.classes.shape[-1] - 1)
    classes = torch.nn.functional.one_hot(kind, made.classes.shape[-1]) * 50.0
    deltas = box_deltas(made.wanted.boxes.flatten(0, 1), made.wanted.true_boxes.flatten(0, 1))
    deltas = deltas.unflatten(0, kind.shape)[:, :, None].expand_as(made.deltas)
    owner = batch.scene.owner_of_points[0][made.points.clamp(min=0)]
    inside = (owner == made.wanted.object[..., None])[..., None].expand_as(made.masks)
    exact = made._replace(classes=classes, deltas=deltas, masks=torch.where(inside, 50.0, -50.0))
    losses = method.losses(exact, batch, LATE)
    assert all(float(losses[name]) < 1e-6 for name in ("class", "box", "mask"))
    wrong = method.losses(exact._replace(masks=-exact.masks), batch, LATE)
    assert float(wrong["mask"]) > 10


def test_a_scene_without_objects_has_regions_of_background_alone() -> None:
    method, scan = build(), tiny_scan()
    bare = replace(scan, truth=scan.truth[:2])  # floor and wall
    batch = method.prepare(bare, np.random.default_rng(0))
    made = method(batch)
    losses = method.losses(made, batch, LATE)
    assert not len(batch.kinds) and bool((made.wanted.object < 0).all())
    assert all(bool(torch.isfinite(term)) for term in losses.values())


def test_deltas_lead_from_boxes_to_boxes() -> None:
    rng = np.random.default_rng(0)
    boxes, truth = (
        torch.from_numpy(
            np.concatenate([rng.normal(size=(50, 3)), rng.uniform(0.1, 0.4, (50, 3))], 1)
        ).float()
        for _ in range(2)
    )
    torch.testing.assert_close(changed_boxes(boxes, box_deltas(boxes, truth)), truth, rtol=1e-4, atol=1e-4)
    flat = torch.tensor([[0.0, 0, 0, 0, 0, 0]])
    assert bool(torch.isfinite(box_deltas(flat, flat)).all())
    assert bool(torch.isfinite(changed_boxes(flat, torch.full((1, 6), 1e6))).all())


def test_a_region_sees_its_own_points_in_its_own_frame() -> None:
    points = torch.rand(1, 200, 3)
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.4, 0.6, 0.8], [9.0, 9, 9, 1, 1, 1]]])
    centers = points + 0.1
    found = regions_of(boxes, torch.rand(1, 2, 32), points, centers)
    assert bool((found.index[0, 1] == -1).all()) and bool((found.local[0, 1] == 0).all())
    drawn = points[0, found.index[0, 0]]
    torch.testing.assert_close(found.local[0, 0, :, :3], (drawn - 0.5) / boxes[0, 0, 3:])
    torch.testing.assert_close(found.local[0, 0, :, 3:], (drawn + 0.1 - 0.5) / boxes[0, 0, 3:])
    assert float(found.local[0, 0, :, :3].abs().max()) <= 0.5 + 1e-6


def test_parts_share_their_borders_and_no_middle() -> None:
    points = torch.rand(5000, 3) * torch.tensor([30.0, 9.0, 3.0])
    parts = parts_of(points, extent=12.0, overlap=3.0)
    held = torch.stack([part.holds(points) for part in parts])
    assert len(parts) > 2 and bool((held.sum(0) == 1).all())
    for part in parts:
        own = points[part.elements]
        assert float(own[:, 0].amax() - own[:, 0].amin()) <= 12.0 + 1e-4
        middle = points[part.holds(points)]
        near = (points[:, 0] > middle[:, 0].amin() - 1.4) & (points[:, 0] < middle[:, 0].amax() + 1.4)
        assert bool(torch.isin(near.nonzero()[:, 0], part.elements).all())
    assert (
        len(parts_of(points, extent=30.0, overlap=3.0)) == 1
        and parts_of(points[:0], extent=1.0, overlap=1.0) == []
    )


def test_stages_must_see_the_same_points() -> None:
    with pytest.raises(UserError, match="must be equal"):
        replace(SMALL, semantics=replace(SMALL.semantics, points=500))
    with pytest.raises(UserError, match="semantic_features"):
        replace(SMALL, semantic_features=False)


@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_few_points_are_answered(count: int) -> None:
    method, cloud = build(), tiny_scan().input
    found = method.segment(cloud[torch.arange(count)])
    assert (
        found.masks.size == count
        and found.element_classes is not None
        and len(found.element_classes) == count
    )


def test_a_mask_takes_and_leaves_pieces_as_a_whole() -> None:
    pieces = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2])
    # Two of three of piece 0, half of piece 1, which is not more than half, one of four of piece 2.
    assert of_whole_pieces(torch.tensor([0, 2, 3, 8]), pieces).tolist() == [0, 1, 2]
    assert of_whole_pieces(torch.tensor([3, 8]), pieces).tolist() == [3, 8]


def test_with_superpoints_no_piece_is_cut() -> None:
    method = replace(VOTING, superpoints=SuperpointConfig(voxel_size=0.04, min_voxels=5), mask_threshold=0.0)
    made = RPointNet.from_config(method, S3DIS).eval()
    cloud = tiny_scan().input
    found, pieces = made.segment(cloud), superpoints(cloud, method.superpoints)
    assert len(found) > 0 and found.element_classes is not None
    for i in range(len(found)):
        inside = torch.bincount(pieces[found.elements_of(i)], minlength=int(pieces.max()) + 1)
        whole = (inside == 0) | (inside == torch.bincount(pieces))
        assert bool(whole.all()) or not bool((2 * inside > torch.bincount(pieces)).any())
    for piece in range(int(pieces.max()) + 1):
        assert len(found.element_classes[pieces == piece].unique()) == 1


@pytest.mark.parametrize(("config", "reach"), [(UNSURE, 0.8), (VOTING, VOTING.gspn.members.reach)])
def test_parts_of_a_scene_overlap_by_twice_what_a_proposal_sees(
    config: RPointNetConfig, reach: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        rpointnet, "parts_of", lambda _points, *, extent, overlap: asked.append(overlap) or []
    )
    with pytest.raises((RuntimeError, ValueError, IndexError)):  # there is no part
        RPointNet.from_config(config, S3DIS).segment(tiny_scan(0).input)
    assert asked == [2 * reach]


def test_masks_reach_as_far_as_the_widened_boxes() -> None:
    cloud = tiny_scan(0).input
    torch.manual_seed(0)
    method = RPointNet.from_config(replace(UNSURE, mask_threshold=0.0, max_iou=1.0), S3DIS)
    narrow = method.segment(cloud)
    method.config = replace(method.config, mask_margin=1.5)
    wide = method.segment(cloud)
    assert narrow.boxes is not None and wide.boxes is not None
    largest = 0.0
    for found, least in ((narrow, 1.0), (wide, 1.5)):
        assert len(found) > 3
        for box, mask in zip(found.boxes, found.masks, strict=True):
            off = (cloud.points[mask] - box[:3]).abs() / (box[3:6] / 2)
            assert float(off.max()) <= least + 1e-4
            largest = max(largest, float(off.max()))
    assert largest > 1.2, "the wider boxes have points that the others have not"
