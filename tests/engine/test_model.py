"""What `Model.segment` promises whatever the method."""

from dataclasses import replace

import pytest
import torch

from gestalt3d.engine.model import Model, load
from gestalt3d.errors import UserError
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.scenes import tiny_scan


class Halves:
    """Everything left of the median is a chair, the rest a table; remembers what it was given."""

    vocabulary = S3DIS

    def segment(self, cloud: PointCloud) -> Instances:
        self.given = cloud
        x = cloud.points[:, 0]
        labels = (x > x.median()).long()
        classes = torch.tensor([S3DIS.id("chair"), S3DIS.id("table")])
        return Instances.from_labels(
            labels, classes, torch.tensor([0.4, 0.9]), vocabulary=S3DIS, point_classes=classes[labels]
        )


def cloud_of(points: torch.Tensor) -> PointCloud:
    return PointCloud(points, torch.rand(len(points), 3))


def test_instances_come_best_first_with_a_box_that_holds_them() -> None:
    points = torch.rand(200, 3)
    found = Model("halves", Halves()).segment(cloud_of(points))
    assert [found.class_name(i) for i in range(2)] == ["table", "chair"] and found.method == "halves"
    assert found.boxes is not None
    for i in range(2):
        own = points[found.points_of(i)] - found.boxes[i, :3]
        c, s = found.boxes[i, 6].cos(), found.boxes[i, 6].sin()
        turned = torch.stack([c * own[:, 0] + s * own[:, 1], c * own[:, 1] - s * own[:, 0], own[:, 2]], 1)
        assert bool((turned.abs() <= found.boxes[i, 3:6] / 2 + 1e-4).all())


def test_points_that_are_not_finite_never_reach_the_method_and_get_minus_one() -> None:
    points = torch.rand(100, 3)
    points[::4, 1] = torch.nan
    points[1, 0] = torch.inf
    method = Halves()
    found = Model("halves", method).segment(cloud_of(points))
    bad = ~torch.isfinite(points).all(1)
    assert bool(torch.isfinite(method.given.points).all())
    assert found.num_points == 100
    assert bool((found.to_labels()[bad] == -1).all()) and bool((found.to_labels()[~bad] >= 0).all())
    assert found.point_classes is not None and bool((found.point_classes[bad] == -1).all())


def test_the_answer_does_not_depend_on_where_the_scan_stands() -> None:
    scan = tiny_scan(points=2000).cloud
    here = load("geometric").segment(scan)
    method = Halves()
    far = replace(scan, points=scan.points + torch.tensor([4096.0, -8192.0, 512.0]))
    Model("halves", method).segment(far)
    assert float(method.given.points.abs().max()) < 10.0
    there = load("geometric").segment(
        replace(far, points=far.points - torch.tensor([4096.0, -8192.0, 512.0]))
    )
    assert len(here) == len(there)


def test_classes_and_scores_choose_and_change_nothing_else() -> None:
    cloud = cloud_of(torch.rand(50, 3))
    model = Model("halves", Halves())
    whole = model.segment(cloud)
    chairs = model.segment(cloud, classes=["chair"])
    assert torch.equal(chairs.indices, whole.points_of(1)) and chairs.num_points == 50
    assert len(model.segment(cloud, min_score=0.5)) == 1
    assert len(model.segment(cloud, classes=[])) == 0
    with pytest.raises(UserError, match="sofa, bookcase"):
        model.segment(cloud, classes=["sofa", "unicorn"])


def test_a_seed_must_be_a_count() -> None:
    model = load("geometric")
    assert model.with_seed(3).method.config.seed == 3 and model.method.config.seed != 3
    for seed in (-1, 2**63):
        with pytest.raises(UserError, match="seed"):
            model.with_seed(seed)
