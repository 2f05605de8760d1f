"""The baselines on semantics alone."""

from dataclasses import replace

import pytest
import torch

from gestalt3d.data.toyboxes import Toyboxes
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.model import load
from gestalt3d.errors import UserError
from gestalt3d.methods.components import Components, ComponentsConfig
from gestalt3d.methods.staged import Staged
from gestalt3d.methods.unet import UNet, UNetConfig
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS, TOYBOXES
from gestalt3d.testing import Case
from tests.scenes import tiny_scan

CASE = Case(config=ComponentsConfig(structure=True), semantics=True)

CELLS = torch.tensor([[0, 0, 0], [1, 0, 0], [2, 1, 0], [9, 0, 0], [3, 1, 0]])
CLASSES = torch.tensor([0, 0, 0, 0, 1])


def cloud(cells: torch.Tensor = CELLS, classes: torch.Tensor = CLASSES) -> PointCloud:
    return PointCloud((cells + 0.5) * 0.1, semantic=classes)


def sets(method: Components | Staged, of: PointCloud) -> list[tuple[int, list[int]]]:
    found = method.segment(of)
    return sorted((int(found.classes[i]), found.elements_of(i).tolist()) for i in range(len(found)))


def test_components_are_touching_voxels_of_one_class() -> None:
    method = Components(ComponentsConfig(), TOYBOXES)
    assert sets(method, cloud()) == [(0, [0, 1, 2]), (0, [3]), (1, [4])]
    faces = Components(ComponentsConfig(connectivity=6), TOYBOXES)
    assert sets(faces, cloud()) == [(0, [0, 1]), (0, [2]), (0, [3]), (1, [4])]
    large = Components(ComponentsConfig(min_voxels=2), TOYBOXES)
    assert sets(large, cloud()) == [(0, [0, 1, 2])]


def test_a_class_is_an_instance_where_nothing_is_connected() -> None:
    method = Components(ComponentsConfig(connected=False), TOYBOXES)
    assert sets(method, cloud()) == [(0, [0, 1, 2, 3]), (1, [4])]


def test_points_of_a_voxel_go_together_and_structure_is_no_instance() -> None:
    wall, chair = S3DIS.id("wall"), S3DIS.id("chair")
    given = cloud(CELLS[[0, 0, 0, 3]], torch.tensor([chair, wall, chair, wall]))
    found = Components(ComponentsConfig(), S3DIS).segment(given)
    assert found.elements_of(0).tolist() == [0, 1, 2] and len(found) == 1
    assert found.element_classes is not None and found.element_classes.tolist() == [chair, wall, chair, wall]
    assert len(Components(ComponentsConfig(structure=True), S3DIS).segment(given)) == 2


def test_nothing_in_nothing_out() -> None:
    method = Components(ComponentsConfig(), TOYBOXES)
    assert len(method.segment(cloud(CELLS[:0], CLASSES[:0]))) == 0
    assert len(method.segment(cloud(classes=torch.full((5,), -1)))) == 0


def test_semantics_that_cannot_be_used_are_one_line() -> None:
    method = Components(ComponentsConfig(), TOYBOXES)
    with pytest.raises(UserError, match="carries no semantic classes"):
        method.segment(PointCloud(torch.zeros(2, 3)))
    with pytest.raises(UserError, match="-1 to 4, got 7; the model knows 0 box1"):
        method.segment(cloud(classes=CLASSES * 7))


def test_models_by_name_score_as_the_better_and_the_worse_baseline() -> None:
    scenes = Toyboxes("val", count=4)
    components, semantics = (
        evaluate(load(name).with_seed(1), scenes)["pooled"]["AP50"] for name in ("components", "semantics")
    )
    assert semantics < components <= 100


def test_a_semantic_stage_labels_what_carries_no_classes() -> None:
    torch.manual_seed(0)
    stage = UNet.from_config(UNetConfig(voxel_size=0.1, width=4, levels=2), S3DIS).eval()
    method = Staged(stage, Components(ComponentsConfig(structure=True), S3DIS))
    scan = tiny_scan()
    bare = replace(scan.input, semantic=None)
    seen = stage.segment(bare).element_classes
    assert seen is not None and len(seen.unique()) > 1
    found = method.segment(bare)
    assert torch.equal(found.classes_of_elements(), seen)
    assert sets(method, bare) == sets(method, replace(bare, semantic=seen))
