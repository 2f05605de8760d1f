"""Everything that instances hold goes into one file and comes back."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud, load_instances, save_instances
from gestalt3d.io.archive import FIELDS
from gestalt3d.io.instances import save_shapes
from gestalt3d.io.ply import read_ply, write_ply
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.instances import PER_INSTANCE, Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.structures.voxelgrid import VoxelGrid

N = 24
NEW = ("whole_", "image_", "shape_", "source_from_cloud")
"""Keys that files of the first version lack begin so."""


def shapes() -> tuple[Mesh, PointCloud, VoxelGrid]:
    corner = torch.tensor([0.5, -2.0, 7.0], dtype=torch.float64)
    occupied = torch.rand(4, 3, 2) > 0.5
    return (
        Mesh(torch.rand(5, 3), torch.tensor([[0, 1, 2], [2, 3, 4]])),
        PointCloud(torch.rand(7, 3)),
        VoxelGrid.from_dense(occupied, voxel_size=0.025, origin=corner),
    )


def everything() -> Instances:
    """Three instances, one without a visible element, with all there can be."""
    visible = torch.cat([torch.arange(0, 6), torch.arange(4, 10)])
    whole = torch.cat([torch.arange(0, 9), torch.arange(4, 10), torch.arange(20, 24)])
    return Instances(
        masks=Sets.from_sizes(torch.tensor([6, 6, 0]), visible, N),
        whole=Sets.from_sizes(torch.tensor([9, 6, 4]), whole, N),
        classes=torch.tensor([8, 7, -1]),
        scores=torch.tensor([0.5, 0.75, 1.0]),
        vocabulary=S3DIS,
        boxes=torch.rand(3, 7),
        amodal_boxes=torch.rand(3, 7),
        image_boxes=torch.rand(3, 4),
        shapes=shapes(),
        element_classes=torch.arange(N) % 13,
        method="test",
    )


def a_cloud() -> PointCloud:
    return PointCloud(torch.rand(N, 3), torch.randint(0, 256, (N, 3)) / 255)


def a_view() -> View:
    pose = LEVEL.copy()
    pose[:3, 3] = 1, 2, 3
    image = torch.randint(0, 256, (3, 4, 6)) / 255
    return View(image, torch.rand(4, 6), Camera.from_focal(5.0, (6, 4), pose), notes=("a note",))


def test_every_field_that_has_rows_has_its_place_in_the_file() -> None:
    assert set(FIELDS) == set(PER_INSTANCE)


@pytest.mark.parametrize(
    "given", [a_cloud(), a_view(), View(torch.zeros(3, 4, 6))], ids=["cloud", "view", "photo"]
)
def test_all_that_instances_hold_comes_back_with_what_was_segmented(
    tmp_path: Path, given: PointCloud | View
) -> None:
    found = everything()
    save_instances(tmp_path / "a.npz", found, given)
    back, what = load_instances(tmp_path / "a.npz")
    assert replace(back, source_from_cloud=None) == found
    assert what == given
    if isinstance(what, View):
        assert what.notes == given.notes and what.path == tmp_path / "a.npz"


@pytest.mark.parametrize("name", PER_INSTANCE)
def test_a_field_that_is_not_there_comes_back_as_none(tmp_path: Path, name: str) -> None:
    if name in ("masks", "classes", "scores"):
        return
    found = replace(everything(), **{name: None})
    save_instances(tmp_path / "a.npz", found, a_view())
    assert getattr(load_instances(tmp_path / "a.npz")[0], name) is None


def test_the_first_version_s_files_are_still_read(tmp_path: Path) -> None:
    found, cloud = replace(everything(), whole=None, image_boxes=None, shapes=None), a_cloud()
    save_instances(tmp_path / "a.npz", found, cloud)
    with np.load(tmp_path / "a.npz") as data:
        old = {key: data[key] for key in data.files if not key.startswith(NEW)}
    assert len(old) == 19
    np.savez(tmp_path / "old.npz", **old)
    back, what = load_instances(tmp_path / "old.npz")
    assert replace(back, source_from_cloud=None) == found and what == cloud


CHANGES = {
    "no points and no image": ("cloud", {"points": None}),
    "whole masks end early": ("cloud", {"whole_offsets": np.array([0, 1, 2, 3])}),
    "whole masks too large": ("cloud", {"whole_indices": np.full(19, N)}),
    "image boxes narrow": ("view", {"image_boxes": np.zeros((3, 3), np.float32)}),
    "shapes of a fourth kind": ("cloud", {"shape_kinds": np.array(["mesh", "cloud", "nurbs"])}),
    "a shape too few": ("cloud", {"shape_kinds": np.array(["mesh", "cloud"])}),
    "shapes that end early": ("cloud", {"shape_offsets": np.array([0, 1, 2, 3])}),
    "faces beyond the vertices": ("cloud", {"shape_faces": np.full((2, 3), 5)}),
    "voxels without a size": ("cloud", {"shape_grids": np.zeros((3, 7))}),
    "voxels that are no numbers": ("cloud", {"shape_grids": np.full((3, 7), np.nan)}),
    "an image without colours": ("view", {"image": np.zeros((4, 6), np.uint8)}),
    "an image of another size": ("view", {"image": np.zeros((5, 6, 3), np.uint8)}),
    "depth of another size": ("view", {"depth": np.zeros((4, 5), np.float32)}),
    "intrinsics without a focal length": ("view", {"intrinsics": np.zeros((3, 3))}),
    "a pose that mirrors": ("view", {"world_from_camera": np.diag([-1.0, 1, 1, 1])}),
    "a frame that is none": ("view", {"source_from_cloud": np.zeros((4, 4))}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_together_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    kind, changes = CHANGES[name]
    save_instances(tmp_path / "a.npz", everything(), a_cloud() if kind == "cloud" else a_view())
    with np.load(tmp_path / "a.npz") as data:
        arrays = {k: data[k] for k in data.files} | changes
    np.savez(tmp_path / "b.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(UserError, match=r"^[^\n]*b\.npz: [^\n]*; write it again with segment$"):
        load_instances(tmp_path / "b.npz")


def test_ids_of_pixels_are_an_image_of_sixteen_bits(tmp_path: Path) -> None:
    save_instances(tmp_path / "a.png", everything(), a_view())
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "I;16" and image.size == (6, 4)
    labels = everything().to_labels().reshape(4, 6).numpy()
    np.testing.assert_array_equal(np.asarray(image).astype(np.int64) - 1, labels)
    many = Instances.from_labels(
        torch.arange(N) - 1, torch.zeros(70_000, dtype=torch.int64), vocabulary=S3DIS
    )
    with pytest.raises(UserError, match="too few for 70,000 instances"):
        save_instances(tmp_path / "b.png", many, a_view())
    assert not (tmp_path / "b.png").exists()


def test_a_photo_is_not_written_as_points_nor_a_cloud_as_an_image(tmp_path: Path) -> None:
    with pytest.raises((UserError, ValueError), match="depth"):
        save_instances(tmp_path / "a.ply", everything(), replace(a_view(), depth=None))
    assert not (tmp_path / "a.ply").exists()
    with pytest.raises(UserError, match=r"choose one of \.npz \.ply"):
        save_instances(tmp_path / "a.png", everything(), a_cloud())
    with pytest.raises(ValueError, match="of 24 pixels, the view has 4"):
        save_instances(tmp_path / "a.npz", everything(), View(torch.zeros(3, 2, 2)))


def test_a_table_of_a_view_counts_pixels(tmp_path: Path) -> None:
    save_instances(tmp_path / "a.json", everything(), a_view())
    document = json.loads((tmp_path / "a.json").read_text())
    assert (document["width"], document["height"]) == (6, 4) and document["notes"] == ["a note"]
    assert document["world_from_camera"] == a_view().camera.world_from_camera.tolist()
    first, _, last = document["instances"]
    assert (first["pixels"], first["whole_pixels"]) == (6, 9) and (last["pixels"], last["whole_pixels"]) == (
        0,
        4,
    )
    assert (
        first["shape"] == "0000_chair.ply"
        and len(first["image_box"]) == 4
        and first["box"]["yaw"] is not None
    )


def test_shapes_are_written_in_the_frame_of_the_file(tmp_path: Path) -> None:
    """Of a file in millimetres with y up, far from zero."""
    points = (np.random.default_rng(0).random((N, 3)) + np.array([3e5, 100, 5e6])) * 1000
    with (tmp_path / "scan.ply").open("wb") as file:
        write_ply(file, dict(zip("xyz", points.T, strict=True)))
    cloud = load_cloud(tmp_path / "scan.ply", units="mm", up="y")
    assert cloud.origin is not None
    mesh = Mesh(cloud.points[:4], torch.tensor([[0, 1, 2], [1, 2, 3]]))
    far = PointCloud(cloud.points[:3], origin=torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    grid = VoxelGrid.from_dense(
        torch.ones(1, 1, 1, dtype=torch.bool), voxel_size=2.0, origin=cloud.points[5].double() - 1
    )
    found = replace(everything(), shapes=(mesh, far, grid), source_from_cloud=cloud.source_from_cloud)
    paths = save_shapes(tmp_path / "shapes", found)
    assert [p.name for p in paths] == ["0000_chair.ply", "0001_table.ply", "0002_unknown.ply"]
    written = [np.stack(read_ply(path).position, 1) for path in paths]
    np.testing.assert_allclose(written[0], points[:4], atol=0.1)
    # Metres with z up to millimetres with y up: (x, y, z) to (x, z, -y).
    np.testing.assert_allclose(written[1] - points[:3], [[1000, 3000, -2000]] * 3, atol=0.1)
    # The surface of a lone voxel of two metres, about its middle.
    np.testing.assert_allclose(written[2].mean(0), points[5], atol=0.5)
    assert np.abs(written[2] - points[5]).max() <= 1000
    assert trimesh.load(paths[0], process=False).faces.tolist() == [[0, 1, 2], [1, 2, 3]]
    assert b"element face" not in paths[1].read_bytes()
