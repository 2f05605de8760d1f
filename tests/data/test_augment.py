"""Augmentation moves, thins and tints a scan; its labels stay with their points."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.data.augment import PLAIN, AugmentConfig, augment
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid

NOTHING = replace(PLAIN, min_points=0)


def room(n: int = 3000) -> Scan:
    """A floor, a ceiling, a chair; each point's red is its index, so that it can be recognised."""
    rng = np.random.default_rng(1)
    points = rng.random((n, 3), dtype=np.float32) * [4, 5, 0.1] + [10, 0, 0]
    labels = np.arange(n) % 4 - 1
    points[labels == 1, 2] += 2.5
    points[labels == 2] = points[labels == 2] * [0.1, 0.1, 5] + [9, 0, 0]
    classes = torch.tensor([1, 0, 8])
    colors = torch.arange(n).float()[:, None].expand(-1, 3) / n
    found = Instances.from_labels(
        torch.from_numpy(labels),
        classes,
        vocabulary=S3DIS,
        element_classes=torch.cat([classes, torch.tensor([-1])])[torch.from_numpy(labels)],
    )
    return Scan("room", PointCloud(torch.from_numpy(points.astype(np.float32)), colors.contiguous()), found)


def which(changed: Scan, n: int = 3000) -> torch.Tensor:
    assert changed.input.colors is not None
    return (changed.input.colors[:, 0] * n).round().long()


def test_nothing_asked_for_changes_nothing() -> None:
    changed = augment(room(), np.random.default_rng(0), NOTHING)
    assert torch.allclose(changed.input.points, room().input.points, atol=2e-6)
    assert torch.equal(changed.truth.to_labels(), room().truth.to_labels())


def test_what_overlaps_still_does() -> None:
    whole = Sets.from_sizes(torch.tensor([4, 3]), torch.tensor([0, 1, 2, 3, 2, 3, 5]), 3000)
    masks = Sets.from_sizes(torch.tensor([3, 2]), torch.tensor([0, 1, 2, 2, 3]), 3000)
    before = room()
    truth = Instances(
        masks=masks,
        classes=torch.tensor([7, 8]),
        scores=torch.ones(2),
        vocabulary=before.truth.vocabulary,
        whole=whole,
    )
    same = augment(replace(before, truth=truth), np.random.default_rng(0), NOTHING).truth
    assert same.masks == masks and same.whole == whole
    thinner = augment(
        replace(before, truth=truth), np.random.default_rng(0), replace(NOTHING, p_thin=1.0, min_points=10)
    ).truth
    assert thinner.masks.size < 3000 and thinner.whole is not None and len(thinner.whole) == len(thinner)


@pytest.mark.parametrize("seed", range(20))
def test_labels_follow_their_points(seed: int) -> None:
    before = room()
    colors_stay = replace(
        AugmentConfig(), p_no_color=0.0, p_gray=0.0, p_color=0.0, p_shading=0.0, p_paint=0.0
    )
    changed = augment(before, np.random.default_rng(seed), colors_stay)
    kept = which(changed)
    assert bool((kept.diff() > 0).all()) and len(kept) == len(changed.input) >= 500
    assert changed.truth.element_classes is not None and before.truth.element_classes is not None
    assert torch.equal(changed.truth.element_classes, before.truth.element_classes[kept])
    old, new = before.truth.to_labels()[kept], changed.truth.to_labels()
    assert torch.equal(old < 0, new < 0)
    assert torch.equal(changed.truth.classes[new[new >= 0]], before.truth.classes[old[old >= 0]])
    assert bool((changed.truth.sizes > 0).all())


def test_the_same_seed_gives_the_same_scan_and_the_input_stays() -> None:
    before = room()
    a, b = (augment(before, np.random.default_rng(7)) for _ in range(2))
    assert torch.equal(a.input.points, b.input.points)
    assert not torch.equal(
        a.input.points, augment(before, np.random.default_rng(8)).input.points[: len(a.input)]
    )
    assert torch.equal(before.input.points, room().input.points)
    assert before.input.colors is not None and room().input.colors is not None
    assert torch.equal(before.input.colors, room().input.colors)


def test_rotation_and_flip_keep_distances_and_heights() -> None:
    before = room().input.points
    after = augment(room(), np.random.default_rng(3), replace(NOTHING, rotation=True, flip=True)).input.points
    assert torch.allclose(after[:, 2], before[:, 2], atol=1e-5)
    assert torch.allclose(torch.pdist(after[:50]), torch.pdist(before[:50]), atol=1e-4)
    assert not torch.allclose(after, before, atol=0.1)


def test_tilt_stays_within_its_angle() -> None:
    config = replace(NOTHING, p_tilt=1.0, tilt_degrees=3.0)
    before = room().input.points
    for seed in range(20):
        after = augment(room(), np.random.default_rng(seed), config).input.points
        centred = [p.double() - p.double().mean(0) for p in (before, after)]
        turn = torch.linalg.lstsq(centred[0], centred[1]).solution
        assert 0 <= float(torch.arccos(turn[2, 2].clamp(max=1)).rad2deg()) <= 3.05


def test_noise_has_the_deviation_asked_for() -> None:
    after = augment(room(), np.random.default_rng(0), replace(NOTHING, noise=(0.01, 0.01))).input.points
    # 9,000 samples: the standard error of a deviation is s / sqrt(2 n).
    assert float((after - room().input.points).std()) == pytest.approx(0.01, abs=4 * 0.01 / np.sqrt(18_000))


def test_elastic_moves_neighbours_together() -> None:
    config = replace(NOTHING, p_elastic=1.0, elastic=(0.05, 0.05), elastic_wavelength=(2.0, 2.0))
    moved = augment(room(), np.random.default_rng(0), config).input.points - room().input.points
    points = room().input.points.double()
    near = torch.cdist(points, points).fill_diagonal_(9).min(dim=1)
    step = (moved - moved[near.indices]).norm(dim=1)
    # Slope of 4 waves of amplitude a_k: at most sum |a_k| 2 pi / wavelength.
    assert (
        bool((step <= near.values * 4 * 0.05 * 3 * np.pi + 1e-5).all())
        and float(moved.norm(dim=1).max()) > 0.01
    )


def test_bumps_have_the_size_asked_for_and_their_wavelength() -> None:
    config = replace(NOTHING, p_bumps=1.0, bumps=(0.02, 0.02), bump_wavelength=(1.0, 1.0))
    before, sizes, steepest = room().input.points, [], 0.0
    apart = torch.cdist(before[:300], before[:300])
    for seed in range(30):
        moved = augment(room(), np.random.default_rng(seed), config).input.points - before
        sizes.append(float(moved.square().mean()))
        differ = torch.cdist(moved[:300], moved[:300])
        steepest = max(steepest, float(((differ - 1e-4) / apart.clamp(min=1e-3)).max()))
    # 30 draws of 12 amplitudes along 3 axes: the variance of the mean square is 2 / (30 * 36) of its square.
    assert np.mean(sizes) == pytest.approx(0.02**2, rel=4 * np.sqrt(2 / (30 * 36)))
    # Waves of 1 m: the slope along one axis has a deviation of 2 pi * 0.02 (half of a sine's squares, twice its amplitude's),
    # along the steepest of three less than 3 ** 0.5 times that; five deviations.
    assert 0.02 < steepest < 5 * 3**0.5 * 2 * np.pi * 0.02


def test_smoothing_takes_noise_off_a_plane_and_leaves_places_on_it() -> None:
    rng = np.random.default_rng(0)
    flat = torch.from_numpy(rng.random((20_000, 3)).astype(np.float32)) * torch.tensor([2.0, 2.0, 0.0])
    noisy = flat + torch.from_numpy(rng.normal(0, 0.005, (20_000, 3)).astype(np.float32)) * torch.tensor(
        [0, 0, 1]
    )
    scan = Scan("plane", PointCloud(noisy), Instances.empty(20_000, S3DIS))
    smooth = augment(scan, rng, replace(NOTHING, p_smooth=1.0, smooth=(0.06, 0.06))).input.points
    # 34 x 34 columns of 17 points, cut in two at height 0 by the voxels: a plane is fitted to the means of some 18 voxels, each
    # of noise 0.005 / 8.6 ** 0.5 at most; at a point half a voxel off the middle it has less than half of that left.
    inside = ((flat[:, :2] > 0.15) & (flat[:, :2] < 1.85)).all(1)
    assert float(smooth[inside, 2].std()) < 0.5 * 0.005 / 8.6**0.5
    # Sideways a point goes by its height times the slope of the plane: five deviations of each.
    slope = 0.005 / 8.6**0.5 / (9**0.5 * 0.05)
    assert float((smooth - noisy)[inside][:, :2].abs().max()) < 5 * 0.005 * 5 * slope


def test_smoothing_leaves_lone_points_and_corners_near_their_place() -> None:
    before = room()
    after = augment(
        before, np.random.default_rng(0), replace(NOTHING, p_smooth=1.0, smooth=(0.05, 0.05))
    ).input
    # No point leaves the 3³ voxels about it.
    assert float((after.points - before.input.points).norm(dim=1).max()) < 0.05 * 3**1.5
    lone = Scan("lone", PointCloud(torch.eye(3)), Instances.empty(3, S3DIS))
    changed = augment(lone, np.random.default_rng(0), replace(NOTHING, p_smooth=1.0))
    assert torch.allclose(changed.input.points, torch.eye(3), atol=1e-6)


def test_the_ceiling_goes_and_with_it_its_instance() -> None:
    changed = augment(room(), np.random.default_rng(0), replace(NOTHING, p_no_ceiling=1.0))
    assert changed.truth.element_classes is not None
    assert not bool((changed.truth.element_classes == 0).any())
    assert changed.truth.classes.tolist() == [1, 8]


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_crop_keeps_its_share(share: float) -> None:
    changed = augment(room(), np.random.default_rng(0), replace(NOTHING, p_crop=1.0, crop=(share, share)))
    assert len(changed.input) == pytest.approx(share * 3000, abs=2)


def test_thinning_leaves_one_point_per_voxel() -> None:
    config = replace(NOTHING, p_thin=1.0, thin=(0.25, 0.25))
    changed = augment(room(), np.random.default_rng(0), config)
    points = room().input.points
    voxels = {tuple(v) for v in ((points - points.min(0).values) / np.float32(0.25)).long().tolist()}
    assert len(changed.input) == len(voxels)


def test_removals_never_empty_a_scan() -> None:
    config = AugmentConfig(
        p_dropout=1.0, dropout=(0.999, 0.999), p_thin=1.0, thin=(9.0, 9.0), p_crop=1.0, crop=(0.001, 0.001)
    )
    assert len(augment(room(), np.random.default_rng(0), config).input) >= config.min_points


def test_colour_dropout_takes_all_colours_and_changes_stay_in_range() -> None:
    assert augment(room(), np.random.default_rng(0), replace(NOTHING, p_no_color=1.0)).input.colors is None
    for seed in range(10):
        colors = augment(room(), np.random.default_rng(seed), replace(NOTHING, p_color=1.0)).input.colors
        assert colors is not None and float(colors.min()) >= 0 and float(colors.max()) <= 1
        assert not torch.equal(colors, room().input.colors)


def test_shading_varies_smoothly_and_keeps_the_hue() -> None:
    scan = room()
    gray = replace(scan, input=replace(scan.input, colors=torch.full((3000, 3), 0.5)))
    config = replace(NOTHING, p_shading=1.0, shading=(0.2, 0.2), shading_wavelength=(2.0, 4.0))
    changed = augment(gray, np.random.default_rng(3), config)
    colors = changed.input.colors
    assert colors is not None
    assert torch.equal(colors[:, 0], colors[:, 1]) and torch.equal(colors[:, 0], colors[:, 2])
    assert float(colors.std()) > 0.01
    apart = torch.cdist(gray.input.points, gray.input.points)
    difference = (colors[:, None, 0] - colors[None, :, 0]).abs()
    assert float(difference[apart < 0.1].mean()) < 0.2 * float(difference[apart > 2].mean())


def test_paint_changes_each_object_on_its_own_and_keeps_its_pattern() -> None:
    scan = room()
    before = scan.input.colors
    config = replace(NOTHING, p_paint=1.0, paint_share=0.5, contrast=(0.5, 0.5))
    labels, seen = scan.truth.to_labels(), set()
    for seed in range(10):
        after = augment(scan, np.random.default_rng(seed), config).input.colors
        assert before is not None and after is not None
        untouched = []
        for i in range(-1, 3):
            was, now = before[labels == i], after[labels == i]
            inside = (now > 0) & (now < 1)  # what did not saturate
            if bool(torch.allclose(was, now, atol=1e-6)):
                untouched.append(i)
                continue
            offset = (now - 0.5 * was)[:, 0][inside[:, 0]]
            assert float(offset.std()) < 1e-5  # half the contrast, and one shift for the whole object
        seen.add(tuple(untouched))
    assert len(seen) > 3


@pytest.mark.parametrize("n", [0, 1, 5])
def test_tiny_scans_survive(n: int) -> None:
    scan = Scan("tiny", PointCloud(torch.ones(n, 3), torch.ones(n, 3)), Instances.empty(n, S3DIS))
    for seed in range(5):
        changed = augment(scan, np.random.default_rng(seed), AugmentConfig(p_bumps=1.0, p_smooth=1.0))
        assert len(changed.input) == n


@pytest.mark.parametrize("change", ["p_bumps", "p_smooth"])
def test_what_is_off_draws_no_number(change: str) -> None:
    config = replace(AugmentConfig(), **{change: 0.0})
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    augment(room(), one, config)
    augment(room(), other, replace(config, bumps=(9.0, 9.0), smooth=(9.0, 9.0)))
    assert one.random() == other.random()


def test_a_colourless_scan_stays_colourless() -> None:
    scan = room()
    scan = replace(scan, input=replace(scan.input, colors=None))
    assert augment(scan, np.random.default_rng(0)).input.colors is None


def with_whole_objects(scan: Scan) -> Scan:
    """The whole objects are what is scanned of them, boxes turned by half a radian about their points."""
    shapes = tuple(PointCloud(scan.input.points[scan.truth.elements_of(i)]) for i in range(len(scan.truth)))
    return replace(
        scan,
        truth=replace(
            scan.truth, shapes=shapes, amodal_boxes=torch.stack([box_around(s.points, 0.5) for s in shapes])
        ),
    )


def box_around(points: torch.Tensor, yaw: float) -> torch.Tensor:
    c, s = np.cos(yaw), np.sin(yaw)
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float32)
    low, high = (points @ turn).amin(0), (points @ turn).amax(0)
    return torch.cat([turn @ ((low + high) / 2), high - low, torch.tensor([yaw])])


BENT = replace(
    NOTHING, rotation=True, flip=True, scale=(0.8, 1.2), stretch=0.1, p_tilt=1.0, p_elastic=1.0, elastic=(0.05, 0.05),
    p_bumps=1.0,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_whole_shapes_go_where_their_points_go(seed: int) -> None:
    changed = augment(with_whole_objects(room()), np.random.default_rng(seed), BENT)
    assert torch.equal(changed.input.points, augment(room(), np.random.default_rng(seed), BENT).input.points)
    assert changed.truth.shapes is not None and changed.truth.amodal_boxes is not None
    for i, shape in enumerate(changed.truth.shapes):
        assert isinstance(shape, PointCloud)
        own = changed.input.points[changed.truth.elements_of(i)]
        torch.testing.assert_close(shape.points, own, atol=1e-5, rtol=0)
        box = changed.truth.amodal_boxes[i]
        torch.testing.assert_close(box, box_around(own, float(box[6])), atol=1e-5, rtol=0)


def test_boxes_turn_and_mirror_with_the_scan() -> None:
    """Where nothing bends, a box keeps its sizes, and its long side shows where that of the scan does."""
    before = with_whole_objects(room())
    assert before.truth.amodal_boxes is not None
    for seed in range(8):
        changed = augment(before, np.random.default_rng(seed), replace(NOTHING, rotation=True, flip=True))
        boxes = changed.truth.amodal_boxes
        assert boxes is not None
        torch.testing.assert_close(boxes[:, 3:6], before.truth.amodal_boxes[:, 3:6], atol=1e-4, rtol=0)
        for i, box in enumerate(boxes):
            own = changed.input.points[changed.truth.elements_of(i)]
            torch.testing.assert_close(box, box_around(own, float(box[6])), atol=1e-5, rtol=0)


def test_boxes_without_shapes_enclose_where_their_corners_went() -> None:
    truth = with_whole_objects(room()).truth
    alone = replace(room(), truth=replace(truth, shapes=None))
    for seed in range(4):
        changed = augment(
            alone, np.random.default_rng(seed), replace(NOTHING, rotation=True, p_tilt=1.0)
        ).truth
        assert changed.amodal_boxes is not None and truth.amodal_boxes is not None and changed.shapes is None
        least = truth.amodal_boxes[:, 3:6] * np.cos(np.deg2rad(3)) - 1e-4
        assert bool((changed.amodal_boxes[:, 3:6] > least).all())
        turned = augment(alone, np.random.default_rng(seed), replace(NOTHING, rotation=True, flip=True)).truth
        assert turned.amodal_boxes is not None
        torch.testing.assert_close(turned.amodal_boxes[:, 3:6], truth.amodal_boxes[:, 3:6], atol=1e-4, rtol=0)


def test_what_is_lost_of_an_object_stays_in_its_whole_shape() -> None:
    config = replace(NOTHING, p_dropout=1.0, dropout=(0.9, 0.9), noise=(0.1, 0.1), p_no_ceiling=1.0)
    changed = augment(with_whole_objects(room()), np.random.default_rng(0), config)
    before = with_whole_objects(room()).truth
    assert changed.truth.shapes is not None and before.shapes is not None and len(changed.truth) == 2
    for shape, old, seen in zip(
        changed.truth.shapes, before.shapes[:1] + before.shapes[2:], changed.truth.sizes, strict=True
    ):
        assert isinstance(shape, PointCloud) and isinstance(old, PointCloud)
        assert len(shape) == len(old) > 5 * int(seen)
        torch.testing.assert_close(
            shape.points, old.points, atol=1e-5, rtol=0
        )  # holes and noise are the scanner's


def test_meshes_go_along_and_voxels_which_cannot_be_turned_are_gone() -> None:
    scan = with_whole_objects(room())
    corners = torch.tensor([[9.0, 0, 0], [10, 0, 0], [9, 1, 0]])
    mesh = Mesh(corners, torch.tensor([[0, 1, 2]]))
    grid = VoxelGrid(torch.tensor([[0, 0, 0]]), (1, 1, 1), 0.1)
    turn = replace(NOTHING, rotation=True)
    found = augment(
        replace(scan, truth=replace(scan.truth, shapes=(mesh,) * 3)), np.random.default_rng(0), turn
    )
    assert found.truth.shapes is not None and isinstance(found.truth.shapes[0], Mesh)
    sides = torch.pdist(found.truth.shapes[0].vertices)
    torch.testing.assert_close(sides, torch.pdist(corners), atol=1e-5, rtol=0)
    found = augment(
        replace(scan, truth=replace(scan.truth, shapes=(mesh, mesh, grid))), np.random.default_rng(0), turn
    )
    assert found.truth.shapes is None and found.truth.amodal_boxes is not None
