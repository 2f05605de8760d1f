"""Superpoints: they follow edges of surface and colour, and answers go by them."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from gestalt3d.methods.superpoints import (
    SuperpointConfig,
    by_superpoints,
    mean_by_points,
    most_frequent,
    superpoints,
)
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.synth.rooms import RoomConfig, make_room
from gestalt3d.testing import Case, ready
from tests.cases import OURS

CONFIG = SuperpointConfig()


def superpoints_of(config: Any) -> SuperpointConfig | None:
    """The settings of superpoints in the configuration of a method or of a part of it."""
    if isinstance(config, SuperpointConfig):
        return config
    parts = [getattr(config, field.name) for field in fields(config)] if is_dataclass(config) else []
    return next(filter(None, map(superpoints_of, parts)), None)


def box(seed: int = 0, per_face: int = 4000) -> tuple[PointCloud, torch.Tensor]:
    """Three faces of a cube of half a metre, and the face of each point; without colours, with the noise of a scan."""
    g = torch.Generator().manual_seed(seed)
    faces = []
    for axis in range(3):
        points = torch.rand(per_face, 3, generator=g) * 0.5
        points[:, axis] = 0.5
        faces.append(points + torch.randn(per_face, 3, generator=g) * 0.001)
    return PointCloud(torch.cat(faces)), torch.arange(3).repeat_interleave(per_face)


def test_edges_part_the_faces_of_a_box() -> None:
    cloud, face = box()
    found = superpoints(cloud, CONFIG)
    assert adjusted_rand_score(face, found) > 0.9
    assert float((most_frequent(face, found)[found] == face).float().mean()) > 0.97


def test_colours_part_what_is_flat() -> None:
    g = torch.Generator().manual_seed(0)
    points = torch.cat([torch.rand(8000, 2, generator=g), torch.zeros(8000, 1)], dim=1)
    right = points[:, 0] > 0.501
    colors = torch.where(right[:, None], torch.tensor([0.8, 0.2, 0.2]), torch.tensor([0.2, 0.2, 0.8]))
    cloud = PointCloud(points, colors)
    assert adjusted_rand_score(right, superpoints(cloud, CONFIG)) > 0.9
    assert not superpoints(replace(cloud, colors=None), CONFIG).any()
    assert not superpoints(cloud, replace(CONFIG, color_weight=0.0)).any()


def test_a_room_has_few_that_hold_several_objects() -> None:
    scan = make_room(1000, RoomConfig())
    found, labels = superpoints(scan.input, CONFIG), scan.truth.to_labels()
    assert int(found.max()) + 1 < 0.02 * len(labels)
    assert float((most_frequent(labels, found)[found] == labels).float().mean()) > 0.9


def test_order_of_the_points_and_density_have_no_say() -> None:
    cloud, _ = box()
    plain = superpoints(cloud, CONFIG)
    order = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(1))
    shuffled = superpoints(cloud[order], CONFIG)
    assert torch.equal(shuffled, plain[order])
    twice = superpoints(PointCloud(torch.cat([cloud.points, cloud.points])), CONFIG)
    assert torch.equal(twice[: len(cloud)], plain) and torch.equal(twice[len(cloud) :], plain)


def test_large_clouds_are_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, face = box()
    whole = superpoints(cloud, CONFIG)
    monkeypatch.setattr("gestalt3d.methods.superpoints._MOST_VOXELS", 500)
    found = superpoints(cloud, CONFIG)
    assert found.unique().tolist() == list(range(int(found.max()) + 1))
    assert int(found.max()) > int(whole.max())
    # Cuts aside, edges are where they were.
    assert float((most_frequent(face, found)[found] == face).float().mean()) > 0.97
    order = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(1))
    assert torch.equal(superpoints(cloud[order], CONFIG), found[order])


def test_far_from_the_origin() -> None:
    """Nothing changes where neither the voxels nor the points' last digits do."""
    cloud, _ = box()
    binary = replace(CONFIG, voxel_size=2**-6)
    near = (cloud.points.double() * 2**20).round() / 2**20
    far = PointCloud(near + torch.tensor([4e5, 5e6, 128.0], dtype=torch.float64))
    assert torch.equal(superpoints(PointCloud(near), binary), superpoints(far, binary))


def test_stray_points_stay_alone() -> None:
    cloud, _ = box()
    strays = torch.tensor([[0.2, 0.2, 30.0], [0.2, 0.2, 50.0], [9.0, 0.0, 0.0]])
    found = superpoints(PointCloud(torch.cat([cloud.points, strays])), CONFIG)
    assert len(found[-3:].unique()) == 3
    assert not torch.isin(found[-3:], found[:-3]).any()


def test_a_colour_that_is_no_number_parts_nothing() -> None:
    cloud, _ = box()
    colors = torch.full((len(cloud), 3), 0.5)
    colors[::7] = float("nan")
    assert torch.equal(superpoints(replace(cloud, colors=colors), CONFIG), superpoints(cloud, CONFIG))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_points_are_no_matter(count: int) -> None:
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
    found = superpoints(PointCloud(points), CONFIG)
    assert found.shape == (count,) and (count == 0 or int(found.min()) == 0)
    assert not superpoints(PointCloud(torch.ones(count, 3)), CONFIG).any()


@pytest.mark.parametrize(
    "case", [case for case in OURS if superpoints_of(case.config)], ids=lambda case: case.id
)
def test_a_superpoint_has_one_class_and_is_in_one_instance(case: Case) -> None:
    cloud = case.scan().input
    config = superpoints_of(case.config)
    assert config is not None
    found, own = ready(case).segment(cloud), superpoints(cloud, config)
    for answer in (found.element_classes, found.to_labels()):
        pairs = torch.stack([own, answer]).unique(dim=1)
        assert pairs.shape[1] == int(own.max()) + 1


def test_means_are_over_points_not_over_sources() -> None:
    values = torch.tensor([[1.0, 0.0], [4.0, 2.0], [9.0, 9.0]])
    source, target = torch.tensor([0, 0, 1, 0]), torch.tensor([0, 0, 0, 1])
    expected = torch.tensor([[2.0, 2 / 3], [1.0, 0.0]])
    torch.testing.assert_close(mean_by_points(values, source, target), expected)
    assert mean_by_points(values, source[:0], target[:0]).shape == (0, 2)


def test_none_is_a_vote_and_ties_go_to_the_lowest() -> None:
    labels, patches = torch.tensor([3, -1, -1, 2, 5, 5, 2]), torch.tensor([0, 0, 0, 1, 1, 1, 1])
    assert most_frequent(labels, patches).tolist() == [-1, 2]
    assert most_frequent(labels[:0], patches[:0]).shape == (0,)


def test_each_patch_is_in_one_instance_and_those_without_are_gone() -> None:
    patches = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    labels = torch.tensor([0, 0, 1, 2, 2, -1, -1, -1])
    classes, scores = torch.tensor([4, 5, 6]), torch.tensor([0.9, 0.8, 0.7])
    found = Instances.from_labels(labels, classes, scores, vocabulary=S3DIS, method="x")
    snapped = by_superpoints(found, patches)
    assert snapped.to_labels().tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    assert snapped.classes.tolist() == [4, 6] and snapped.method == "x"
    torch.testing.assert_close(snapped.scores, scores[[0, 2]])
    assert len(by_superpoints(Instances.empty(8, S3DIS), patches)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"voxel_size": 0.0},
        {"scale": -1.0},
        {"links": 0},
        {"min_voxels": 0},
        {"neighbours": 8},
        {"neighbours": 2},
        {"color_weight": -1.0},
        {"scale": 1.0},
        {"reach": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SuperpointConfig(**wrong)
