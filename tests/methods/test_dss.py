"""Deep Sliding Shapes: anchors, what they learn, and a tiny frame's objects."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.methods.dss import DSS, DSSConfig, overlap_with, refined
from gestalt3d.methods.frames.clusters import (
    ClusterConfig,
    clusters_of,
    imitated,
    pairs_that_touch,
    pieces_of,
)
from gestalt3d.methods.frames.objects import along, along_axes, in_frame, owners_of_pixels, truth_of
from gestalt3d.methods.frames.recognition import RecognitionConfig, geometry_of, image_boxes
from gestalt3d.methods.frames.regions import (
    RegionConfig,
    aligned_truth,
    changed,
    deltas_to,
    occupied,
    proposed,
    targets,
)
from gestalt3d.methods.frames.space import SpaceConfig, frame_of, wall_yaw
from gestalt3d.nn.anchors import DSS_ANCHORS, DSS_SMALL, anchor_sizes
from gestalt3d.ops.oriented_boxes_overlap import oriented_iou
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import DSS19, S3DIS
from gestalt3d.testing import Case, Overfit, tiny_view

SMALL = DSSConfig(
    space=SpaceConfig(nearest=0.6, size=(32, 32, 16), voxel=0.125, along_walls=True, image=(60, 80)),
    regions=RegionConfig(of_each_anchor=12, proposals=60, sampled=64, proposal_suppression=0.6),
    widths=(8, 12, 12), sizes=(3, 3), pools=(1, 1), large_sizes=(3, 3), large_stride=2, norm=True, image="mobilenetv2",
    image_learns=False, rois=32, min_score=0.0, most=20,
    recognition=RecognitionConfig(
        size=6, widths=(8, 12), sizes=(3, 3), shared=True, hidden=24, joint=24, dropout=0.0, turn=True
    ),
)  # fmt: skip
LABELS: dict[str, int | None] = dict.fromkeys(
    f"truth.{n}" for n in ("boxes", "classes", "shapes", "shaped", "objects")
)


def spread(method: Any, batch: Any) -> None:
    """Untrained, every region is of the class that the bias prefers; that is enough."""


CASES = (
    Case(
        config=SMALL,
        labels=LABELS,
        draws=False,
        overfit=Overfit(steps=100, rate=5e-3, config=replace(SMALL, min_score=0.3), loss=0.5, classes=None, instances=0.5),
    ),
    Case(
        config=replace(SMALL, space=replace(SMALL.space, along_walls=False), image=None, norm=False,
            recognition=replace(SMALL.recognition, shared=False, turn=False)),
        name="plain", labels=LABELS, draws=False, overfit=None,
    ),
)  # fmt: skip


def test_there_are_nineteen_anchors_of_thirteen_shapes_and_four_are_small() -> None:
    assert len(DSS_ANCHORS) == 19 and DSS_SMALL == (0, 1, 7, 8)
    assert len({tuple(sorted(a[:2])) + a[2:] for a in DSS_ANCHORS}) == 13
    assert len(anchor_sizes("dss", small=True)) == 4 and len(anchor_sizes("dss", small=False)) == 15
    assert len(anchor_sizes("grid4x3", small=True)) + len(anchor_sizes("grid4x3", small=False)) == 12


def test_the_papers_network_has_as_many_anchors_as_the_paper_says() -> None:
    with torch.device("meta"):
        method = DSS(replace(DSSConfig(), image=None), DSS19)
    small, large = method.anchors
    assert [len(axis) for axis in small.places] == [53, 53, 26]
    assert small.count + large.count == 53 * 53 * 26 * 19 == 1_387_646
    x, y, z = small.places
    assert (float(x[0]), float(y[0]), float(z[0])) == pytest.approx((-2.6, 0.4, -1.5))
    assert float(x[1] - x[0]) == pytest.approx(0.1)
    branches = method.small.decide.conv.weight.shape, method.large.decide.conv.weight.shape
    assert branches == ((32, 192, 2, 2, 2), (120, 384, 5, 5, 5))
    assert method.recognition.of_volume[0].in_features == 384 * 7**3  # pyright: ignore


def test_places_of_anchors_are_the_middles_of_what_their_cell_sees() -> None:
    """A bump in the volume moves most where its own anchors are."""
    method = DSS(replace(SMALL, norm=False, large_stride=2), S3DIS).eval()
    for branch, anchors in zip((method.small, method.large), method.anchors, strict=True):
        seen = torch.rand(12, 12, 32, 32, 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
        found = branch(seen)
        shape = found.said.shape[1:4]
        assert shape == tuple(len(axis) for axis in anchors.places)
        at = tuple(n // 2 for n in shape)
        weight = torch.autograd.grad(found.said[:, at[0], at[1], at[2]].sum(), seen)[0]
        reached = weight.abs().sum((0, 1))
        for axis, places in enumerate(anchors.places):
            others = [k for k in range(3) if k != axis]
            cells = reached.sum(others).nonzero()[:, 0].double() + 0.5
            middle = SMALL.space.low[axis] + SMALL.space.voxel * float(cells.mean())
            assert float(places[at[axis]]) == pytest.approx(middle, abs=1e-6)


def test_deltas_lead_to_the_box_and_are_those_of_the_paper() -> None:
    anchors = torch.tensor([[0.0, 2.0, 0.0, 0.6, 0.2, 0.4]])
    truth = torch.tensor([[0.15, 2.05, -0.1, 1.2, 0.2, 0.2]])
    deltas = deltas_to(anchors, truth)
    expected = [0.15 / 0.3, 0.05 / 0.1, -0.1 / 0.2, np.log(2), 0, np.log(0.5)]
    assert deltas[0].tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(changed(anchors, deltas), truth, atol=1e-6)


@pytest.mark.parametrize("yaw", [-0.6, 0.0, 0.3])
@pytest.mark.parametrize("own", [-2.0, 0.1, 0.8, 1.6, 3.0])
def test_axes_of_boxes_are_matched(yaw: float, own: float) -> None:
    box = torch.tensor([[1.0, 2.0, 0.0, 1.2, 0.4, 0.6, own]])
    near, rest = along(box, torch.tensor([yaw]))
    assert abs(float(rest)) <= np.pi / 4 + 1e-6
    assert float(near[0, 6]) == pytest.approx(yaw + float(rest), abs=1e-5)
    points = torch.rand(200, 3) * 3 - 0.5 + torch.tensor([0.0, 1.0, -1.0])
    inside = [((in_frame(points, b) - 0.5).abs() <= 0.5).all(1) for b in (box, near)]
    assert torch.equal(*inside), "it is the same box"


def test_boxes_are_refined_in_their_own_axes() -> None:
    truth = torch.tensor([[0.4, 2.2, -0.3, 1.0, 0.5, 0.7, 0.9]])
    region = torch.tensor([[0.3, 2.1, -0.2, 0.8, 0.6, 0.7, 0.5]])
    near, rest = along(truth, region[:, 6])
    own, true = along_axes(region, region[:, 6]), along_axes(near, region[:, 6])
    found = refined(region, deltas_to(own, true), rest / (np.pi / 4))
    assert torch.allclose(found, near, atol=1e-5)


def test_every_object_has_an_anchor_and_nothing_between_counts() -> None:
    method = DSS(SMALL, S3DIS)
    anchors = torch.cat([a.boxes for a in method.anchors])
    is_small = torch.arange(len(anchors)) < method.anchors[0].count
    truth = torch.tensor([[0.1, 2.0, -0.9, 0.5, 0.45, 0.6], [0.9, 2.4, -0.7, 0.2, 0.2, 1.5]])
    c = RegionConfig()
    torch.manual_seed(0)
    found = targets(anchors, is_small, truth, c)
    assert set(found.object.unique().tolist()) >= {-1, 0}
    from gestalt3d.ops.aligned_boxes import aligned_iou

    overlap = aligned_iou(anchors[found.rows], truth)
    negative = found.object < 0
    assert float(overlap[negative].max()) < c.negative_iou
    own = overlap[~negative].gather(1, found.object[~negative][:, None])
    assert float(own.min()) > c.forced_iou
    assert len(found.rows) <= c.sampled and int((~negative).sum()) <= c.sampled // 2
    best = aligned_iou(anchors, truth).amax(0)
    assert (best > c.forced_iou).tolist() == [True, 1 in found.object.tolist()]


def test_a_frame_without_objects_has_negatives_only() -> None:
    method = DSS(SMALL, S3DIS)
    anchors = torch.cat([a.boxes for a in method.anchors])
    is_small = torch.zeros(len(anchors), dtype=torch.bool)
    found = targets(anchors, is_small, torch.zeros(0, 6), RegionConfig())
    assert len(found.rows) == 256 and int(found.object.max()) == -1
    assert len(targets(anchors[:0], is_small[:0], torch.zeros(0, 6), RegionConfig()).rows) == 0


def test_anchors_are_empty_where_their_middle_is() -> None:
    method = DSS(
        replace(
            DSSConfig(),
            image=None,
            widths=(2, 2, 2),
            recognition=RecognitionConfig(hidden=8, joint=8, widths=(2, 2, 2)),
        ),
        DSS19,
    )
    anchors = method.anchors[1]
    counts = torch.zeros(52, 52, 25)
    counts[20:24, 10:14, 5:9] = 50.0  # 50,000 points a cubic metre
    there = occupied(counts, anchors, (-2.6, 0.4, -1.5), 0.1, 5000.0)
    boxes = anchors.boxes[there]
    assert len(boxes)
    low, high = torch.tensor([-0.6, 1.4, -1.0]), torch.tensor([-0.2, 1.8, -0.6])
    near, far = boxes[:, :3] - boxes[:, 3:] / 4, boxes[:, :3] + boxes[:, 3:] / 4
    # A count is of whole cells, half a cell on each side at most.
    assert bool(((near < high + 0.11) & (far > low - 0.11)).all())
    middle = (anchors.boxes[:, :3] - torch.tensor([-0.4, 1.6, -0.8])).abs().amax(1) < 0.02
    assert bool(there[middle & (anchors.boxes[:, 3:].amax(1) < 0.7)].all())


def test_proposals_are_the_best_of_their_kind_apart_from_each_other() -> None:
    anchors = torch.tensor(
        [[0.0, 2, 0, 1, 1, 1], [0.1, 2, 0, 1, 1, 1], [1.0, 2, 0, 1, 1, 1], [0.0, 2, 0, 2, 2, 1]]
    )
    kinds = torch.tensor([0, 0, 0, 1])
    score = torch.tensor([0.9, 0.8, 0.7, 0.95])
    boxes, found = proposed(anchors, kinds, score, torch.zeros(4, 6), RegionConfig())
    assert found.tolist() == pytest.approx([0.95, 0.9, 0.7])
    assert torch.equal(boxes, anchors[[3, 0, 2]])


@pytest.mark.parametrize("yaw", [-0.5, 0.0, 0.2, 0.7])
def test_walls_are_found_in_a_frame(yaw: float) -> None:
    found = frame_of(tiny_view(yaw=yaw, size=(160, 120)).input, SpaceConfig())
    assert float(found.frame.yaw) == pytest.approx(yaw, abs=0.02)
    turned_to_walls = frame_of(tiny_view(yaw=yaw).input, SpaceConfig(along_walls=True))
    assert float(turned_to_walls.frame.yaw) == 0


def test_a_frame_without_walls_has_no_direction() -> None:
    assert wall_yaw(torch.full((60, 80, 3), 1e4, dtype=torch.float64)) == 0


def test_photo_and_places_belong_together() -> None:
    """Every place of a frame is projected into its own pixel, whatever the image was stretched to."""
    posed = frame_of(tiny_view().input, SpaceConfig(along_walls=True, image=(60, 80)))
    frame = posed.frame
    v, u = frame.seen[0].nonzero().unbind(1)
    places = frame.places[0, v, u]
    in_camera = places @ frame.camera_from_grid[0, :3, :3].T + frame.camera_from_grid[0, :3, 3]
    pixel = in_camera @ frame.intrinsics[0].T / in_camera[:, 2:]
    assert torch.allclose(pixel[:, 0], u.float(), atol=0.01) and torch.allclose(
        pixel[:, 1], v.float(), atol=0.01
    )


def test_truth_is_in_the_grid_and_its_shapes_in_their_boxes() -> None:
    sample = tiny_view()
    posed = frame_of(sample.input, SpaceConfig(along_walls=True))
    truth, _ = truth_of(sample.truth, posed.grid_from_world)
    assert truth.objects.tolist() == [3] and bool(truth.shaped.all())
    rest = torch.remainder(truth.boxes[:, 6] + np.pi / 4, np.pi / 2) - np.pi / 4
    assert float(rest.abs().max()) < 0.02, "they stand along the walls"
    assert float(truth.shapes.float().mean()) > 0.9, "boxes fill their boxes"
    assert float(overlap_with(truth.boxes, truth.boxes).min()) == pytest.approx(1.0, abs=1e-5)
    plain = aligned_truth(truth.boxes, torch.tensor(0.0))
    assert torch.allclose(along_axes(plain, torch.zeros(len(plain))), plain)


def test_image_boxes_hold_the_pixels_of_a_region() -> None:
    sample = tiny_view()
    posed = frame_of(sample.input, SpaceConfig(image=(60, 80)))
    truth, _ = truth_of(sample.truth, posed.grid_from_world)
    wide = truth.boxes + torch.tensor([0.0, 0, 0, 0.02, 0.02, 0.02, 0])
    wide[:, 2] += 0.02  # off the floor
    found = image_boxes(posed.frame, wide, torch.zeros(3, dtype=torch.int64))
    for i, (left, top, right, bottom) in enumerate(found.tolist()):
        pixels = sample.truth.elements_of(i)
        u, v = pixels % 80, pixels // 80
        edges = [int(u.min()), int(v.min()), int(u.max()) + 1, int(v.max()) + 1]
        assert np.abs(np.array([left, top, right, bottom]) - edges).max() <= 2
    nothing = image_boxes(
        posed.frame, torch.tensor([[50.0, 50, 50, 1, 1, 1, 0]]), torch.zeros(1, dtype=torch.int64)
    )
    assert nothing.tolist() == [[0, 0, 0, 0]]


def test_geometry_of_regions_is_measured_from_camera_and_floor() -> None:
    """Whatever the direction that the volume has: the same numbers in a frame along the walls and in one along the camera."""
    sample = tiny_view()
    found = []
    for along_walls in (True, False):
        posed = frame_of(sample.input, SpaceConfig(along_walls=along_walls, image=(60, 80)))
        truth, _ = truth_of(sample.truth, posed.grid_from_world)
        found.append(geometry_of(posed.frame, truth.boxes, torch.zeros(3, dtype=torch.int64)))
    assert torch.allclose(found[0], found[1], atol=1e-4)
    boxes = sample.truth.amodal_boxes
    assert boxes is not None
    size, logs, away, far, ends = found[0].split([3, 3, 3, 1, 2], dim=1)
    assert torch.allclose(size, boxes[:, 3:6], atol=1e-4) and torch.allclose(logs.exp(), size, atol=1e-4)
    camera = torch.zeros(3, dtype=torch.float32)
    assert torch.allclose(away.norm(dim=1), (boxes[:, :3] - camera).norm(dim=1), atol=1e-3)
    assert torch.allclose(far[:, 0], (boxes[:, :2] - camera[:2]).norm(dim=1), atol=1e-3)
    assert float(ends[:, 0].abs().max()) < 0.03, "they stand on the floor"
    assert torch.allclose(ends[:, 1] - ends[:, 0], boxes[:, 5], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"large_sizes": (3,)}, "large_sizes must be two at least"),
        ({"large_stride": 3}, "large_stride"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        replace(SMALL, **changes)


def test_layers_of_recognition_have_a_width_and_a_size_each() -> None:
    with pytest.raises(UserError, match="widths and sizes must be as many"):
        replace(SMALL.recognition, widths=(8,))


def test_a_view_without_depth_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="depth and camera"):
        DSS(SMALL, S3DIS).segment(replace(tiny_view().input, depth=None))


def test_imitated_clusters_show_enough_of_the_object_whose_points_they_hold() -> None:
    sample = tiny_view(size=(160, 120))
    posed = frame_of(sample.input, SpaceConfig(along_walls=True, image=(120, 160)))
    _, rows = truth_of(sample.truth, posed.grid_from_world)
    owners = owners_of_pixels(sample.truth, rows, (120, 160), (120, 160))
    assert torch.equal(owners.flatten(), sample.truth.to_labels())
    places = posed.frame.places[0]
    wide, parts = torch.tensor([0.0, 0, 0, 0.05, 0.05, 0.05, 0]), 0
    for seed in range(5):
        config = ClusterConfig(of_objects=12, others=10)
        found = imitated(posed.frame, owners, len(rows), config, np.random.default_rng(seed))
        assert int(found.counts) == len(found.boxes) and set(found.owner.tolist()) == {-1, 0, 1, 2}
        for box, owner in zip(found.boxes + wide, found.owner.tolist(), strict=True):
            if owner >= 0:
                visible = places[owners == owner]
                inside = in_frame(visible, box[None])
                share = float(((inside >= 0) & (inside <= 1)).all(1).float().mean())
                assert share > 0.9 * config.positive_iou
                parts += share < 0.9
    assert parts > 5


def test_clusters_need_visible_masks_and_say_so() -> None:
    """Boxes alone, as SUN RGB-D has them, would teach that nothing is an object."""
    sample = tiny_view()
    truth = sample.truth
    nothing = Sets.from_sizes(
        torch.zeros(3, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), truth.masks.size
    )
    method = DSS(replace(SMALL, propose="clusters"), S3DIS)
    with pytest.raises(UserError, match="clusters learn from visible masks"):
        method.prepare(replace(sample, truth=replace(truth, masks=nothing)), np.random.default_rng(0))


def test_regions_of_objects_without_class_take_no_place_of_others() -> None:
    sample = tiny_view(size=(160, 120))
    torch.manual_seed(0)
    method = DSS(replace(SMALL, propose="clusters", rois=6, roi_positive_share=1.0), S3DIS)
    given = method.prepare(sample, np.random.default_rng(0))
    given = given._replace(truth=given.truth._replace(classes=torch.tensor([-1, 7, -1])))
    found = method(given).regions.object
    assert set(found.tolist()) <= {-1, 1} and int((found == 1).sum()) > 0


def test_clusters_of_a_frame_are_its_objects_and_every_two_that_touch() -> None:
    sample = tiny_view(size=(160, 120))
    posed = frame_of(sample.input, SpaceConfig(along_walls=True))
    truth, rows = truth_of(sample.truth, posed.grid_from_world)
    found = pieces_of(sample.input, posed.grid_from_world, 0.0, ClusterConfig())
    assert len(found.boxes) == len(found.points) >= 3
    assert float(oriented_iou(found.boxes, truth.boxes).amax(0).min()) > 0.3
    owners = owners_of_pixels(sample.truth, rows, (120, 160), (120, 160)).flatten()[sample.input.pixels()]
    told = clusters_of(found, owners, len(rows), ClusterConfig(negative_iou=0.3))
    assert torch.equal(told.boxes, found.boxes) and int(told.counts) == len(found.boxes)
    for own, owner in zip(found.points, told.owner.tolist(), strict=True):
        shown = [int((owners[own] == row).sum()) for row in range(3)]
        iou = [n / (len(own) + int((owners == row).sum()) - n) for row, n in enumerate(shown)]
        assert owner == (int(np.argmax(iou)) if max(iou) >= 0.3 else -1)
    assert set(told.owner.tolist()) == {-1, 0, 1, 2}
    sure = clusters_of(found, owners, len(rows), ClusterConfig(positive_iou=0.6, negative_iou=0.05))
    assert 0 < len(sure.owner) < len(found.boxes), "what shows an object in part teaches nothing"
    none = clusters_of(found, torch.full_like(owners, -1), 0, ClusterConfig())
    assert none.owner.tolist() == [-1] * len(found.boxes)
    a = torch.tensor([[0.0, 2, 0, 1, 1, 1, 0.3]])
    wide, one, other = pairs_that_touch(
        torch.cat([a, a + torch.tensor([1.05 * np.cos(0.3), 1.05 * np.sin(0.3), 0, 0, 0, 0, 0])]).float(), 0.1
    )
    assert (one.tolist(), other.tolist()) == ([0], [1])
    assert wide.shape == (1, 7) and wide[0, 3:].tolist() == pytest.approx([2.05, 1, 1, 0.3], abs=1e-4)


def test_regions_have_the_yaw_of_the_walls_where_nothing_is_proposed() -> None:
    method = DSS(
        replace(
            SMALL, space=replace(SMALL.space, along_walls=False), regions=replace(SMALL.regions, density=1e9)
        ),
        S3DIS,
    )
    given = method.prepare(tiny_view(size=(160, 120)), np.random.default_rng(0))
    found = method(given)
    assert len(found.proposals[0].boxes) == 0 and len(found.regions.boxes)
    assert torch.allclose(found.regions.boxes[:, 6], given.frame.yaw) and float(
        given.frame.yaw
    ) == pytest.approx(0.2, abs=0.02)
