"""One self-contained web page of a scan and its instances: no network, no library, the points inside.

Points lie on a grid of 65,536 steps a side and are stored byte plane by byte plane, in an order whose first
sixteenth, eighth, quarter and half are even samples with neighbours side by side, which deflate likes. The
content security policy names the hash of the page's script and so allows no other, whatever a name contains.

The script's parts stand beside this file, one noun each; in the page they are one function.
"""

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from torch import Tensor

from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.given import CloudLike, expect_path, instances_and_cloud
from gestalt3d.io.names import readable
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.viewer.coloring import base_colors
from gestalt3d.viewer.palette import NOTHING, class_colors, instance_colors, score_colors
from gestalt3d.viewer.scene import Scene, make_scene
from gestalt3d.viewer.viewpoint import TAN_HALF_FOV

MAX_POINTS = 1_000_000
SCRIPT = (
    "state",
    "points",
    "camera",
    "shaders",
    "drawing",
    "frames",
    "colours",
    "choice",
    "card",
    "ruler",
    "panel",
    "heading",
    "hands",
    "start",
)
"""In the order in which they run."""
_GRID = 65535
_LEVELS = 16


def save_page(
    path: str | Path,
    cloud: CloudLike,
    instances: Instances,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    max_points: int = MAX_POINTS,
) -> None:
    """Write the page, called by `title` or else its file. A cloud above `max_points` is thinned out; instances stay and
    a note says so.
    """
    call = "save_page(path, cloud, instances)"
    expect_path(path, call=call)
    instances, cloud = instances_and_cloud(instances, cloud, call=call)
    page = page_html(cloud, instances, title=title or Path(path).stem, notes=notes, max_points=max_points)
    with atomic_path(path) as target:
        target.write_text(page, encoding="utf-8", newline="\n")


def page_html(
    cloud: PointCloud,
    instances: Instances,
    *,
    title: str,
    notes: Sequence[str] = (),
    max_points: int = MAX_POINTS,
) -> str:
    """The page as text."""
    title = readable(title)
    scene = make_scene(cloud, instances, max_points=max_points)
    order, levels = _levels(scene.points, scene.bounds)
    planes, grid = _planes(scene, order)
    about = {
        "title": title,
        "notes": _without_repetition([*scene.notes, *notes]),
        "pointsInAll": len(cloud),
        "levels": levels,
        **grid,
        **_tables(scene, instances, cloud.origin),
    }
    folder = resources.files("gestalt3d.viewer.page")
    style = (folder / "page.css").read_text(encoding="utf-8")
    script = _script([(folder / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPT])
    parts = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        "title": html.escape(title),
        "css": style,
        "js": script,
        "about": _json(about),
        "planes": base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode(),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    # One pass: what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _script(parts: Sequence[str]) -> str:
    return "".join(['"use strict";\n(() => {\n', *parts, "})();\n"])


def _without_repetition(notes: Sequence[str]) -> list[str]:
    """Each note once, and none that another one begins with."""
    notes = list(dict.fromkeys(notes))
    return [note for note in notes if not any(other != note and other.startswith(note) for other in notes)]


def _levels(points: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """An order along a space-filling curve, dealt out, and the lengths of its evenly thinned prefixes."""
    extent = np.maximum(bounds[1] - bounds[0], 1e-6)
    curve = np.argsort(
        _morton((np.clip((points - bounds[0]) / extent, 0, 1) * 1023).astype(np.uint64)), kind="stable"
    )
    rank = np.arange(len(points)) % _LEVELS
    # Rank 0 first, then 8, then 4 and 12, then the other even ones, then the odd ones.
    level = np.select([rank == 0, rank % 8 == 0, rank % 4 == 0, rank % 2 == 0], [0, 1, 2, 3], 4)
    dealt = np.argsort(level, kind="stable")
    return curve[dealt], np.cumsum(np.bincount(level, minlength=5)).tolist()


def _morton(grid: np.ndarray) -> np.ndarray:
    """(n, 3) uint64 below 1024 → (n,) interleaved bits."""
    code = np.zeros(len(grid), dtype=np.uint64)
    for bit in range(10):
        for axis in range(3):
            code |= ((grid[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return code


def _planes(scene: Scene, order: np.ndarray) -> tuple[np.ndarray, dict[str, object]]:
    """(planes, n) uint8 in the order `points.js` reads them, and what it needs to undo the grid."""
    points = scene.points[order].astype(np.float64)
    low, high = points.min(0), points.max(0)
    unit = np.maximum(high - low, 1e-6) / _GRID
    grid = np.rint((points - low) / unit).astype(np.uint16)
    labels = (scene.labels[order] + 1).astype(np.uint32)
    label_bytes = 2 if len(labels) == 0 or labels.max() < 1 << 16 else 4
    classes = np.where(scene.classes < 0, len(scene.vocabulary), scene.classes)[order].astype(np.uint16)
    planes = [half for axis in range(3) for half in _bytes(grid[:, axis], 2)]
    planes += list(base_colors(scene)[order].T)
    planes += [scene.cutaway[order], *_bytes(classes, 2), *_bytes(labels, label_bytes)]
    about = {"points": len(points), "low": _rounded(low, 9), "unit": unit.tolist(), "labelBytes": label_bytes}
    return np.stack(planes), about


def _bytes(values: np.ndarray, count: int) -> list[np.ndarray]:
    return [((values >> (8 * k)) & 255).astype(np.uint8) for k in range(count)]


def _tables(scene: Scene, instances: Instances, origin: Tensor | None) -> dict[str, object]:
    vocabulary = instances.vocabulary
    colors, structure = class_colors(vocabulary).tolist(), vocabulary.is_structure.tolist()
    names = zip(vocabulary.names, colors, structure, strict=True)
    viewpoint = scene.best_viewpoint()
    amodal = instances.amodal_boxes
    return {
        "method": instances.method,
        "hasColor": scene.colors is not None,
        "spacing": max(scene.spacing, 1e-5),
        "bounds": _rounded(scene.bounds, 5),
        "extent": _rounded(scene.extent, 5),
        "origin": [0.0, 0.0, 0.0] if origin is None else origin.tolist(),
        "view": {"azimuth": viewpoint.azimuth, "elevation": viewpoint.elevation},
        "tanHalfFov": TAN_HALF_FOV,
        "classes": [{"name": n, "color": c, "structure": s} for n, c, s in names],
        "classPoints": np.bincount(
            scene.classes % (len(vocabulary) + 1), minlength=len(vocabulary) + 1
        ).tolist(),
        "unknownColor": list(NOTHING),
        "ramp": score_colors(np.linspace(0, 1, 65)).ravel().tolist(),
        "instances": {
            "class": instances.classes.tolist(),
            "score": _rounded(instances.scores.cpu().numpy(), 4),
            "points": instances.sizes.tolist(),
            "color": instance_colors(len(instances)).ravel().tolist(),
            "boxes": _rounded(scene.boxes.ravel(), 4),
            "amodal": None if amodal is None else _rounded(amodal.cpu().numpy().ravel(), 4),
        },
    }


def _rounded(values: np.ndarray, digits: int) -> list:
    """Nested lists with null for what is not finite, which JSON cannot say."""
    rounded = np.round(np.asarray(values, dtype=np.float64), digits)
    as_objects = rounded.astype(object)
    as_objects[~np.isfinite(rounded)] = None
    return as_objects.tolist()


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
