"""What a person names: a cloud, a photo, an RGB-D frame, or a folder of them."""

import os
from pathlib import Path

import numpy as np
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.clouds import CLOUD_SUFFIXES, find_clouds, is_cloud_folder, load_cloud
from gestalt3d.io.images import IMAGE_SUFFIXES, read_photo
from gestalt3d.io.rgbd import Frame, find_frames, frame_of, read_frame
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View

INPUT_SUFFIXES = (*CLOUD_SUFFIXES, *IMAGE_SUFFIXES)
_BESIDE_FRAMES = (".txt", ".npy", *IMAGE_SUFFIXES)
"""Clouds by their suffix that beside images hold depth, intrinsics and poses."""


def load_input(
    path: str | os.PathLike[str],
    *,
    units: str | None = None,
    up: str | None = None,
    semantic: str | None = None,
) -> PointCloud | View:
    """Read what a file or folder holds.

    A cloud as `load_cloud` does. A folder with one colour image and its depth (`is_frame`) is a `View` with depth and camera;
    so is a colour image (.jpg .jpeg .png) with its depth beside it; any other image is a photo, a `View` without them. Of a
    frame, `units` is that of its depth, millimetres where it is whole numbers, and `up` the axis of its pose's world that
    points up. `notes` say what was assumed. `UserError` where nothing of the kind can be read.
    """
    path = Path(path)
    frame = _frame(path)
    if frame is None and path.suffix.lower() not in IMAGE_SUFFIXES:
        return load_cloud(path, units=units, up=up, semantic=semantic)
    if semantic is not None:
        raise UserError(
            f"--semantic {semantic}: {path} is an image, whose pixels have no properties; drop it"
        )
    try:
        if frame is not None:
            return read_frame(path, frame, units=units, up=up)
        if not path.is_file():
            raise UserError(f"{path}: {'is no file' if path.exists() else 'does not exist'}; check the name")
        image = read_photo(path).astype(np.float32) / 255
        return View(torch.from_numpy(image).permute(2, 0, 1).contiguous(), path=path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions"
        ) from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory; make it smaller") from error


def is_frame(path: Path) -> bool:
    """Whether it is one RGB-D frame: a folder with one colour image and its depth and no cloud."""
    return path.is_dir() and _frame(path) is not None


def find_inputs(folder: str | os.PathLike[str], *, photos: bool = True) -> list[Path]:
    """The inputs in a folder that is none itself, by name: clouds (`find_clouds`), RGB-D frames, and photos where asked for.

    Frames are folders that are one, and of images with their depth the colour images. Pictures beside results of their name
    (`scan.png`, `scan.instances.npz`) are none.
    """
    folder = Path(folder)
    frames = find_frames(folder)
    clouds = [p for p in find_clouds(folder) if not (frames and p.suffix.lower() in _BESIDE_FRAMES)]
    inner = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    found = {*clouds, *(f.color for f in frames), *(p for p in inner if _is_apart(p, frames) and is_frame(p))}
    if photos:
        depths = {f.depth for f in frames}
        images = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        found |= {p for p in images if p not in depths and not _is_picture_of_result(p)}
    return sorted(found)


def _frame(path: Path) -> Frame | None:
    """The frame that a folder is, or that a colour image belongs to."""
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return frame_of(path)
    if not path.is_dir() or is_cloud_folder(path):
        return None
    frames = find_frames(path)
    if len(frames) != 1 or any(p.suffix.lower() not in _BESIDE_FRAMES for p in find_clouds(path)):
        return None
    return frames[0]


def _is_apart(folder: Path, frames: list[Frame]) -> bool:
    """Whether a folder holds none of the images of these frames."""
    return not any(folder in (f.color.parent, f.depth.parent) for f in frames)


def _is_picture_of_result(path: Path) -> bool:
    return path.name.endswith(".instances.png") or path.with_suffix(".instances.npz").exists()
