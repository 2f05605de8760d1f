"""The same scans elsewhere: rigid, repeatable, with the same labels."""

from dataclasses import replace
from pathlib import Path

import torch

from gestalt3d.data import open_data
from gestalt3d.data.posed import Posed
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.structures.pointcloud import PointCloud
from tests.scenes import save_folder


def test_a_pose_is_a_turn_about_the_vertical_and_a_small_step(tmp_path: Path) -> None:
    scans = open_data("folder", root=save_folder(tmp_path))
    assert Posed(scans, 0)[0] is not None and torch.equal(
        Posed(scans, 0)[0].input.points, scans[0].input.points
    )
    plain, turned, again, other = scans[0], Posed(scans, 1)[0], Posed(scans, 1)[0], Posed(scans, 2)[0]
    assert torch.equal(turned.input.points, again.input.points)
    assert not torch.equal(turned.input.points, other.input.points)
    one, two = (scan.input.points[:200].double() for scan in (plain, turned))
    torch.testing.assert_close(torch.cdist(one, one), torch.cdist(two, two), atol=1e-5, rtol=1e-5)
    moved = turned.input.points.double().mean(0) - plain.input.points.double().mean(0)
    assert float(moved.abs().max()) <= 0.2 + 1e-5
    heights = (turned.input.points - plain.input.points)[:, 2]
    assert float(heights.max() - heights.min()) < 1e-5
    assert torch.equal(turned.truth.to_labels(), plain.truth.to_labels())
    assert (turned.name, Posed(scans, 1).names, len(Posed(scans, 1))) == (plain.name, scans.names, len(scans))


def test_boxes_go_along_and_normals_and_source_are_dropped(tmp_path: Path) -> None:
    scans = open_data("folder", root=save_folder(tmp_path))

    class Boxed(LabelledClouds):
        vocabulary, names, notes = scans.vocabulary, scans.names, scans.notes

        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int):
            scan = scans[i]
            centres = [scan.input.points[scan.truth.elements_of(k)].mean(0) for k in range(len(scan.truth))]
            boxes = torch.cat([torch.stack(centres), torch.arange(4.0).expand(len(centres), 4)], dim=1)
            return replace(scan, truth=replace(scan.truth, boxes=boxes))

    plain, turned = Boxed()[0], Posed(Boxed(), 1)[0]
    assert turned.input.normals is None and turned.input.source is None
    assert turned.truth.boxes is not None and plain.truth.boxes is not None
    for k in range(len(turned.truth)):
        centre = turned.input.points[turned.truth.elements_of(k)].mean(0)
        torch.testing.assert_close(turned.truth.boxes[k, :3], centre, atol=1e-4, rtol=0)
    assert torch.equal(turned.truth.boxes[:, 3:6], plain.truth.boxes[:, 3:6])
    points, before = turned.input.points.double(), plain.input.points.double()
    old, new = before[1] - before[0], points[1] - points[0]
    turn = torch.atan2(new[1], new[0]) - torch.atan2(old[1], old[0])
    yaw = (turned.truth.boxes[:, 6] - plain.truth.boxes[:, 6]).double()
    torch.testing.assert_close(torch.cos(yaw), torch.cos(turn).expand(len(yaw)), atol=1e-3, rtol=0)
    torch.testing.assert_close(torch.sin(yaw), torch.sin(turn).expand(len(yaw)), atol=1e-3, rtol=0)


def test_whole_objects_go_along() -> None:
    tops = open_data("table-tops:val", limit=1)
    plain, turned = tops[0].truth, Posed(tops, 1)[0].truth
    assert plain.shapes is not None and turned.shapes is not None
    assert plain.amodal_boxes is not None and turned.amodal_boxes is not None
    assert torch.equal(plain.amodal_boxes[:, 3:6], turned.amodal_boxes[:, 3:6])
    for shape, before, box in zip(turned.shapes, plain.shapes, turned.amodal_boxes.double(), strict=True):
        assert isinstance(shape, PointCloud) and isinstance(before, PointCloud)
        torch.testing.assert_close(
            torch.pdist(shape.points[:50]), torch.pdist(before.points[:50]), atol=1e-5, rtol=0
        )
        away = (shape.world_points - box[:3]) @ turn_matrix(float(box[6]))
        torch.testing.assert_close(away.amax(0), box[3:6] / 2, atol=1e-4, rtol=0)
