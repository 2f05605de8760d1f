"""Instances in files: results and the way back."""

import csv
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.clouds import byte_colors, cloud_arrays, cloud_table
from gestalt3d.io.frame import source_normals, source_points
from gestalt3d.io.given import CloudLike, expect_path, instances_and_cloud
from gestalt3d.io.numpy_files import read_members, write_npz
from gestalt3d.io.ply import write_ply
from gestalt3d.io.ply_copy import extend_ply
from gestalt3d.structures.instances import BOX, Instances
from gestalt3d.structures.pointcloud import PointCloud, Source
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import VOCABULARIES, Vocabulary

ANSWERS = ("instance", "semantic", "score")
_AGAIN = "write it again with segment"
_NAME_ONE = "name an .instances.npz that segment has written"


def save_instances(path: str | os.PathLike[str], instances: Instances, cloud: CloudLike) -> None:
    """Write by suffix; the file appears complete or not at all. `cloud` is what was segmented, or its path.

    `.npz`: everything, in metres, z up, points and boxes relative to `origin`; `load_instances` reads it.
    `.ply`: the input's points in its order, frame, units and types with all its properties, plus `instance`
    (int, -1 none), `semantic` (int, -1 unknown) and `score` (float, 0 none), which replace properties of
    these names. A PLY keeps its faces and all else, ascii or its byte order; its file is read again for that.
    `.las`, `.laz`: the same as extra dimensions; a LAS input keeps its format, scales, offsets and
    dimensions.
    `.json`, `.csv`: one entry or row per instance, as `Instances.to_dicts`; boxes in the axes, units and origin of
    the input.
    """
    call = "save_instances(path, instances, cloud)"
    expect_path(path, call=call)
    instances, cloud = instances_and_cloud(instances, cloud, call=call)
    path = Path(path)
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise UserError(
            f"{path}: results are not written as {path.suffix!r}; choose one of {' '.join(_WRITERS)}"
        )
    write(path, instances.to("cpu"), cloud.to("cpu"))


def expect_writable(cloud: PointCloud) -> None:
    """`UserError` where the answer to this cloud could not be written beside its input's own data, as LAS or PLY."""
    if cloud.source is not None and cloud.source.kind == "las":
        from gestalt3d.io.las import expect_extendable

        expect_extendable(cloud.source.path, point_answers(Instances.empty(0, Vocabulary("none", ()))))


def load_instances(path: str | os.PathLike[str]) -> tuple[Instances, PointCloud]:
    """Read what `save_instances` wrote as `.npz`; a file that does not fit together is a `UserError`."""
    path = Path(path)
    try:
        if path.is_dir() or not path.exists():
            raise UserError(f"{path}: is no result file; {_NAME_ONE}")
        if path.suffix.lower() != ".npz":
            raise UserError(f"{path}: only .npz holds a whole result; {_NAME_ONE}")
        return _unpack(path, read_members(path, _LAYOUT))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); check the file and its permissions"
        ) from error
    except MemoryError as error:
        raise UserError(f"{path}: does not fit into memory; reduce the scan") from error


def save_objects(folder: str | os.PathLike[str], instances: Instances, cloud: CloudLike) -> list[Path]:
    """One PLY per instance, `0007_chair.ply`, with the input's properties in its frame; returns the paths."""
    call = "save_objects(folder, instances, cloud)"
    expect_path(folder, call=call)
    instances, cloud = instances_and_cloud(instances, cloud, call=call)
    instances, cloud = instances.to("cpu"), cloud.to("cpu")
    table = _own_table(cloud)
    paths = []
    for i in range(len(instances)):
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", instances.class_name(i)).strip("-")[:60] or "object"
        paths.append(Path(folder) / f"{i:04d}_{name}.ply")
        with atomic_path(paths[-1]) as temporary, temporary.open("wb") as file:
            write_ply(file, table[instances.elements_of(i).numpy()])
    return paths


def visible_boxes(instances: Instances, cloud: PointCloud) -> np.ndarray:
    """(i, 7) float32 boxes: the method's own, else the axis-aligned extent of the finite points."""
    if instances.boxes is not None:
        return instances.boxes.numpy().astype(np.float32)
    points, boxes = cloud.points.numpy(), np.zeros((len(instances), 7), np.float32)
    for i in range(len(instances)):
        own = points[instances.elements_of(i).numpy()]
        own = own[np.isfinite(own).all(1)]
        if len(own):
            low, high = own.min(0), own.max(0)
            boxes[i, :3], boxes[i, 3:6] = (low + high) / 2, high - low
    return boxes


def point_answers(instances: Instances) -> dict[str, np.ndarray]:
    """Per point: `instance` (the best score wins, -1 none), `semantic` (-1 unknown), `score` (0 none)."""
    labels = instances.to_labels()
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


def _save_ply(path: Path, instances: Instances, cloud: PointCloud) -> None:
    answers = point_answers(instances)
    comments = tuple(f"semantic {i} {name}" for i, name in enumerate(instances.vocabulary.names))
    table = _own_table(cloud)
    source = cloud.source
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if source is not None and source.kind == "ply" and source.table is table and source.path.is_file():
            extend_ply(source.path, file, answers, comments=comments)
            return
        kept = [name for name in table.dtype.names or () if name not in ANSWERS]
        write_ply(file, {name: table[name] for name in kept} | answers, comments=comments)


def _save_las(path: Path, instances: Instances, cloud: PointCloud) -> None:
    from gestalt3d.io.las import extend_las, write_las

    answers = point_answers(instances)
    if cloud.source is not None and cloud.source.kind == "las":
        extend_las(cloud.source.path, path, answers)
    else:
        write_las(path, answers, source_points(cloud).astype(np.float64), byte_colors(cloud))


def _save_npz(path: Path, instances: Instances, cloud: PointCloud) -> None:
    vocabulary, source = instances.vocabulary, cloud.source
    # Every key is always there; what does not exist has no rows.
    arrays = {
        "colors": np.zeros((0, 3), np.uint8),
        "normals": np.zeros((0, 3), np.float32),
        **cloud_arrays(cloud),
        "offsets": instances.masks.offsets.numpy(),
        "indices": instances.masks.indices.numpy(),
        "classes": instances.classes.numpy(),
        "scores": instances.scores.numpy(),
        "class_names": np.array(vocabulary.names, dtype=np.str_),
        "official_ids": np.array(vocabulary.official_ids, dtype=np.int64),
        "structure": vocabulary.is_structure,
        "vocabulary": np.array(vocabulary.title),
        "boxes": visible_boxes(instances, cloud),
        "amodal_boxes": np.zeros((0, 7), np.float32),
        "point_classes": np.zeros(0, np.int32),
        "method": np.array(instances.method),
        "version": np.array(package_version()),
        "world_from_source": np.eye(4) if source is None else source.world_from_source,
        "notes": np.array(() if source is None else source.notes, dtype=np.str_),
    }
    if instances.amodal_boxes is not None:
        arrays["amodal_boxes"] = instances.amodal_boxes.numpy()
    if instances.element_classes is not None:
        arrays["point_classes"] = instances.element_classes.numpy().astype(np.int32)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write_npz(file, arrays)


def _save_json(path: Path, instances: Instances, cloud: PointCloud) -> None:
    source = cloud.source
    document = {
        "file": None if source is None else source.path.name,
        "method": instances.method,
        "version": package_version(),
        "frame": "axes, units and origin of the file; a box has its size along its own axes, turned by yaw "
        "about the axis that points up",
        "world_from_source": None if source is None else source.world_from_source.tolist(),
        "notes": [] if source is None else list(source.notes),
        "points": len(cloud),
        "instances": [_entry(row) for row in _rows(instances, cloud)],
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _save_csv(path: Path, instances: Instances, cloud: PointCloud) -> None:
    rows = _rows(instances, cloud)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "class", "score", "points", *BOX])
        writer.writeheader()
        writer.writerows({name: row[name] for name in writer.fieldnames} for row in rows)


def _rows(instances: Instances, cloud: PointCloud) -> list[dict[str, Any]]:
    """`to_dicts` with a box for every instance, in the frame of the cloud's file."""
    boxes = torch.from_numpy(visible_boxes(instances, cloud))
    return replace(instances, boxes=boxes, source_from_cloud=cloud.source_from_cloud).to_dicts()


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its boxes as `center`, `size` and `yaw`, null where they are unknown."""
    entry = {name: row[name] for name in ("id", "class", "score", "points")}
    for name, prefix in (("box", ""), ("amodal_box", "amodal_")):
        box = [row.get(prefix + column) for column in BOX]
        known = {"center": box[:3], "size": box[3:6], "yaw": box[6]}
        entry[name] = known if any(value is not None for value in box) else None
    return entry | {"shape": None}


_WRITERS: dict[str, Callable[[Path, Instances, PointCloud], None]] = {
    ".npz": _save_npz,
    ".ply": _save_ply,
    ".las": _save_las,
    ".laz": _save_las,
    ".json": _save_json,
    ".csv": _save_csv,
}


def package_version() -> str:
    try:
        return version("gestalt3d")
    except PackageNotFoundError:
        return "unknown"


# Key → (kinds of dtype, shape): n points, i instances, c classes, k anything.
_LAYOUT: dict[str, tuple[str, str]] = {
    "points": ("f", "n 3"),
    "colors": ("uf", "n 3"),
    "normals": ("f", "n 3"),
    "origin": ("f", "3"),
    "offsets": ("iu", "i+1"),
    "indices": ("iu", "k"),
    "classes": ("iu", "i"),
    "scores": ("f", "i"),
    "class_names": ("U", "c"),
    "official_ids": ("iuf", "c"),
    "structure": ("b", "c"),
    "vocabulary": ("U", ""),
    "boxes": ("f", "i 7"),
    "amodal_boxes": ("f", "i 7"),
    "point_classes": ("iu", "n"),
    "method": ("U", ""),
    "version": ("U", ""),
    "world_from_source": ("f", "4 4"),
    "notes": ("U", "k"),
}
_NEEDED = ("points", "offsets", "indices", "classes", "scores", "class_names")


def _check_layout(path: Path, members: dict[str, np.ndarray]) -> None:
    """Types, shapes and class ids; arrays without entries stand for what is not there."""
    for key in _NEEDED:
        if key not in members:
            raise UserError(f"{path}: is no result of segment, it has no {key!r}; {_AGAIN}")
    sizes = {"n": len(members["points"].reshape(-1, 3)) if members["points"].ndim == 2 else -1}
    sizes |= {
        "i": members["classes"].size,
        "i+1": members["classes"].size + 1,
        "c": members["class_names"].size,
    }
    for key, array in members.items():
        kinds, words = _LAYOUT[key]
        sizes["k"] = array.size
        shape = tuple(sizes[w] if w in sizes else int(w) for w in words.split())
        is_absent = not array.size and key not in _NEEDED
        if array.dtype.kind not in kinds or (array.shape != shape and not is_absent):
            raise UserError(
                f"{path}: its {key!r} is {array.dtype} {array.shape} instead of {shape}; {_AGAIN}"
            )
    for key in ("classes", "point_classes"):
        ids = members.get(key, np.zeros(0, np.int64))
        if ids.size and not -1 <= int(ids.min()) <= int(ids.max()) < sizes["c"]:
            raise UserError(f"{path}: its {key!r} are not positions in its class names; {_AGAIN}")
    matrix = members.get("world_from_source", np.eye(4))
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) == 0:
        raise UserError(f"{path}: its 'world_from_source' is no frame; {_AGAIN}")


def _unpack(path: Path, members: dict[str, np.ndarray]) -> tuple[Instances, PointCloud]:
    _check_layout(path, members)

    def tensor(key: str, dtype: type) -> torch.Tensor | None:
        array = members.get(key)
        is_absent = array is None or (not array.size and key not in _NEEDED)
        return None if array is None or is_absent else torch.from_numpy(array.astype(dtype))

    def needed(key: str, dtype: type) -> torch.Tensor:
        return torch.from_numpy(members[key].astype(dtype))

    colors = tensor("colors", np.float32)
    if colors is not None and members["colors"].dtype.kind == "u":
        colors = colors / float(np.iinfo(members["colors"].dtype).max)
    origin = tensor("origin", np.float64)
    matrix = members.get("world_from_source", np.eye(4)).astype(np.float64)
    source = Source(path, "npz", matrix, None, tuple(str(note) for note in members.get("notes", ())))
    points = needed("points", np.float32)
    if origin is not None and not bool(origin.any()):
        origin = None
    cloud = PointCloud(points, colors, tensor("normals", np.float32), origin, source)
    try:
        instances = Instances(
            masks=Sets(needed("offsets", np.int64), needed("indices", np.int64), len(points)),
            classes=needed("classes", np.int64),
            scores=needed("scores", np.float32),
            vocabulary=_vocabulary(members),
            element_classes=tensor("point_classes", np.int64),
            boxes=tensor("boxes", np.float32),
            amodal_boxes=tensor("amodal_boxes", np.float32),
            method=str(members.get("method", "")),
            source_from_cloud=cloud.source_from_cloud,
        )
    except ValueError as error:
        raise UserError(f"{path}: {error}; {_AGAIN}") from error
    return instances, cloud


def _vocabulary(members: dict[str, np.ndarray]) -> Vocabulary:
    """The known vocabulary of that title when the names agree, else one made of the names."""
    title, names = str(members.get("vocabulary", "file")), tuple(str(n) for n in members["class_names"])
    known = VOCABULARIES.get(title)
    if known is not None and known.names == names:
        return known
    structure = members.get("structure", np.zeros(0, bool))
    inside = frozenset(n for n, s in zip(names, structure, strict=False) if s)
    return Vocabulary(title, names, tuple(int(v) for v in members.get("official_ids", ())), inside)
