"""Frames and photos with all that is known of them, in the folders that `gestalt3d segment` and others read.

Photos have no `depth` and no `voxels`.

rgb/NAME.png           8 bits
depth/NAME.png         16 bits, millimetres along the axis, 0 unknown
true_depth/NAME.png    the same without the camera's faults
intrinsics/NAME.txt    3 x 3, pixels; whole numbers are the centres of pixels
pose/NAME.txt          4 x 4, from the camera (x right, y down, z ahead) to the view's world: z up, the camera in the origin
instance/NAME.png      16 bits, number of the instance at each pixel from 1 on, 0 none
semantic/NAME.png      16 bits, class from 1 on in the order of classes.txt, 0 none
amodal/NAME_003.png    8 bits, 255 where instance 3 were seen if nothing stood in front
objects/NAME.json      of each instance its class, pixels, boxes and what hides it
voxels/NAME.npz        whole objects: offsets (i+1,), lattice (v, 3), sight (v,) 0 visible 1 occluded 2 outside, voxel_size
classes.txt            a class in each line
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gestalt3d.io import atomic_path
from gestalt3d.structures.instances import BOX, Instances
from gestalt3d.synth.view_voxels import whole_voxels
from gestalt3d.synth.views import SyntheticView

VOXEL_SIZE = 0.05
"""Metres."""


def save_view(root: Path | str, seen: SyntheticView) -> Path:
    """Write all files of a view below `root`; returns its colour image. `UserError` where that cannot be."""
    folder, name, camera = Path(root), seen.name, seen.input.camera
    assert camera is not None
    rgb = (seen.input.image.permute(1, 2, 0) * 255).round().byte().numpy()
    save_image(folder / "rgb" / f"{name}.png", rgb)
    for kind, depth in (("depth", seen.input.depth), ("true_depth", seen.true_depth)):
        if depth is not None:
            save_image(folder / kind / f"{name}.png", _millimetres(depth))
    save_text(folder / "intrinsics" / f"{name}.txt", rows_of(camera.intrinsics))
    save_text(folder / "pose" / f"{name}.txt", rows_of(camera.world_from_camera))
    save_masks(folder, name, seen.truth, seen.true_depth.shape)
    save_text(folder / "objects" / f"{name}.json", json.dumps(_about(seen), indent=1))
    if seen.input.depth is not None:
        _save_voxels(folder / "voxels" / f"{name}.npz", seen)
    return folder / "rgb" / f"{name}.png"


def save_masks(folder: Path, name: str, truth: Instances, shape: tuple[int, ...]) -> None:
    """`instance`, `semantic`, `amodal` and `classes.txt` of a view of that height and width."""
    for kind, labels in (("instance", truth.to_labels()), ("semantic", truth.classes_of_elements())):
        save_image(folder / kind / f"{name}.png", (labels.reshape(shape) + 1).numpy().astype(np.uint16))
    assert truth.whole is not None
    for i in range(len(truth)):
        mask = truth.whole.dense(i).reshape(shape).numpy()
        save_image(folder / "amodal" / f"{name}_{i + 1:03d}.png", mask.astype(np.uint8) * 255)
    save_text(folder / "classes.txt", "\n".join(truth.vocabulary.names))


def _about(seen: SyntheticView) -> dict[str, Any]:
    truth, camera = seen.truth, seen.input.camera
    assert truth.whole is not None and truth.amodal_boxes is not None and truth.image_boxes is not None
    assert camera is not None
    hides = seen.occludes
    objects = [
        {
            "id": i + 1,
            "class": truth.class_name(i),
            "visible_pixels": int(truth.sizes[i]),
            "amodal_pixels": int(truth.whole.sizes[i]),
            "image_box": truth.image_boxes[i].int().tolist(),
            "amodal_box": dict(zip(BOX, (round(v, 6) for v in truth.amodal_boxes[i].tolist()), strict=True)),
            "occluded_by": (hides[:, i].nonzero().flatten() + 1).tolist(),
        }
        for i in range(len(truth))
    ]
    up = (camera.world_from_camera[2, :3]).round(9).tolist()
    return {"name": seen.name, "camera": seen.camera_name, "up_in_camera": up, "objects": objects}


def _save_voxels(path: Path, seen: SyntheticView) -> None:
    found = [whole_voxels(seen, i, voxel_size=VOXEL_SIZE) for i in range(len(seen.truth))]
    lattices = [np.zeros((0, 3), np.int16)]
    for voxels in found:
        assert voxels.grid.origin is not None
        first = (voxels.grid.origin / VOXEL_SIZE).round().long()
        lattices.append((voxels.grid.coordinates + first).numpy().astype(np.int16))
    sight = torch.cat([torch.zeros(0, dtype=torch.int64), *(voxels.sight for voxels in found)])
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            offsets=np.cumsum([0, *(len(voxels.grid) for voxels in found)]),
            lattice=np.concatenate(lattices),
            sight=sight.numpy().astype(np.uint8),
            voxel_size=VOXEL_SIZE,
        )


def _millimetres(depth: torch.Tensor) -> np.ndarray:
    """(h, w) uint16; what is beyond 65 m is not known."""
    values = (depth.double() * 1000).round()
    return torch.where(values < 2**16, values, 0).numpy().astype(np.uint16)


def rows_of(matrix: np.ndarray) -> str:
    """A line for each row, nine digits."""
    return "\n".join(" ".join(f"{round(value, 12):.9g}" for value in row) for row in matrix.tolist())


def save_image(path: Path, pixels: np.ndarray) -> None:
    """Of 8 or 16 bits, as its type says; `UserError` where it cannot be written."""
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def save_text(path: Path, text: str) -> None:
    """With a newline at its end; `UserError` where it cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
