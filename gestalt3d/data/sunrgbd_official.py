"""SUN RGB-D in its official folders: `SUNRGBD/kv1/…`, `kv2`, `realsense` and `xtion`, a folder for each frame.

image/*.jpg                     colour
depth_bfx/*.png, depth/*.png    its depth with holes filled, and as measured: millimetres, turned by three bits
intrinsics.txt                  3 x 3; pixels count from 1
extrinsics/*.txt                a rotation that makes y point down for points of the camera's frame; of several the last holds
annotation3Dfinal/index.json    boxes of whole objects: four corners seen from above, and two heights
annotation2Dfinal/index.json    outlines in the image, with names

Boxes are those of `SUNRGBDMeta3DBB_v2.mat` (or for version 1 of `SUNRGBDMeta.mat`), of either of MATLAB's formats, where it lies
in `root` or in its `SUNRGBDtoolbox/Metadata`; else those of `annotation3Dfinal`, which are the earlier ones. That file also says
by its order which frames are the official test: the first 5,050. Without it there is "all".

The depth is the one with its holes filled. The world and the boxes are those of `data.sunrgbd`. Classes of the pixels are those
of the outlines, the larger below the smaller. Some of these texts end names in a backslash, `"wall\\"`, which is no JSON: it is
left out.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64

from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.relabel import relabelled
from gestalt3d.data.sunrgbd import COUNTS, BoxedFrames, boxed
from gestalt3d.errors import UserError
from gestalt3d.io.images import read_depth, read_photo
from gestalt3d.io.mat_records import Record, Records, read_records
from gestalt3d.structures.camera import LEVEL, Camera
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import DSS19, Vocabulary, mapping

SENSORS = ("kv1", "kv2", "realsense", "xtion")
"""Folders of the four kinds of cameras."""
FRAMES = sum(COUNTS.values())
_META = {2: "SUNRGBDMeta3DBB_v2.mat", 1: "SUNRGBDMeta.mat"}
_META_FIELDS = ("basis", "coeffs", "centroid", "classname", "orientation")
_MOST_TEXT = 16 << 20
_MOST_LEVELS = 6
_LARGEST = 1e6
"""Metres and pixels; more is damage."""
_STRUCTURE = ("wall", "floor", "ceiling")
"""Boxes of these are no objects."""
_ENDS_IN_BACKSLASH = re.compile(r'("name"\s*:\s*"(?:[^"\\\n]|\\.)*?)\\+"(\s*[,}\]])')


class OfficialSunRGBD(BoxedFrames):
    """Frames of a split ("train", "val", called "test", too, or "all") by their folders, such as "kv1/b3dodata/img_0063"."""

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
        version: int = 2,
    ) -> None:
        if split not in (*COUNTS, "test", "all"):
            raise UserError(
                f"sunrgbd has no split {split!r}; it has train, val, test (the same as val) and all"
            )
        self.vocabulary = DSS19 if vocabulary is None else vocabulary
        self.folder = official_folder(Path(root))
        there = find_frames(self.folder)
        self.notes = ["boxes of whole objects, no masks; depth with its holes filled"]
        self._meta = find_meta(Path(root), version)
        wanted = self._wanted(split, there)
        present = [name for name in wanted if name in there]
        if lacking := len(wanted) - len(present):
            self.notes.append(f"sunrgbd:{split}: {lacking:,} of {len(wanted):,} frames are not in {root}")
        if not present:
            raise UserError(f"{self.folder}: holds no frame of {split}; unpack SUNRGBD.zip there")
        self.names = present[:limit]
        if note := mapping(DSS19, self.vocabulary):
            self.notes.append(note)

    def _wanted(self, split: str, there: list[str]) -> list[str]:
        """Names of the frames of a split, and notes about them."""
        if self._meta is None:
            self.notes.append(f"no {_META[2]}: boxes are those of annotation3Dfinal")
            if split != "all":
                raise UserError(
                    f"{self.folder}: which frames are {split} is said by {_META[2]}; put it beside SUNRGBD, or take sunrgbd:all"
                )
            return there
        path, rows = self._meta.path, self._meta.rows
        if len(rows) != FRAMES:
            self.notes.append(f"{path.name} lists {len(rows):,} frames, the official one {FRAMES:,}")
        if unlisted := [name for name in there if name not in rows]:
            named = f"{unlisted[0]} and {len(unlisted) - 1:,} more" if unlisted[1:] else unlisted[0]
            self.notes.append(f"not in {path.name}, so without boxes of it and in no split: {named}")
        ordered = sorted(rows, key=rows.__getitem__)
        if split == "all":
            return [*ordered, *unlisted]
        test, rest = (
            [n for n in ordered if (rows[n] < COUNTS["val"]) == is_test] for is_test in (True, False)
        )
        return rest if split == "train" else test

    def __len__(self) -> int:
        return len(self.names)

    def files(self, name: str) -> dict[str, Path]:
        """Of a frame: image, depth, intrinsics and extrinsics, and of its annotations those that there are."""
        folder = self.folder / name
        found = {
            "image": _file(folder, ("image",), (".jpg", ".png")),
            "depth": _file(folder, ("depth_bfx", "depth"), (".png",)),
            "intrinsics": folder / "intrinsics.txt",
            "extrinsics": _file(folder, ("extrinsics",), (".txt",)),
        }
        for kind in ("annotation3Dfinal", "annotation2Dfinal"):
            if (path := folder / kind / "index.json").is_file():
                found[kind] = path
        return found

    def fingerprint(self, i: int) -> str:
        """Changes when a file of the frame or the list of boxes does."""
        meta = [] if self._meta is None else [self._meta.path]
        return digest_of_files(*self.files(self.names[i]).values(), *meta)

    def __getitem__(self, i: int) -> LabelledView:
        name = self.names[i]
        files = self.files(name)
        try:
            image, stored = read_photo(files["image"]), read_depth(files["depth"])
        except OSError as error:
            raise UserError(f"{self.folder / name}: cannot be read ({error.strerror or error})") from error
        depth = metres_of(files["depth"], stored)
        height, width = depth.shape
        if image.shape[:2] != depth.shape:
            raise UserError(
                f"{files['image']}: is {image.shape[1]} x {image.shape[0]}, its depth {width} x {height}; copy both again"
            )
        camera = read_pose(files["intrinsics"], files["extrinsics"], (width, height))
        colors = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
        view = View(colors, torch.from_numpy(depth), camera, files["image"])
        names, boxes = self._boxes(name, files)
        classes = torch.full((len(view),), -1)
        if "annotation2Dfinal" in files:
            classes = torch.from_numpy(
                classes_of_outlines(files["annotation2Dfinal"], (width, height)).reshape(-1)
            )
        truth = boxed(names, boxes, camera, classes)
        return LabelledView(name, view, relabelled(truth, self.vocabulary))

    def _boxes(self, name: str, files: dict[str, Path]) -> tuple[list[str], Float64[np.ndarray, "i 7"]]:
        if self._meta is not None and name in self._meta.rows:
            return self._meta.boxes(name)
        if "annotation3Dfinal" in files:
            return boxes_of_annotation(files["annotation3Dfinal"])
        return [], np.zeros((0, 7))


def is_official(root: Path) -> bool:
    """Whether a folder, or the folder `SUNRGBD` in it, has folders of the cameras."""
    return any((base / sensor).is_dir() for base in (root, root / "SUNRGBD") for sensor in SENSORS)


def official_folder(root: Path) -> Path:
    """The one that holds the folders of the cameras."""
    return root if any((root / sensor).is_dir() for sensor in SENSORS) else root / "SUNRGBD"


def find_frames(folder: Path) -> list[str]:
    """Names of the folders with an image and a depth, by name. Links to folders are not followed."""
    found = []
    for sensor in SENSORS:
        for place, inner, _ in os.walk(folder / sensor):
            if {"image"} <= {*inner} and {"depth", "depth_bfx"} & {*inner}:
                found.append(Path(place).relative_to(folder).as_posix())
                inner.clear()
            elif len(Path(place).relative_to(folder).parts) >= _MOST_LEVELS:
                inner.clear()
    return sorted(found)


class Meta:
    """`SUNRGBDMeta*.mat`: the frames in the official order, with their boxes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: Records = read_records(path, "SUNRGBDMeta")
        needed = {"sequenceName", "groundtruth3DBB"}
        if not needed <= {*self._records.fields}:
            raise UserError(
                f"{path}: has no {' and '.join(sorted(needed - {*self._records.fields}))}; is it another kind of file?"
            )

    @cached_property
    def rows(self) -> dict[str, int]:
        """Position of each frame by its name, such as "kv1/b3dodata/img_0063"."""
        every = self._records.rows(range(len(self._records)), ("sequenceName",))
        names = [row["sequenceName"] for row in every]
        if not all(isinstance(name, str) for name in names):
            raise UserError(f"{self.path}: its sequenceName holds no texts; copy the file again")
        return {_of_sequence(name): i for i, name in enumerate(names)}

    def boxes(self, name: str) -> tuple[list[str], Float64[np.ndarray, "i 7"]]:
        """Names and boxes of the objects of a frame."""
        (row,) = self._records.rows([self.rows[name]], ("groundtruth3DBB",))
        boxes = row["groundtruth3DBB"]
        found = [_of_record(box) for box in boxes if isinstance(box, dict)] if isinstance(boxes, list) else []
        if None in found:
            raise UserError(f"{self.path}: a box of {name} is no box; copy the file again")
        kept = [one for one in found if one is not None and one[0] not in _STRUCTURE]
        return [one[0] for one in kept], np.array([one[1] for one in kept], np.float64).reshape(-1, 7)


def find_meta(root: Path, version: int = 2) -> Meta | None:
    """The list of boxes of that version."""
    places = (root, root / "SUNRGBDtoolbox" / "Metadata", root / "Metadata", root / "SUNRGBD")
    path = next((place / _META[version] for place in places if (place / _META[version]).is_file()), None)
    return None if path is None else Meta(path)


def _of_sequence(name: str) -> str:
    """SUNRGBD/kv1/b3dodata/img_0063/ → kv1/b3dodata/img_0063."""
    parts = [part for part in name.replace("\\", "/").split("/") if part]
    return "/".join(parts[parts.index("SUNRGBD") + 1 :] if "SUNRGBD" in parts else parts)


def _of_record(box: Record) -> tuple[str, list[float]] | None:
    """A name and a box of a record; None for what is none.

    Of the two level rows of `basis` the one most along `orientation` is that of the length; `coeffs` are half sizes.
    """
    values = [np.ravel(np.asarray(box.get(field))) for field in _META_FIELDS if field != "classname"]
    name = box.get("classname")
    if not isinstance(name, str) or [v.size for v in values[:3]] != [9, 3, 3] or values[3].size < 2:
        return None
    if any(v.dtype.kind not in "iuf" or not (np.abs(v) < _LARGEST).all() for v in values):
        return None
    basis, coeffs, centroid, heading = values[0].reshape(3, 3), np.abs(values[1]), values[2], values[3][:2]
    up = int(np.abs(basis[:, 2]).argmax())
    level = [k for k in range(3) if k != up]
    heading = heading if np.hypot(*heading) > 0 else basis[level[1], :2]
    along = max(level, key=lambda k: abs(float(basis[k, :2] @ heading)))
    across = level[0] if along == level[1] else level[1]
    yaw = float(np.arctan2(heading[1], heading[0]))
    return _clean(name), [*centroid, 2 * coeffs[along], 2 * coeffs[across], 2 * coeffs[up], yaw]


def boxes_of_annotation(path: Path) -> tuple[list[str], Float64[np.ndarray, "i 7"]]:
    """Names and boxes of the objects of `annotation3Dfinal`; outlines that are no rectangle with a height are passed over."""
    names, boxes = [], []
    for item in _listed(read_json(path).get("objects")):
        polygons = item.get("polygon") if isinstance(item, dict) else None
        name = _clean(item.get("name")) if isinstance(item, dict) else ""
        first = next(iter(_listed(polygons)), None)
        if not name or name in _STRUCTURE or not isinstance(first, dict):
            continue
        x, z = _numbers(first.get("X")), _numbers(first.get("Z"))
        heights = _numbers([first.get("Ymin"), first.get("Ymax")])
        if len(x) < 3 or len(x) != len(z) or len(heights) != 2:
            continue
        corners = np.stack([x, z], axis=1)
        center = (corners[0] + corners[2]) / 2
        across, along = (float(np.hypot(*(b - a))) for a, b in pairwise(corners[:3]))
        # The heading is from the middle to that of the first side, as in the data's toolbox; y points down.
        heading = (corners[0] + corners[1]) / 2 - center
        if not heading.any():
            continue
        names.append(name)
        yaw = float(np.arctan2(heading[1], heading[0]))
        boxes.append([*center, -heights.mean(), along, across, float(np.ptp(heights)), yaw])
    return names, np.array(boxes, np.float64).reshape(-1, 7)


def classes_of_outlines(path: Path, size: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """The class of each pixel among `DSS19` by the outlines of `annotation2Dfinal`, -1 where there is none of these."""
    from PIL import Image, ImageDraw

    text = read_json(path)
    names = [
        _clean(item.get("name")) if isinstance(item, dict) else "" for item in _listed(text.get("objects"))
    ]
    frame = next(iter(_listed(text.get("frames"))), None)
    outlines = []
    for polygon in _listed(frame.get("polygon")) if isinstance(frame, dict) else ():
        if not isinstance(polygon, dict) or not isinstance(which := polygon.get("object"), int):
            continue
        x, y = _numbers(polygon.get("x")), _numbers(polygon.get("y"))
        if 3 <= len(x) == len(y) and 0 <= which < len(names):
            area = abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2
            outlines.append((area, names[which], np.stack([x, y], axis=1) - 1))  # pixels count from 1 there
    image = Image.new("I", size, 0)
    draw = ImageDraw.Draw(image)
    for _, name, corners in sorted(outlines, key=lambda outline: -outline[0]):
        number = DSS19.id(name) + 1 if name in DSS19.names else 0
        limited = np.clip(corners, -_LARGEST, _LARGEST)
        draw.polygon([tuple(corner) for corner in limited.tolist()], fill=number)
    return np.asarray(image).astype(np.int64) - 1


def read_json(path: Path) -> dict[str, Any]:
    """An annotation; names that end in a backslash are mended. `UserError` in a line for what is no JSON even so."""
    text = _text(path)
    problem = ""
    for content in (text, _ENDS_IN_BACKSLASH.sub(r'\1"\2', text)):
        try:
            found = json.loads(content, strict=False)
        except (ValueError, RecursionError) as error:
            problem = " ".join(str(error).split())[:120]
            continue
        if isinstance(found, dict):
            return found
        problem = "no object"
    raise UserError(f"{path}: is no annotation ({problem}); copy the file again")


def metres_of(path: Path, stored: np.ndarray) -> np.ndarray:
    """(h, w) float32 of the numbers that are stored; 0 is unknown."""
    if stored.dtype.kind not in "iu" or stored.min() < 0 or stored.max() >= 1 << 16:
        raise UserError(
            f"{path}: holds {stored.dtype}, must be 16-bit millimetres turned by three bits; copy it again"
        )
    turned = stored.astype(np.uint16)
    return (((turned >> 3) | (turned << 13)) / np.float32(1000)).astype(np.float32)


def read_pose(intrinsics: Path, extrinsics: Path, size: tuple[int, int]) -> Camera:
    """The camera in the origin of a world with z up."""
    matrix = _matrix(intrinsics, (9,)).reshape(3, 3) - np.array([[0, 0, 1], [0, 0, 1], [0, 0, 0]])
    turn = _matrix(extrinsics, (9, 12)).reshape(3, -1)[:, :3]
    left, _, right = np.linalg.svd(turn)
    if not np.allclose(left @ right, turn, atol=0.02) or np.linalg.det(turn) < 0:
        raise UserError(f"{extrinsics}: holds no rotation; copy the file again")
    pose = LEVEL.copy()
    pose[:3, :3] = LEVEL[:3, :3] @ left @ right
    try:
        return Camera(matrix, pose, size)
    except ValueError as error:
        raise UserError(f"{intrinsics}: holds no camera ({str(error)[:120]}); copy the file again") from error


def _matrix(path: Path, counts: tuple[int, ...]) -> Float64[np.ndarray, "n"]:
    text = _text(path)
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        values = np.zeros(0)
    if len(values) not in counts or not (np.abs(values) < _LARGEST).all():
        wanted = " or ".join(map(str, counts))
        raise UserError(f"{path}: must hold {wanted} numbers; copy the file again")
    return values


def _file(folder: Path, places: Iterable[str], ends: tuple[str, ...]) -> Path:
    """The last file of the first place that has one; where none has, the name of the place, which cannot be read."""
    places = tuple(places)
    for place in places:
        try:
            found = sorted(p for p in (folder / place).iterdir() if p.suffix.lower() in ends)
        except OSError:
            continue
        if found:
            return found[-1]
    return folder / places[-1]


def _listed(value: Any) -> list[Any]:
    """JSON of MATLAB's writers has a single item in place of a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _numbers(value: Any) -> Float64[np.ndarray, "n"]:
    """None where it holds anything but finite numbers of a size that can be."""
    items = _listed(value)
    is_number = all(isinstance(item, int | float) and abs(item) < _LARGEST for item in items)
    return np.array(items if is_number else [], np.float64)


def _clean(name: Any) -> str:
    """`chair:truncated` → chair, `wall\\` → wall."""
    return name.split(":")[0].strip(' _\\"') if isinstance(name, str) else ""


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_TEXT:
            raise UserError(f"{path}: is too long for what it should hold; copy the file again")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); copy it again") from error


def unreadable_frames(data: OfficialSunRGBD) -> Iterator[str]:
    """What is wrong with cameras and annotations, a line each."""
    for name in data.names:
        files = data.files(name)
        try:
            read_pose(files["intrinsics"], files["extrinsics"], (1, 1))
            for kind, read in (("annotation3Dfinal", boxes_of_annotation), ("annotation2Dfinal", read_json)):
                if kind in files:
                    read(files[kind])
        except UserError as error:
            yield str(error)
