"""PASCAL3D+ on files the tests write, and the toolbox's camera on points computed by hand."""

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from gestalt3d.data import open_data
from gestalt3d.data.photos.pascal3d import Viewpoint, silhouette
from gestalt3d.errors import UserError
from gestalt3d.io.mesh import read_triangles

BOX = (
    "OFF\n8 12 0\n"
    + "".join(f"{x} {y} {z}\n" for x in (-0.5, 0.5) for y in (-1, 1) for z in (-0.25, 0.25))
    + """3 0 1 3
3 0 3 2
3 4 6 7
3 4 7 5
3 0 4 5
3 0 5 1
3 2 3 7
3 2 7 6
3 0 2 6
3 0 6 4
3 1 5 7
3 1 7 3
"""
)  # a car: 1 wide, 2 long, half as high as wide


def viewpoint(**changes: Any) -> dict[str, Any]:
    own = {
        "azimuth": 0.0,
        "elevation": 0.0,
        "distance": 10.0,
        "focal": 1.0,
        "px": 51.0,
        "py": 41.0,
        "theta": 0.0,
    }
    return own | {"viewport": 400.0, "azimuth_coarse": 0.0} | changes


def thing(name: str = "car", **changes: Any) -> dict[str, Any]:
    own = {"class": name, "bbox": [1.0, 1.0, 9.0, 9.0], "cad_index": 1.0, "occluded": 0.0, "truncated": 0.0}
    return own | {"viewpoint": viewpoint()} | changes


def write(root: Path, *objects: dict[str, Any], name: str = "n01_1") -> Path:
    for folder in ("Annotations/car_imagenet", "Images/car_imagenet", "CAD/car", "Image_sets"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "CAD/car/01.off").write_text(BOX)
    Image.fromarray(np.full((80, 100, 3), 200, np.uint8)).save(root / f"Images/car_imagenet/{name}.JPEG")
    # As MATLAB saves it, one array of structures and no cell of them.
    kinds = [(key, object) for key in objects[0]]
    record = {
        "filename": f"{name}.JPEG",
        "objects": np.array([tuple(own.values()) for own in objects], kinds),
    }
    path = root / f"Annotations/car_imagenet/{name}.mat"
    savemat(path, {"record": record})
    (root / "Image_sets/car_imagenet_train.txt").write_text(f"{name}\nn01_9\n")
    return root


def test_models_become_silhouettes(tmp_path: Path) -> None:
    data: Any = open_data("pascal3d:train", root=write(tmp_path, thing()))
    assert (
        data.names == ["car_imagenet/n01_1"] and data.notes[0] == "1 of 2 photos or annotations are not there"
    )
    truth = data[0].truth
    assert truth.class_name(0) == "car" and truth.whole == truth.masks
    # The near side, at a distance of 10 - 1, has 400 / 9 pixels a unit: 44.4 by 22.2 around the pixel (50, 40).
    left, top, right, bottom = truth.image_boxes[0].tolist()
    assert (left, top, right, bottom) == (28, 29, 73, 52)
    assert len(open_data("pascal3d", root=tmp_path)) == 1
    assert pickle.loads(pickle.dumps(data))[0].truth == truth


def box() -> tuple[torch.Tensor, torch.Tensor]:
    triangles = [[0, 1, 2]]
    return torch.tensor([[0.4, 0, 0], [0.6, 0, 0], [0.5, 0, 0.3]], dtype=torch.float64), torch.tensor(
        triangles
    )


@pytest.mark.parametrize(
    ("azimuth", "elevation", "turn", "middle"),
    [
        # The camera stands at -y: x points right. Half a unit at a distance of 10 is 20 pixels.
        (0, 0, 0, (70, 36)),
        # A turn in the image against the clock brings what is right to the top.
        (0, 0, 90, (46, 20)),
        # From behind what is right is left.
        (180, 0, 0, (30, 36)),
        # From above z points at the camera, and the triangle is seen on its edge.
        (0, 90, 0, None),
    ],
)
def test_the_camera_is_the_toolboxes(
    azimuth: float, elevation: float, turn: float, middle: tuple[int, int] | None
) -> None:
    angles = [math.radians(angle) for angle in (azimuth, elevation, turn)]
    view = Viewpoint(angles[0], angles[1], 10.0, angles[2], 400.0, (50.0, 40.0))
    mask = silhouette(*box(), view, (80, 100))
    if middle is None:
        assert mask.sum() <= 12
    else:
        rows, columns = np.nonzero(mask)
        assert len(rows) and (columns.mean(), rows.mean()) == pytest.approx(middle, abs=1.5)


def test_a_model_that_turns_shows_its_side(tmp_path: Path) -> None:
    side = thing(viewpoint=viewpoint(azimuth=90.0))
    truth: Any = open_data("pascal3d", root=write(tmp_path, side))[0].truth
    left, _, right, _ = truth.image_boxes[0].tolist()
    assert right - left == pytest.approx(2 * 400 / 9.5, abs=2)


def test_what_no_mask_can_be_made_of_is_left_out_and_counted(tmp_path: Path) -> None:
    objects = (
        thing(), thing("dog"), thing(occluded=1.0), thing(viewpoint=viewpoint(distance=0.0)), thing(cad_index=7.0),
        thing(viewpoint=np.zeros((0, 0))),
    )  # fmt: skip
    sample: Any = open_data("pascal3d", root=write(tmp_path, *objects))[0]
    assert len(sample.truth) == 1
    assert sample.input.notes == (
        "objects left out: 1 of other classes, 1 occluded, 2 without a viewpoint, 1 without a model",
    )


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    for spec, message in (
        ("pascal3d:late", "has no split"),
        ("pascal3d", "has no folders Annotations and CAD"),
    ):
        with pytest.raises(UserError, match=message):
            open_data(spec, root=tmp_path)
    write(tmp_path, thing())
    with pytest.raises(UserError, match="holds no photo of val"):
        open_data("pascal3d:val", root=tmp_path)
    (tmp_path / "Image_sets/car_imagenet_val.txt").write_text("../../secret\n")
    with pytest.raises(UserError, match="no name of a photo"):
        open_data("pascal3d:val", root=tmp_path)
    (tmp_path / "Annotations/car_imagenet/n01_1.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(UserError, match=r"n01_1\.mat"):
        open_data("pascal3d", root=tmp_path)[0]
    savemat(tmp_path / "Annotations/car_imagenet/n01_1.mat", {"record": {"filename": "x"}})
    with pytest.raises(UserError, match="its record has no objects"):
        open_data("pascal3d", root=tmp_path)[0]


def test_triangles_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text(BOX)
    vertices, faces = read_triangles(tmp_path / "a.off")
    assert vertices.shape == (8, 3) and faces.shape == (12, 3)
    (tmp_path / "b.off").write_text("OFF\n1 0 0\n0 0 0\n")
    (tmp_path / "c.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n")
    for name, message in (
        ("b", "holds no faces"),
        ("c", "name vertices|cannot be read"),
        ("d", "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            read_triangles(tmp_path / f"{name}.off")


def test_real_models_are_read(shared: Path) -> None:
    """Some of the 23 have no faces that lie in their vertices' range otherwise than counted from 0."""
    for path in sorted((shared / "data" / "meshes" / "pascal3d").glob("*.off"))[:6]:
        vertices, faces = read_triangles(path)
        assert len(faces) and np.abs(vertices).max() < 2
        view = Viewpoint(0.5, 0.3, 5.0, 0.0, 300.0, (50.0, 50.0))
        assert silhouette(torch.from_numpy(vertices), torch.from_numpy(faces), view, (100, 100)).any()
