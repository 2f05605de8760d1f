"""A3IS-CNN: what its branch sees and learns, and a tiny frame's whole objects."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d.engine import checkpoint
from gestalt3d.engine.initial import initialise
from gestalt3d.errors import UserError
from gestalt3d.methods import dss
from gestalt3d.methods.a3is import A3IS, A3ISConfig, mask_targets, photo_at
from gestalt3d.methods.dss import DSSConfig
from gestalt3d.methods.frames.answer import probability_at
from gestalt3d.methods.frames.clusters import ClusterConfig
from gestalt3d.methods.frames.objects import truth_of
from gestalt3d.methods.frames.space import SpaceConfig, frame_of
from gestalt3d.methods.method import START
from gestalt3d.ops.roi_align_3d import roi_bin_centers
from gestalt3d.structures.vocabulary import DSS19, S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid
from gestalt3d.testing import Case, Overfit, tiny_view
from tests.methods import test_dss

BEHIND = replace(
    test_dss.SMALL,
    propose="clusters",
    clusters=ClusterConfig(negative_iou=0.3),
    recognition=replace(test_dss.SMALL.recognition, margin=2.0, geometry=True),
)
"""Regions from clusters."""
SMALL = A3ISConfig(
    dss=test_dss.SMALL, bins=6, samples=1, color_width=4, mask_width=8, mask_layers=2, mask_rois=16
)
CASES = (
    Case(
        config=SMALL,
        labels=test_dss.LABELS,
        draws=False,
        overfit=Overfit(
            steps=150, rate=8e-3, config=replace(SMALL, dss=replace(SMALL.dss, min_score=0.3)), loss=0.5, classes=None,
            instances=0.5,
        ),
    ),
    *(
        Case(config=replace(SMALL, **changes), name=name, labels=test_dss.LABELS, draws=False, overfit=None)
        for name, changes in {
            "softmax-pool": {"activation": "softmax", "place": "pool"},
            "warp-mean": {"place": "warp", "reduce": "mean", "samples": 2},
            "quantized": {"quantizer": 3},
            "no-color": {"color": False, "margin": 1.2},
            "branch": {"learn": "branch"},
        }.items()
    ),
    Case(
        config=replace(SMALL, dss=BEHIND),
        name="clusters",
        labels=test_dss.LABELS | dict.fromkeys(("clusters.boxes", "clusters.owner", "clusters.counts")),
        overfit=Overfit(
            steps=100, rate=8e-3, loss=0.5, classes=None, instances=0.4,
            config=replace(SMALL, dss=replace(BEHIND, min_score=0.3)),
        ),
    ),
)  # fmt: skip


def batch(method: A3IS) -> Any:
    return method.prepare(tiny_view(), np.random.default_rng(0))


def test_the_true_mask_of_the_true_box_is_the_shape() -> None:
    sample = tiny_view()
    truth, _ = truth_of(sample.truth, frame_of(sample.input, SpaceConfig()).grid_from_world)
    own = torch.arange(3)
    assert float(mask_targets(truth, own, truth.boxes, 8).mean()) > 0.9
    wide = truth.boxes * torch.tensor([1.0, 1, 1, 2, 2, 2, 1])
    filled = mask_targets(truth, own, wide, 16)
    assert float(filled[:, 4:12, 4:12, 4:12].mean()) > 0.9
    assert float(filled.sum()) == float(filled[:, 4:12, 4:12, 4:12].sum()), (
        "nothing is filled outside of the box"
    )


def test_only_the_channel_of_the_true_class_learns() -> None:
    method = A3IS(SMALL, S3DIS)
    given = batch(method)
    torch.manual_seed(0)
    prediction = method(given)
    kinds = set(given.truth.classes[prediction.regions.object].tolist())
    prediction.masks.logits.retain_grad()
    method.losses(prediction, given, START)["mask"].backward()
    assert prediction.masks.logits.grad is not None
    reached = prediction.masks.logits.grad.abs().sum((0, 2, 3, 4)).nonzero()[:, 0].tolist()
    assert kinds and set(reached) == kinds


def test_the_loss_of_masks_is_the_mean_cross_entropy_of_the_bins() -> None:
    method = A3IS(SMALL, S3DIS)
    given = batch(method)
    torch.manual_seed(0)
    prediction = method(given)
    regions, costs = prediction.regions, []
    for row, mask in enumerate(prediction.masks.logits):
        own = int(regions.object[row])
        a = mask[int(given.truth.classes[own])].double().sigmoid()
        y = mask_targets(given.truth, torch.tensor([own]), regions.boxes[row][None], mask.shape[-1])[
            0
        ].double()
        costs.append(-(y * a.log() + (1 - y) * (1 - a).log()).mean())
    found = method.losses(prediction, given, START)["mask"].detach()
    assert float(found) == pytest.approx(float(torch.stack(costs).mean().detach()), rel=1e-4)


@pytest.mark.parametrize("base", [test_dss.SMALL, BEHIND], ids=["anchors", "clusters"])
def test_a_branch_alone_leaves_its_detector_as_it_is(base: DSSConfig) -> None:
    torch.manual_seed(0)
    method = A3IS(replace(SMALL, dss=base, learn="branch"), S3DIS).train()
    before = {name: values.clone() for name, values in method.state_dict().items()}
    given = batch(method)
    terms = method.losses(method(given), given, START)
    assert set(terms) == {"mask"}
    terms["mask"].backward()
    learns = {name for name, weight in method.named_parameters() if weight.grad is not None}
    assert learns and all(name.startswith("branch.") for name in learns)
    for name, values in method.state_dict().items():
        assert torch.equal(values, before[name]) or name.startswith("branch."), name


def test_a_branch_starts_behind_the_boxes_of_a_trained_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole, file = A3IS(SMALL, S3DIS), tmp_path / "whole.safetensors"
    checkpoint.save(file, whole.state_dict(), checkpoint.describe(whole))
    torch.manual_seed(1)
    alone = A3IS(replace(SMALL, learn="branch", activation="softmax"), S3DIS)
    with pytest.raises(UserError, match="uses dss as they are, without training them"):
        initialise(alone, [])
    branch = {name: values.clone() for name, values in alone.branch.state_dict().items()}
    initialise(alone, [f"{file}.dss"])
    assert all(torch.equal(v, alone.dss.state_dict()[n]) for n, v in whole.dss.state_dict().items())
    assert all(torch.equal(v, branch[n]) for n, v in alone.branch.state_dict().items())
    other = A3IS(replace(SMALL, learn="branch", dss=replace(SMALL.dss, rois=8)), S3DIS)
    with pytest.raises(UserError, match="its rois is 32, this recipe's 8"):
        initialise(other, [f"{file}.dss"])


def test_masks_behind_clusters_are_learnt_in_the_boxes_of_recognition() -> None:
    """And in true ones a little off; of several frames each in its own."""
    torch.manual_seed(0)
    method = A3IS(replace(SMALL, dss=BEHIND, mask_rois=1000, mask_positive_iou=0.0), S3DIS)
    views = [tiny_view(size=(160, 120)), tiny_view(1, boxes=2, size=(160, 120))]
    given = [method.prepare(view, np.random.default_rng(0)) for view in views]
    both = type(given[0]).cat(given)
    found = method(both)
    regions, truth = found.regions, both.truth
    assert bool((regions.frame.diff() >= 0).all()) and set(regions.frame.tolist()) == {0, 1}
    assert torch.equal(truth.frame[regions.object], regions.frame)
    said, own = found.boxes.recognised, found.boxes.regions.object
    rows = (own >= 0).nonzero()[:, 0]
    kind = truth.classes[own[rows]]
    refined = dss.refined(found.boxes.regions.boxes[rows], said.deltas[rows, kind], said.turn[rows, kind])
    assert len(regions.boxes) == len(rows) + len(truth.boxes)
    near = torch.cdist(refined, regions.boxes).amin(1)
    assert len(rows) > 5 and float(near.max().detach()) < 1e-5


def test_softmax_masks_compete() -> None:
    method = A3IS(replace(SMALL, activation="softmax"), S3DIS)
    given = batch(method)
    torch.manual_seed(0)
    prediction = method(given)
    assert prediction.masks.logits.shape[1] == len(S3DIS) + 1
    found = method.losses(prediction, given, START)["mask"].detach()
    assert float(found) == pytest.approx(np.log(len(S3DIS) + 1), rel=0.3)


def test_objects_without_shape_teach_no_mask() -> None:
    method = A3IS(SMALL, S3DIS)
    given = batch(method)
    unknown = given._replace(truth=given.truth._replace(shaped=torch.zeros(3, dtype=torch.bool)))
    terms = method.losses(method(unknown), unknown, START)
    assert float(terms["mask"].detach()) == 0 and float(terms["class"].detach()) > 0


def test_bins_see_the_photo_where_they_are() -> None:
    """The photo's own columns and rows as features: a bin's are those of the pixel that its middle is projected to."""
    sample = tiny_view()
    posed = frame_of(sample.input, SpaceConfig(along_walls=True, image=(60, 80)))
    frame = posed.frame
    v, u = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    truth, _ = truth_of(sample.truth, posed.grid_from_world)
    centers = roi_bin_centers(truth.boxes, size=4)
    found = photo_at(frame, torch.stack([u, v])[None], centers, torch.zeros(3, dtype=torch.int64))
    flat = centers.flatten(0, 3)
    in_camera = flat @ frame.camera_from_grid[0, :3, :3].T + frame.camera_from_grid[0, :3, 3]
    pixel = in_camera @ frame.intrinsics[0].T / in_camera[:, 2:]
    column, row, inside = found.movedim(1, -1).flatten(0, 3).unbind(-1)
    assert bool(inside.all())
    expected = pixel[:, :2].clamp(torch.zeros(2), torch.tensor([79.0, 59.0]))
    assert torch.allclose(torch.stack([column, row], dim=1), expected, atol=0.01)


def test_what_is_beside_the_photo_has_no_color() -> None:
    frame = frame_of(tiny_view().input, SpaceConfig()).frame
    behind = torch.tensor([[[[[0.0, -2.0, 0.0]]]]])
    found = photo_at(frame, torch.ones(1, 5, 6, 8), behind, torch.zeros(1, dtype=torch.int64))
    assert float(found.abs().sum()) == 0


def test_masks_answer_in_the_voxels_of_the_world() -> None:
    sample = tiny_view(yaw=0.0)
    found = A3IS(SMALL, S3DIS).eval().segment(sample.input)
    assert found.shapes is not None and found.amodal_boxes is not None
    for shape, box in zip(found.shapes, found.amodal_boxes, strict=True):
        assert isinstance(shape, VoxelGrid) and shape.origin is not None
        steps = shape.origin / shape.voxel_size
        assert torch.allclose(steps, steps.round(), atol=1e-6), "one lattice for all"
        centers = shape.centers.double() + shape.origin
        assert len(centers) == 0 or bool(((centers - box[:3]).norm(dim=1) < box[3:6].norm() / 2 + 0.01).all())


def test_probabilities_are_between_those_of_the_bins() -> None:
    filled = torch.arange(8.0).reshape(2, 2, 2)
    middles = (torch.tensor([[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 1]]) + 0.5) / 2
    assert probability_at(filled, middles).tolist() == pytest.approx([0, 1, 4, 7])
    assert probability_at(filled, torch.tensor([[0.5, 0.5, 0.5]])).tolist() == pytest.approx([3.5])


def test_no_object_is_empty_however_unsure_its_parts_are() -> None:
    torch.manual_seed(0)
    found = A3IS(replace(SMALL, mask_threshold=0.999), S3DIS).segment(tiny_view().input)
    assert found.shapes is not None and len(found) > 3
    assert min(len(shape) for shape in found.shapes) > 0


def test_boxes_alone_say_nothing_of_shapes() -> None:
    found = A3IS(replace(SMALL, answer="boxes"), S3DIS).eval().segment(tiny_view().input)
    assert len(found) and found.shapes is None and found.amodal_boxes is not None


def test_the_papers_network_has_its_size() -> None:
    with torch.device("meta"):
        method = A3IS(A3ISConfig(dss=replace(A3ISConfig().dss, image="resnet18-fpn")), DSS19)
    assert method.branch.decide.out_channels == 19
    first = method.branch.convs[0][0]
    assert first.in_channels == 6 + 96 + 192 + 256 + 1  # pyright: ignore
    total = sum(weight.numel() for weight in method.parameters())
    assert 4.0e8 < total < 7.0e8
