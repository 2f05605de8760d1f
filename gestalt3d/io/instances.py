"""Instances in files: results and the way back."""

import csv
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from gestalt3d.errors import UserError
from gestalt3d.io import archive
from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.clouds import byte_colors, cloud_table
from gestalt3d.io.frame import source_normals, source_points
from gestalt3d.io.given import InputLike, expect_path, instances_and_input
from gestalt3d.io.numpy_files import write_npz
from gestalt3d.io.ply import write_ply
from gestalt3d.io.ply_copy import extend_ply
from gestalt3d.structures.instances import BOX, Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.structures.voxelgrid import VoxelGrid

ANSWERS = ("instance", "semantic", "score")
_NAME_ONE = "name an .instances.npz that segment has written"


def save_instances(
    path: str | os.PathLike[str],
    instances: Instances,
    given: InputLike,
    *,
    labels: Int[torch.Tensor, "n"] | None = None,
) -> None:
    """Write by suffix; the file appears complete or not at all. `given` is what was segmented, or its path; `labels` are
    `instances.to_labels()`, where they are known already.

    `.npz`: everything, in metres, z up, points and boxes relative to `origin`; `load_instances` reads it.
    `.json`, `.csv`: one entry or row per instance, as `Instances.to_dicts`; boxes in the axes, units and origin of
    the input.

    Of a cloud `.ply`: the input's points in its order, frame, units and types with all its properties, plus `instance`
    (int, -1 none), `semantic` (int, -1 unknown) and `score` (float, 0 none), which replace properties of
    these names. A PLY keeps its faces and all else, ascii or its byte order; its file is read again for that.
    `.las`, `.laz`: the same as extra dimensions; a LAS input keeps its format, scales, offsets and
    dimensions.

    Of a view `.png`: 16 bits a pixel, the instance and 1, or 0 for none. `.ply`: the points of `view.cloud()` with these
    properties, in the world of the camera; the view needs depth and camera for it.
    """
    call = "save_instances(path, instances, given)"
    expect_path(path, call=call)
    instances, given = instances_and_input(instances, given, call=call)
    path = Path(path)
    writers = _WRITERS[type(given)]
    write = writers.get(path.suffix.lower())
    if write is None:
        raise UserError(
            f"{path}: results are not written as {path.suffix!r}; choose one of {' '.join(writers)}"
        )
    instances = instances.to("cpu")
    if write not in _OF_LABELS:
        write(path, instances, given.to("cpu"))
        return
    write(path, instances, given.to("cpu"), instances.to_labels() if labels is None else labels.cpu())


def expect_writable(cloud: PointCloud) -> None:
    """`UserError` where the answer to this cloud could not be written beside its input's own data, as LAS or PLY."""
    if cloud.source is not None and cloud.source.kind == "las":
        from gestalt3d.io.las import expect_extendable

        expect_extendable(
            cloud.source.path,
            point_answers(Instances.empty(0, Vocabulary("none", ())), torch.zeros(0, dtype=torch.int64)),
        )


def load_instances(path: str | os.PathLike[str]) -> tuple[Instances, PointCloud | View]:
    """What `save_instances` wrote as `.npz`: the instances and what was segmented; a file that does not fit together is a
    `UserError`.
    """
    path = Path(path)
    try:
        if path.is_dir() or not path.exists():
            raise UserError(f"{path}: is no result file; {_NAME_ONE}")
        if path.suffix.lower() != ".npz":
            raise UserError(f"{path}: only .npz holds a whole result; {_NAME_ONE}")
        return archive.read(path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions"
        ) from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory; reduce the scan") from error


def save_objects(folder: str | os.PathLike[str], instances: Instances, cloud: InputLike) -> list[Path]:
    """One PLY per instance, `0007_chair.ply`, with the input's properties in its frame; returns the paths.

    Of a view the points of an instance's pixels, in the world of its camera; `UserError` where it has no depth or no camera.
    """
    call = "save_objects(folder, instances, cloud)"
    expect_path(folder, call=call)
    instances, given = instances_and_input(instances, cloud, call=call)
    instances, given = instances.to("cpu"), given.to("cpu")
    if isinstance(given, View):
        instances, given = _of_points(Path(folder), instances, given)
    table = _own_table(given)
    paths = [Path(folder) / _file_name(instances, i) for i in range(len(instances))]
    for path, elements in zip(paths, instances.masks, strict=True):
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            write_ply(file, table[elements.numpy()])
    return paths


def _of_points(path: Path, instances: Instances, view: View) -> tuple[Instances, PointCloud]:
    """What was found in a view's pixels, of the points of its cloud: those pixels whose depth is known."""
    if view.depth is None or view.camera is None:
        lacks = "depth" if view.depth is None else "camera"
        raise UserError(f"{path}: a view without {lacks} has no points; write .npz, .png or .json")
    pixels = view.pixels()
    row = torch.full((len(view),), -1, dtype=torch.int64)
    row[pixels] = torch.arange(len(pixels))
    at = row[instances.masks.indices]
    sizes = torch.bincount(instances.masks.owners[at >= 0], minlength=len(instances))
    classes = None if instances.element_classes is None else instances.element_classes[pixels]
    masks = Sets.from_sizes(sizes, at[at >= 0], len(pixels))
    return replace(
        instances, masks=masks, whole=None, image_boxes=None, element_classes=classes
    ), view.cloud()


def save_shapes(
    folder: str | os.PathLike[str],
    instances: Instances,
    *,
    glb_colors: UInt8[np.ndarray, "i 3"] | None = None,
) -> list[Path]:
    """The whole objects, where a method completes them: one PLY per instance in the frame of the input; returns the paths.

    A mesh keeps its faces, and voxels have the surface around them. With `glb_colors`, one for each instance, every surface is a
    GLB, too, `0007_chair.glb`: in metres, and with y up as the format wants it.
    """
    from gestalt3d.io.surfaces import finite, with_surfaces, write_glb

    instances = with_surfaces(instances.to("cpu"))
    paths: list[Path] = []
    to_source = np.eye(4) if instances.source_from_cloud is None else instances.source_from_cloud
    for i, drawn in enumerate(instances.shapes or ()):
        paths.append(Path(folder) / _file_name(instances, i))
        assert not isinstance(drawn, VoxelGrid)
        moved = _points_of(drawn) @ to_source[:3, :3].T + to_source[:3, 3]
        faces = drawn.faces.numpy() if isinstance(drawn, Mesh) else None
        with atomic_path(paths[-1]) as temporary, temporary.open("wb") as file:
            write_ply(file, dict(zip("xyz", moved.T, strict=True)), faces=faces)
        if glb_colors is not None and isinstance(drawn, Mesh):
            paths.append(paths[-1].with_suffix(".glb"))
            red, green, blue = glb_colors[i].tolist()
            with atomic_path(paths[-1]) as temporary, temporary.open("wb") as file:
                write_glb(file, *finite(drawn), name=instances.class_name(i), color=(red, green, blue))
    return paths


def _points_of(shape: Mesh | PointCloud) -> np.ndarray:
    """(p, 3) float64 in the frame of the cloud."""
    if isinstance(shape, Mesh):
        return shape.vertices.numpy().astype(np.float64)
    origin = 0.0 if shape.origin is None else shape.origin.numpy()
    return shape.points.numpy().astype(np.float64) + origin


def _file_name(instances: Instances, i: int) -> str:
    """`0007_chair.ply`."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", instances.class_name(i)).strip("-")[:60] or "object"
    return f"{i:04d}_{name}.ply"


def visible_boxes(instances: Instances, cloud: PointCloud) -> Float[torch.Tensor, "i 7"]:
    """The method's own boxes, else the axis-aligned extents of the finite points."""
    if instances.boxes is not None:
        return instances.boxes.float()
    points, boxes = cloud.points.numpy(), np.zeros((len(instances), 7), np.float32)
    for i, elements in enumerate(instances.masks):
        own = points[elements.numpy()]
        own = own[np.isfinite(own).all(1)]
        if len(own):
            low, high = own.min(0), own.max(0)
            boxes[i, :3], boxes[i, 3:6] = (low + high) / 2, high - low
    return torch.from_numpy(boxes)


def point_answers(instances: Instances, labels: Int[torch.Tensor, "n"]) -> dict[str, np.ndarray]:
    """Per point: `instance` as labelled (-1 none), `semantic` (-1 unknown), `score` (0 none)."""
    held = labels >= 0
    row = labels.clamp(min=0)
    if instances.element_classes is not None:
        semantic = instances.element_classes
    elif len(instances):
        semantic = torch.where(held, instances.classes[row], -1)
    else:
        semantic = torch.full_like(labels, -1)
    score = torch.where(held, instances.scores[row], 0.0) if len(instances) else torch.zeros(len(labels))
    return {
        "instance": labels.numpy().astype(np.int32),
        "semantic": semantic.numpy().astype(np.int32),
        "score": score.numpy().astype(np.float32),
    }


def _own_table(cloud: PointCloud) -> np.ndarray:
    """The input's properties; made from the cloud, in the input's frame, where the file gave no table."""
    table = None if cloud.source is None else cloud.source.table
    if table is not None and len(table) == len(cloud):
        return table
    return cloud_table(source_points(cloud), byte_colors(cloud), source_normals(cloud))


def _save_ply(path: Path, instances: Instances, cloud: PointCloud, labels: Int[torch.Tensor, "n"]) -> None:
    answers = point_answers(instances, labels)
    comments = tuple(f"semantic {i} {name}" for i, name in enumerate(instances.vocabulary.names))
    table = _own_table(cloud)
    source = cloud.source
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if source is not None and source.kind == "ply" and source.table is table and source.path.is_file():
            extend_ply(source.path, file, answers, comments=comments)
            return
        kept = [name for name in table.dtype.names or () if name not in ANSWERS]
        write_ply(file, {name: table[name] for name in kept} | answers, comments=comments)


def _save_view_ply(path: Path, instances: Instances, view: View, labels: Int[torch.Tensor, "n"]) -> None:
    found, cloud = _of_points(path, instances, view)
    _save_ply(path, found, cloud, labels[view.pixels()])


def _save_las(path: Path, instances: Instances, cloud: PointCloud, labels: Int[torch.Tensor, "n"]) -> None:
    from gestalt3d.io.las import extend_las, write_las

    answers = point_answers(instances, labels)
    if cloud.source is not None and cloud.source.kind == "las":
        extend_las(cloud.source.path, path, answers)
    else:
        write_las(path, answers, source_points(cloud).astype(np.float64), byte_colors(cloud))


def _save_npz(path: Path, instances: Instances, given: PointCloud | View) -> None:
    if isinstance(given, PointCloud):
        instances = replace(instances, boxes=visible_boxes(instances, given))
    arrays = archive.pack(instances, given)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write_npz(file, arrays)


def _save_json(path: Path, instances: Instances, given: PointCloud | View) -> None:
    document = {
        "file": None,
        "method": instances.method,
        "version": archive.package_version(),
        **(_about_cloud(given) if isinstance(given, PointCloud) else _about_view(given)),
        "instances": [_entry(instances, given, row) for row in _rows(instances, given)],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _about_cloud(cloud: PointCloud) -> dict[str, Any]:
    source = cloud.source
    return {
        "file": None if source is None else source.path.name,
        "frame": "axes, units and origin of the file; a box has its size along its own axes, turned by yaw "
        "about the axis that points up",
        "world_from_source": None if source is None else source.world_from_source.tolist(),
        "notes": [] if source is None else list(source.notes),
        "points": len(cloud),
    }


def _about_view(view: View) -> dict[str, Any]:
    camera = view.camera
    return {
        "file": None if view.path is None else view.path.name,
        "frame": "image boxes are left, top, right and bottom edge in pixels; boxes are metres in the camera's world, z up, with "
        "the size along their own axes, turned by yaw about z",
        "intrinsics": None if camera is None else camera.intrinsics.tolist(),
        "world_from_camera": None if camera is None else camera.world_from_camera.tolist(),
        "notes": list(view.notes),
        "width": view.image.shape[2],
        "height": view.image.shape[1],
    }


def _save_csv(path: Path, instances: Instances, given: PointCloud | View) -> None:
    rows = _rows(instances, given)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "class", "score", "points", *BOX])
        writer.writeheader()
        writer.writerows({name: row[name] for name in writer.fieldnames} for row in rows)


def _save_ids(path: Path, instances: Instances, view: View, labels: Int[torch.Tensor, "n"]) -> None:
    """0 where there is no instance, else its row and one."""
    if len(instances) >= 1 << 16:
        raise UserError(f"{path}: has 16 bits a pixel, too few for {len(instances):,} instances; write .npz")
    from PIL import Image

    ids = (labels + 1).numpy().astype(np.uint16).reshape(view.image.shape[1:])
    with atomic_path(path) as temporary:
        Image.fromarray(ids).save(temporary, format="PNG")


def _rows(instances: Instances, given: PointCloud | View) -> list[dict[str, Any]]:
    """`to_dicts`; for a cloud with a box for every instance, in the frame of the cloud's file."""
    if isinstance(given, PointCloud):
        boxes = visible_boxes(instances, given)
        instances = replace(instances, boxes=boxes, source_from_cloud=given.source_from_cloud)
    return instances.to_dicts()


def _entry(instances: Instances, given: PointCloud | View, row: dict[str, Any]) -> dict[str, Any]:
    """A row with its boxes as `center`, `size` and `yaw`, null where they are unknown, and the name of its shape's file."""
    i = row["id"]
    entry = {name: row[name] for name in ("id", "class", "score", "points")}
    if isinstance(given, View):
        entry["pixels"] = entry.pop("points")
        entry["whole_pixels"] = None if instances.whole is None else int(instances.whole.sizes[i])
        entry["image_box"] = None if instances.image_boxes is None else instances.image_boxes[i].tolist()
    for name, prefix in (("box", ""), ("amodal_box", "amodal_")):
        box = [row.get(prefix + column) for column in BOX]
        known = {"center": box[:3], "size": box[3:6], "yaw": box[6]}
        entry[name] = known if any(value is not None for value in box) else None
    return entry | {"shape": None if instances.shapes is None else _file_name(instances, i)}


_OF_LABELS = (_save_ply, _save_view_ply, _save_las, _save_ids)
"""Writers that also take the one instance of each element."""
_WRITERS: dict[type, dict[str, Callable[..., None]]] = {
    PointCloud: {
        ".npz": _save_npz,
        ".ply": _save_ply,
        ".las": _save_las,
        ".laz": _save_las,
        ".json": _save_json,
        ".csv": _save_csv,
    },
    View: {
        ".npz": _save_npz,
        ".ply": _save_view_ply,
        ".png": _save_ids,
        ".json": _save_json,
        ".csv": _save_csv,
    },
}
"""By what was segmented and the suffix."""
