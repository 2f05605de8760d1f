"""The same scans elsewhere: rigid, repeatable, with the same labels."""

from dataclasses import replace
from pathlib import Path

import torch

from gestalt3d.data import open_data
from gestalt3d.data.posed import Posed
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


def test_what_knows_where_the_scan_stood_is_dropped(tmp_path: Path) -> None:
    scans = open_data("folder", root=save_folder(tmp_path))

    class Boxed:
        vocabulary, names, min_region, notes = scans.vocabulary, scans.names, scans.min_region, scans.notes

        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int):
            scan = scans[i]
            return replace(scan, truth=replace(scan.truth, boxes=torch.zeros(len(scan.truth), 7)))

    turned = Posed(Boxed(), 1)[0]
    assert turned.truth.boxes is None and turned.input.normals is None and turned.input.source is None
