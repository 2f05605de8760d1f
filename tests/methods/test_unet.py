"""The semantic U-Net's own: what it sees of a voxel, windows, class weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.methods.unet import Batch, UNet, UNetConfig, quarter_turn, voxel_features
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit
from tests.scenes import tiny_scan

SMALL = UNetConfig(voxel_size=0.1, width=4, levels=3)
WINDOWS = UNetConfig(voxel_size=0.1, width=8, levels=3, max_extent=1.5)


def spread(method: UNet, batch: Batch) -> None:
    method.classify.weight *= 2.0 / method(batch).logits.std()


CASES = [
    Case(config=WINDOWS, spread=spread, overfit=Overfit(config=replace(WINDOWS, max_extent=None), rate=2e-2)),
    Case(
        name="superpoints",
        config=replace(WINDOWS, superpoints=SuperpointConfig(voxel_size=0.04, min_voxels=5)),
        spread=spread,
        overfit=None,
    ),
]


def build(config: UNetConfig = SMALL) -> UNet:
    torch.manual_seed(0)
    return UNet.from_config(config, S3DIS)


def features(cloud: PointCloud, config: UNetConfig = SMALL) -> torch.Tensor:
    return voxel_features(cloud, voxelize(cloud.points, voxel_size=config.voxel_size), config)


def test_features_say_where_the_surface_lies_and_what_colour_it_has() -> None:
    points = torch.tensor([[0.01, 0.05, 0.05], [0.03, 0.05, 0.05], [0.05, 0.05, 1.06]])
    colors = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 0.0], [0.5, 0.5, 0.5]])
    config = replace(SMALL, normals=0)
    found = features(PointCloud(points, colors), config)
    floor = float(np.percentile(points[:, 2].numpy(), 0.5))
    expected = [
        [1, 0.0, 0.0, -0.5, 1, 0.05 - floor, -0.3, 0.0, 0.0],
        [1, 0.0, 0.0, 0.0, 1, 1.06 - floor, 0.0, 0.0, 0.1],
    ]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=0)
    bare = features(PointCloud(points), config)
    assert bool((bare[:, 1:5] == 0).all())
    assert torch.equal(bare[:, 5:], found[:, 5:])


def test_normals_of_a_floor_and_a_wall() -> None:
    flat = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 2
    for axis in (2, 0):
        points = flat.clone()
        points[:, axis] = 0.05
        squares = features(PointCloud(points))[:, 9:12]
        torch.testing.assert_close(squares[:, axis], torch.ones(len(squares)), atol=1e-4, rtol=0)


def test_height_is_above_the_floor_wherever_the_scan_lies() -> None:
    cloud = tiny_scan().input
    moved = replace(cloud, points=cloud.points + torch.tensor([0.0, 0.0, 128.0]))
    parts = torch.tensor([0.05, 0.5, 0.95])
    one, other = (features(c)[:, 5].quantile(parts) for c in (cloud, moved))
    torch.testing.assert_close(one, other, atol=2e-2, rtol=0)


def test_a_window_is_a_part_of_the_scan_with_the_scan_s_floor() -> None:
    scan = tiny_scan(size=6.0, points=6000)
    whole = build().prepare(scan, np.random.default_rng(0))
    part = build(replace(SMALL, max_extent=2.0)).prepare(scan, np.random.default_rng(0))
    assert int((part.coordinates.amax(0) - part.coordinates.amin(0))[:2].max()) <= 20
    assert 10 < int(part.sizes[0]) < int(whole.sizes[0])
    known = {tuple(at): row for at, row in zip(whole.coordinates.tolist(), whole.features, strict=True)}
    heights = torch.stack([known[tuple(at)][5] for at in part.coordinates.tolist()])
    # Voxels at the window's edge lose points.
    assert float((heights - part.features[:, 5]).abs().median()) < 1e-5


def test_scans_of_a_batch_do_not_see_each_other() -> None:
    method, rng = build().eval(), np.random.default_rng(0)
    a, b = (method.prepare(tiny_scan(seed), rng) for seed in (0, 1))
    both = Batch(*(torch.cat(parts) for parts in zip(a, b, strict=True)))
    torch.testing.assert_close(method(both).logits[: len(a.classes)], method(a).logits)


def test_class_weights_favour_the_rare() -> None:
    method = build(replace(SMALL, class_balance=0.5))
    method.fit([tiny_scan(boxes=1, points=6000)])
    wall, table = (float(method.class_weights[S3DIS.id(name)]) for name in ("wall", "table"))
    assert 0 < wall < table
    build().fit([])  # asks for nothing, reads nothing


@pytest.mark.parametrize(
    "changes", [{"voxel_size": 0.0}, {"levels": 0}, {"normals": 2}, {"max_extent": -1.0}]
)
def test_impossible_settings_say_which(changes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        UNetConfig(**changes)


@pytest.mark.parametrize("turns", [1, 4])
def test_a_wide_scan_is_labelled_tile_by_tile(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, method = tiny_scan(points=20000).input, build(replace(SMALL, voxel_size=0.04, turns=turns))
    whole = method.segment(cloud).element_classes
    method.config = replace(method.config, tile_voxels=2000)
    seen = []
    forward = UNet.forward
    monkeypatch.setattr(UNet, "forward", lambda self, b: seen.append(len(b.coordinates)) or forward(self, b))
    tiled = method.segment(cloud).element_classes
    assert whole is not None and tiled is not None
    assert len(seen) > turns
    assert (
        float((whole == tiled).float().mean()) > 0.999
    )  # rounding decides between classes that are as likely


def test_a_quarter_turn_of_the_voxels_is_that_of_the_cloud() -> None:
    cloud = tiny_scan(points=4000).input
    cloud = cloud[(cloud.points / 0.1).frac().abs().amin(1) > 1e-3]  # none between voxels
    voxels = voxelize(cloud.points, voxel_size=0.1)
    x, y, z = cloud.points.unbind(1)
    turned = replace(cloud, points=torch.stack([-y, x, z], dim=1))
    at, values = quarter_turn(voxels.coordinates, features(cloud))
    expected = voxelize(turned.points, voxel_size=0.1)
    order = torch.from_numpy(np.lexsort(at.numpy().T[::-1]).copy())
    assert torch.equal(at[order], expected.coordinates)
    torch.testing.assert_close(values[order], features(turned), atol=1e-4, rtol=0)


def test_the_mean_of_all_turns_does_not_depend_on_the_first() -> None:
    cloud = tiny_scan(points=2000).input
    at, values = voxelize(cloud.points, voxel_size=0.1).coordinates, features(cloud)
    one, four = (build(replace(SMALL, turns=n)).eval() for n in (1, 4))
    with torch.inference_mode():
        for method, same in ((one, False), (four, True)):
            first, other = method.scores(at, values), method.scores(*quarter_turn(at, values))
            assert torch.allclose(first, other, atol=1e-5) is same
    torch.testing.assert_close(first.sum(1), torch.ones(len(at)))
