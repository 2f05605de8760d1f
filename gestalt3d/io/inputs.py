"""What a person names: a cloud, a photo, an RGB-D frame, or a folder of them."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.clouds import CLOUD_SUFFIXES, find_clouds, is_cloud_folder, load_cloud
from gestalt3d.io.folders import entries
from gestalt3d.io.images import IMAGE_SUFFIXES, OTHER_IMAGE_SUFFIXES, read_noted_photo
from gestalt3d.io.rgbd import Frame, Texts, find_frames, read_frame
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View

INPUT_SUFFIXES = (*CLOUD_SUFFIXES, *IMAGE_SUFFIXES)
_BESIDE_FRAMES = (".txt", ".npy", *IMAGE_SUFFIXES)
"""Clouds by their suffix that beside images hold depth, intrinsics and poses."""


class Found(NamedTuple):
    """A file or folder that can be read, and the frame that it is; None for a cloud and for a photo without depth."""

    path: Path
    frame: Frame | None = None


class Inputs:
    """Finds and reads inputs. Looks into each folder once, however many of its files are asked for: a batch shares one."""

    def __init__(self) -> None:
        self._entries = cache(entries)
        self._frames = cache(self._find_frames)
        self._texts = Texts(self._entries)

    def at(self, path: Path) -> Found | None:
        """What is there: a cloud, a frame or a photo; None for a folder that is neither a cloud nor one frame."""
        frame = self._frame(path)
        return None if frame is None and path.is_dir() and not is_cloud_folder(path) else Found(path, frame)

    def inside(self, folder: Path, *, photos: bool = True) -> list[Found]:
        """The inputs in a folder that is none itself, by name: clouds (`find_clouds`), RGB-D frames, and photos if asked for.

        Frames are folders that are one, and of images with their depth the colour images. Pictures beside results of their
        name (`scan.png`, `scan.instances.npz`) are none. `OSError` where the folder cannot be listed.
        """
        frames = self._frames(folder)
        clouds = find_clouds(folder, listed=self._entries)
        found = {p: None for p in clouds if not (frames and p.suffix.lower() in _BESIDE_FRAMES)} | frames
        taken = {place for f in frames.values() for place in (f.color.parent, f.depth.parent)}
        for inner in self._entries(folder):
            if inner.is_dir() and inner not in taken and (frame := self._frame(inner)) is not None:
                found[inner] = frame
        if photos:
            depths = {f.depth for f in frames.values()}
            images = [p for p in self._entries(folder) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
            for image in images:
                if image not in depths and not _is_picture_of_result(image):
                    found.setdefault(image, None)
        return [Found(path, found[path]) for path in sorted(found)]

    def read(
        self, found: Found, *, units: str | None = None, up: str | None = None, semantic: str | None = None
    ) -> PointCloud | View:
        """What `load_input` gives."""
        path, frame = found
        if path.suffix.lower() in OTHER_IMAGE_SUFFIXES and path.is_file():
            raise UserError(f"{path}: pictures are read as JPEG and PNG; save it as one of them")
        if frame is None and path.suffix.lower() not in IMAGE_SUFFIXES:
            return load_cloud(path, units=units, up=up, semantic=semantic)
        if semantic is not None:
            raise UserError(
                f"--semantic {semantic}: {path} is an image, whose pixels have no properties; drop it"
            )
        try:
            if frame is not None:
                return read_frame(path, frame, units=units, up=up, texts=self._texts)
            if not path.is_file():
                raise UserError(
                    f"{path}: {'is no file' if path.exists() else 'does not exist'}; check the name"
                )
            photo = read_noted_photo(path)
            image = torch.from_numpy(photo.pixels.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
            return View(image, path=path, notes=photo.notes)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions"
            ) from error
        except MemoryError as error:
            raise UserError(f"{path}: does not fit into memory; make it smaller") from error

    def _frame(self, path: Path) -> Frame | None:
        """The frame that a folder is, or that a colour image belongs to by the depth beside it or in a folder beside its own."""
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            return self._frames(path.parent).get(path) or self._frames(path.parent.parent).get(path)
        if not path.is_dir() or is_cloud_folder(path) or len(frames := self._frames(path)) != 1:
            return None
        has_cloud = any(
            p.suffix.lower() not in _BESIDE_FRAMES for p in find_clouds(path, listed=self._entries)
        )
        return None if has_cloud else next(iter(frames.values()))

    def _find_frames(self, folder: Path) -> dict[Path, Frame]:
        """By their colour images."""
        return {frame.color: frame for frame in find_frames(folder, listed=self._entries)}


def load_input(
    path: str | os.PathLike[str],
    *,
    units: str | None = None,
    up: str | None = None,
    semantic: str | None = None,
) -> PointCloud | View:
    """Read what a file or folder holds.

    A cloud as `load_cloud` does. A folder with one colour image and its depth (`is_frame`) is a `View` with depth and camera;
    so is a colour image (.jpg .jpeg .png .ppm .pgm) with its depth beside it; any other image is a photo, a `View` without them.
    Of a frame, `units` is that of its depth, millimetres where it is whole numbers, and `up` the axis of its pose's world that
    points up. `notes` say what was assumed. `UserError` where nothing of the kind can be read.
    """
    inputs, path = Inputs(), Path(path)
    return inputs.read(inputs.at(path) or Found(path), units=units, up=up, semantic=semantic)


def is_frame(path: Path) -> bool:
    """Whether it is one RGB-D frame: a folder with one colour image and its depth and no cloud."""
    found = Inputs().at(path) if path.is_dir() else None
    return found is not None and found.frame is not None


def _is_picture_of_result(path: Path) -> bool:
    return path.name.endswith(".instances.png") or path.with_suffix(".instances.npz").exists()
