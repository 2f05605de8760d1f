"""MTML on scans that are hardly any: clean answers, or one line that says why not, in either space."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model
from gestalt3d.errors import UserError
from gestalt3d.io import save_cloud
from gestalt3d.methods.mtml import MTML, MTMLConfig
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from tests.command import Command
from tests.scenes import tiny_scan

SMALL = MTMLConfig(width=4, first_kernel=3, dilations=(2, 2), norm=True)
WALL, CHAIR = S3DIS.id("wall"), S3DIS.id("chair")


@pytest.fixture(params=["sparse", "dense"])
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(0)
    return Model("small", MTML.from_config(replace(SMALL, space=request.param), S3DIS))


def cloud(points: torch.Tensor, classes: int | torch.Tensor = CHAIR) -> PointCloud:
    kinds = torch.full((len(points),), classes) if isinstance(classes, int) else classes
    return PointCloud(points, semantic=kinds)


def given() -> PointCloud:
    """A small scan with its semantics."""
    return tiny_scan(points=600).input


BARE = {
    "only walls": lambda: replace(given(), semantic=torch.full((len(given()),), WALL)),
    "nothing known": lambda: replace(given(), semantic=torch.full((len(given()),), -1)),
    "a wall of one point": lambda: cloud(torch.rand(1, 3), WALL),
}


@pytest.mark.parametrize("name", BARE)
def test_without_foreground_there_is_no_instance(model: Model, name: str) -> None:
    scan = BARE[name]()
    found = model.segment(scan)
    assert len(found) == 0 and found.masks.size == len(scan)
    assert found.element_classes is not None and torch.equal(found.element_classes, scan.semantic)


ONE: dict[str, Callable[[], PointCloud]] = {
    "one point": lambda: cloud(torch.rand(1, 3)),
    "all points equal": lambda: cloud(torch.full((300, 3), 0.123)),
    "one voxel": lambda: cloud(0.02 + 0.06 * torch.rand(50, 3)),
    "far away": lambda: cloud(torch.full((20, 3), 1e6)),
}


@pytest.mark.parametrize("name", ONE)
def test_a_single_voxel_is_an_instance(model: Model, name: str) -> None:
    scan = ONE[name]()
    found = model.segment(scan)
    assert len(found) == 1 and found.classes.tolist() == [CHAIR]
    assert torch.equal(found.masks.indices, torch.arange(len(scan)))
    assert bool(torch.isfinite(found.scores).all()) and 0 <= float(found.scores[0]) <= 1


def test_points_that_are_not_finite_have_no_answer_and_change_none(model: Model) -> None:
    scan = given()
    assert scan.semantic is not None
    strange = torch.tensor([[torch.nan, 0, 0], [0, torch.inf, 0]])
    both = PointCloud(
        torch.cat([strange, scan.points]), semantic=torch.cat([torch.tensor([CHAIR] * 2), scan.semantic])
    )
    found, expected = model.segment(both), model.segment(scan)
    assert len(found) > 0 and torch.equal(found.masks.indices, expected.masks.indices + 2)
    assert torch.equal(found.scores, expected.scores)
    with pytest.raises(UserError, match="no finite point"):
        model.segment(cloud(torch.full((3, 3), torch.nan)))


def test_a_stray_point_far_away_is_a_tile_of_its_own(model: Model) -> None:
    """In dense space the box around both would hold two thousand million voxels."""
    scan, config = given(), replace(model.method.config, tile_voxels=20_000)
    assert scan.semantic is not None
    stray = torch.tensor([[3000.0, 300.0, 0.0]])
    both = PointCloud(torch.cat([scan.points, stray]), semantic=torch.cat([scan.semantic, scan.semantic[:1]]))
    method = MTML.from_config(config, S3DIS)
    method.load_state_dict(model.method.state_dict())
    found, expected = method.segment(both), model.method.segment(scan)
    if config.space == "sparse":  # dense voxels at the scene's edge feel the box
        assert torch.equal(found.to_labels()[:-1] >= 0, expected.to_labels() >= 0)
    assert len(found) > 0 and bool(torch.isfinite(found.scores).all())


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    made = MTML.from_config(SMALL, S3DIS)
    checkpoint.save(tmp_path / "small.safetensors", made.state_dict(), checkpoint.describe(made))
    return tmp_path / "small.safetensors"


def test_the_command_says_in_one_line_what_a_scan_lacks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, weights: Path
) -> None:
    save_cloud(tmp_path / "scan.ply", given())
    answer = Command(capsys)("segment", tmp_path / "scan.ply", "-m", weights, "-o", tmp_path / "out")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1
    assert "scan.ply" in answer.err and "semantic" in answer.err and not (tmp_path / "out").exists()
