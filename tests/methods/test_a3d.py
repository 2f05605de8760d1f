"""A3D: from what is visible of an object to a mesh, a camera and the mask of the whole."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.methods.a3d import A3D, A3DConfig, Batch
from gestalt3d.methods.method import START
from gestalt3d.methods.refiner import visible_part
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary
from gestalt3d.testing import Case, Overfit, tiny_view

SMALL = A3DConfig(
    side=32, widths=(8, 16, 16), hidden=(32, 32, 32), decoder=(32, 32), subdivisions=2, refine_widths=(8, 8), sigma=1e-3,
    mirror=0.6,
)  # fmt: skip
"""Generators with the seeds 0 and 1 draw on both sides of `mirror`."""
WIDE = replace(SMALL, around="visible", margin=3.0)
"""Crops in which other objects are, too."""
LABELS = {"whole": None, "classes": None}
CASES = (
    Case(
        config=SMALL,
        labels=LABELS,
        overfit=Overfit(
            steps=150,
            rate=1e-2,
            loss=0.5,
            classes=None,
            instances=0.9,
            config=replace(SMALL, keep_visible=False, pool=False),
        ),
    ),
    *(
        Case(
            config=replace(SMALL, **changes),
            name=name,
            labels=LABELS,
            overfit=None,
            by_itself=name != "beside",
        )
        for name, changes in {
            "visible": {"around": "visible", "margin": 2.0, "shift": True},
            "sectors": {"azimuths": 3, "class_forcing": 0.5},
            "beside": {
                "around": "visible",
                "margin": 2.0,
                "beside": True,
                "behind": True,
                "front": 1.0,
                "unet": (8, 8),
            },
            "coarse": {"pool": False, "refine_widths": (), "stretch": True, "keep_visible": False},
        }.items()
    ),
)


def test_a_crop_is_mirrored_with_its_masks_and_its_twin() -> None:
    """And the other view is of whoever the sample says."""
    always, never = (A3D(replace(SMALL, mirror=share, cross_view=True), S3DIS) for share in (1.0, 0.0))
    scan = _Seen(**vars(tiny_view(boxes=1)))
    one, other = (method.prepare(scan, np.random.default_rng(0)) for method in (always, never))
    assert other.twin.tolist() == [1, 0]
    for name in ("image", "visible", "whole"):
        assert torch.equal(getattr(one, name), getattr(other, name).flip(-1))
    assert not torch.equal(other.image[0], other.image[1])


class _Seen(LabelledView):
    """Of which there is another view."""

    def another(self, rng: np.random.Generator) -> LabelledView:
        return tiny_view(seed=1, boxes=1)


def _batch(method: A3D, boxes: int = 3) -> Batch:
    return method.prepare(tiny_view(boxes=boxes), np.random.default_rng(0))


def test_the_full_size_has_the_papers_number_of_parameters() -> None:
    """57.2 million less the 44.1 of the detector, with 13 classes, to 5 percent of the whole."""
    names = tuple(f"class {i}" for i in range(13))
    method = A3D(A3DConfig(), Vocabulary("thirteen", names, tuple(range(13)), frozenset()))
    count = sum(p.numel() for p in method.parameters())
    assert count / 1e6 == pytest.approx(57.2 - 44.1, abs=0.05 * 57.2)


def test_vertices_are_the_spheres_with_bounded_offsets() -> None:
    method = A3D(SMALL, S3DIS)
    batch = _batch(method)
    vertices = method(batch).vertices
    offset = (vertices.detach() - method.shape.base).abs().amax()
    assert vertices.shape == (3, 162, 3)
    assert 0 < float(offset) <= SMALL.most_offset
    assert torch.allclose(method.shape.base.norm(dim=1), torch.tensor(SMALL.radius))


def test_the_edge_loss_weighs_what_is_hidden_by_half() -> None:
    """(2): the cross-entropy of pixels where the true object is not visible counts half, mean over pixels and objects.

    Behind others as elsewhere, if nothing is set.
    """
    method = A3D(SMALL, S3DIS)
    batch = _batch(method)
    prediction = method(batch)
    a, y = prediction.refined.detach().double().sigmoid(), batch.whole.double()
    cost = -(y * a.log() + (1 - y) * (1 - a).log())
    cost = torch.where(batch.visible > 0.5, cost, cost / 2).mean()
    assert float(method.losses(prediction, batch, START)["edge"].detach()) == pytest.approx(
        float(cost), rel=1e-4
    )


def test_the_shape_loss_is_how_far_silhouettes_are_from_whole_masks() -> None:
    method = A3D(SMALL, S3DIS)
    batch = _batch(method)
    prediction = method(batch)
    p, g = prediction.silhouettes[:, 0].detach(), batch.whole
    iou = (p * g).sum((1, 2)) / (p + g - p * g).sum((1, 2))
    assert float(method.losses(prediction, batch, START)["shape"].detach()) == pytest.approx(
        float(1 - iou.mean()), rel=1e-4
    )


def test_a_twins_mask_supervises_a_shape_from_the_twins_camera() -> None:
    method = A3D(SMALL, S3DIS).eval()
    batch = _batch(method, boxes=2)
    paired = batch._replace(twin=torch.tensor([1, 0]))
    prediction = method(paired)
    assert prediction.crossed.shape == (2, 32, 32)
    alone, both = (
        float(method.losses(p, b, START)["shape"].detach())
        for p, b in ((method(batch), batch), (prediction, paired))
    )
    p, g = prediction.crossed.detach(), batch.whole[[1, 0]]
    crossed = 1 - ((p * g).sum((1, 2)) / (p + g - p * g).sum((1, 2))).mean()
    assert both == pytest.approx((alone + float(crossed)) / 2, rel=1e-4)


def test_twins_stay_together_in_a_batch_of_batches() -> None:
    method = A3D(SMALL, S3DIS)
    pair = _batch(method, boxes=2)._replace(twin=torch.tensor([1, 0]))
    lone = _batch(method, boxes=1)
    assert Batch.cat([lone, pair, pair]).twin.tolist() == [-1, 2, 1, 4, 3]


def test_each_sector_of_the_azimuth_has_a_guess_of_its_own() -> None:
    method = A3D(replace(SMALL, azimuths=6), S3DIS)
    cameras = method(_batch(method)).cameras
    sector = (torch.rad2deg(cameras.azimuth) / 60).round()
    assert sector.tolist() == [[0, 1, 2, 3, 4, 5]] * 3
    assert cameras.likeliest().azimuth.shape == (3, 1)


def test_ranges_of_the_camera_hold_whatever_the_network_says() -> None:
    method = A3D(SMALL, S3DIS)
    for parameter in method.viewpoint.parameters():
        torch.nn.init.normal_(parameter, std=5.0)
    cameras = method(_batch(method)).cameras
    low, high = (math.radians(limit) for limit in (-SMALL.most_below, SMALL.most_above))
    assert bool(((cameras.elevation >= low - 1e-6) & (cameras.elevation <= high + 1e-6)).all())
    assert bool(((cameras.distance >= SMALL.distance[0]) & (cameras.distance <= SMALL.distance[1])).all())


def test_a_mesh_lies_where_its_silhouette_is() -> None:
    """In pixels, with z up from the lower edge: its extent across the photo is that of the mask that it makes."""
    method = A3D(
        replace(SMALL, refine_widths=(), keep_visible=False, most_above=0.0, most_below=0.0), S3DIS
    ).eval()
    scan = tiny_view(boxes=3)
    width, height = scan.input.image.shape[2], scan.input.image.shape[1]
    found = method.refine(scan.input, visible_part(scan.truth, width=width, whole_boxes=True))
    assert found.shapes is not None and found.whole is not None
    for pixels, mesh in zip(found.whole, found.shapes, strict=True):
        assert isinstance(mesh, Mesh)
        rows, columns = pixels // width, pixels % width
        x, z = mesh.vertices[:, 0], height - mesh.vertices[:, 2]
        inside = (x > 0) & (x < width) & (z > 0) & (z < height)
        assert bool(inside.any())
        if rows.min() > 0 and rows.max() < height - 1:
            assert float(z.min()) == pytest.approx(int(rows.min()), abs=3)
        if columns.min() > 0 and columns.max() < width - 1:
            assert float(x.max()) == pytest.approx(int(columns.max()) + 1, abs=3)


def test_weights_that_never_saw_other_masks_begin_as_they_are() -> None:
    """What is beside an object counts nothing at first, so that a network that learns it can begin with one that did not."""
    before, after = (
        A3D(replace(WIDE, beside=beside, refine_widths=()), S3DIS).eval() for beside in (False, True)
    )
    missing = after.load_state_dict(before.state_dict(), strict=False).missing_keys
    assert sorted(missing) == ["shape.encoder.beside.weight", "viewpoint.encoder.beside.weight"]
    scan = tiny_view()
    batch = _batch(after)
    assert bool((batch.beside > 0).any())
    seen = visible_part(scan.truth, width=scan.input.image.shape[2], whole_boxes=True)
    assert before.refine(scan.input, seen).whole == after.refine(scan.input, seen).whole


def test_the_loss_of_what_others_may_hide_has_a_weight_of_its_own() -> None:
    method = A3D(replace(WIDE, behind_weight=3.0), S3DIS)
    batch = _batch(method)
    prediction = method(batch)
    a, y = prediction.refined.detach().double().sigmoid(), batch.whole.double()
    cost = -(y * a.log() + (1 - y) * (1 - a).log())
    weight = torch.where(batch.visible > 0.5, 1.0, torch.where(batch.beside > 0.5, 3.0, 0.5))
    assert bool((weight == 3).any())
    assert float(method.losses(prediction, batch, START)["edge"].detach()) == pytest.approx(
        float((weight * cost).mean()), rel=1e-4
    )


def test_a_class_that_nobody_gives_becomes_the_networks() -> None:
    method = A3D(SMALL, S3DIS).eval()
    scan = tiny_view()
    seen = visible_part(scan.truth, width=scan.input.image.shape[2])
    found = method.refine(scan.input, seen)
    assert bool((found.classes >= 0).all())
    given = replace(seen, classes=torch.tensor([3, -1, 5]))
    assert method.refine(scan.input, given).classes[[0, 2]].tolist() == [3, 5]


def test_what_is_visible_belongs_to_the_whole() -> None:
    scan = tiny_view()
    seen = visible_part(scan.truth, width=scan.input.image.shape[2])
    for keeps in (True, False):
        method = A3D(replace(SMALL, keep_visible=keeps), S3DIS).eval()
        whole = method.refine(scan.input, seen).whole
        assert isinstance(whole, Sets)
        inside = all(set(a.tolist()) <= set(b.tolist()) for a, b in zip(seen.masks, whole, strict=True))
        assert inside == keeps


def test_signs_of_a_training_that_goes_wrong_are_watched() -> None:
    method = A3D(SMALL, S3DIS)
    batch = _batch(method)
    with torch.no_grad():
        watched = method.watched(method(batch), batch)
    assert set(watched) == {"azimuths_alike", "elevation", "distance", "shapes_differ"}
    assert float(watched["azimuths_alike"]) == pytest.approx(
        1, abs=0.01
    )  # an untrained network: one camera for all


def test_data_without_whole_masks_are_refused_in_one_line() -> None:
    scan = tiny_view()
    with pytest.raises(UserError, match="says nothing of whole objects"):
        A3D(SMALL, S3DIS).prepare(
            replace(scan, truth=replace(scan.truth, whole=None)), np.random.default_rng(0)
        )


def test_settings_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UserError, match="multiple of 8"):
        replace(SMALL, side=36)
    with pytest.raises(UserError, match="amodal"):
        replace(SMALL, shift=True)
