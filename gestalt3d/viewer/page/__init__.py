"""One self-contained web page of a scene: no network, no library, the layers inside.

`payload` says how layers become bytes. The content security policy names the hash of the page's script and so allows no other,
whatever a name contains. The script's parts stand beside this file, one noun each; in the page they are one function.
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
from typing import Any

import numpy as np

from gestalt3d.io.atomic import atomic_path
from gestalt3d.io.given import InputLike, expect_path
from gestalt3d.io.names import readable
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.viewer.page.payload import Packed, packed, rounded
from gestalt3d.viewer.palette import NOTHING, class_colors, instance_colors, score_colors
from gestalt3d.viewer.scene import Room, Scene, scene_from, scene_of
from gestalt3d.viewer.viewpoint import TAN_HALF_FOV

MAX_POINTS = 1_000_000
SCRIPT = (
    "state",
    "payload",
    "points",
    "space",
    "camera",
    "shaders",
    "graphics",
    "drawing",
    "lines",
    "ghosts",
    "photo",
    "frames",
    "colours",
    "choice",
    "card",
    "ruler",
    "layers",
    "panel",
    "heading",
    "hands",
    "start",
)
"""In the order in which they run."""


def save_page(
    path: str | Path,
    cloud: InputLike,
    instances: Instances,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    max_points: int = MAX_POINTS,
) -> None:
    """Write the page of a cloud or a view, called by `title` or else its file. A cloud above `max_points` is thinned out;
    instances stay and a note says so.
    """
    call = "save_page(path, cloud, instances)"
    expect_path(path, call=call)
    write_page(path, scene_from(cloud, instances, call=call), title=title, notes=notes, max_points=max_points)


def write_page(
    path: str | Path,
    scene: Scene,
    *,
    title: str = "",
    notes: Sequence[str] = (),
    max_points: int = MAX_POINTS,
) -> None:
    """`save_page` of a scene that is there already."""
    page = page_of(scene, title=title or Path(path).stem, notes=notes, max_points=max_points)
    with atomic_path(path) as target:
        target.write_text(page, encoding="utf-8", newline="\n")


def page_html(
    cloud: PointCloud | View,
    instances: Instances,
    *,
    title: str,
    notes: Sequence[str] = (),
    max_points: int = MAX_POINTS,
) -> str:
    """The page as text."""
    return page_of(scene_of(cloud, instances), title=title, notes=notes, max_points=max_points)


def page_of(scene: Scene, *, title: str, notes: Sequence[str] = (), max_points: int = MAX_POINTS) -> str:
    """The page of a scene as text."""
    title = readable(title)
    scene = scene.thinned(max_points)
    layers = [packed(layer) for layer in scene.layers]
    about = {
        "title": title,
        "notes": _without_repetition([*scene.notes, *notes]),
        "elements": scene.instances.masks.size,
        "layers": [layer.about for layer in layers],
        "room": None if scene.room is None else _room(scene.room),
        **_tables(scene),
    }
    folder = resources.files("gestalt3d.viewer.page")
    style = _terse((folder / "page.css").read_text(encoding="utf-8"))
    script = _script([_terse((folder / f"{part}.js").read_text(encoding="utf-8")) for part in SCRIPT])
    parts = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        "title": html.escape(title),
        "css": style,
        "js": script,
        "about": _json(about),
        "planes": _text(layers),
    }
    template = _terse((folder / "page.html").read_text(encoding="utf-8"))
    # One pass: what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _script(parts: Sequence[str]) -> str:
    return "".join(['"use strict";\n(() => {\n', *parts, "})();\n"])


def _terse(code: str) -> str:
    """Without indentation and comments that begin with `//` after a blank: every page carries the code."""
    lines = (re.sub(r"(^|\s+)// .*", "", line.strip()) for line in code.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def _text(layers: Sequence[Packed]) -> str:
    data = b"".join(layer.data for layer in layers)
    return base64.b64encode(zlib.compress(data, 4)).decode()


def _without_repetition(notes: Sequence[str]) -> list[str]:
    """Each note once, and none that another one begins with."""
    notes = list(dict.fromkeys(notes))
    return [note for note in notes if not any(other != note and other.startswith(note) for other in notes)]


def _room(room: Room) -> dict[str, Any]:
    viewpoint = room.best_viewpoint
    return {
        "bounds": rounded(room.bounds, 5),
        "extent": rounded(room.extent, 5),
        "origin": room.origin.tolist(),
        "beside": rounded(room.beside, 4),
        "places": None if room.places is None else rounded(room.places.ravel(), 4),
        "unit": room.unit,
        "view": {"azimuth": viewpoint.azimuth, "elevation": viewpoint.elevation},
    }


def _tables(scene: Scene) -> dict[str, Any]:
    instances, vocabulary = scene.instances, scene.instances.vocabulary
    colors, structure = class_colors(vocabulary).tolist(), vocabulary.is_structure.tolist()
    names = zip(vocabulary.names, colors, structure, strict=True)
    amodal, scan, photo = instances.amodal_boxes, scene.scan, scene.photo
    if scan is not None:
        classes = scan.classes
    elif photo is not None:  # what belongs to nothing stays the photo, and is no class to be hidden
        classes = instances.classes.cpu().numpy()[photo.labels[photo.labels >= 0]]
    else:
        classes = np.zeros(0, dtype=np.int64)
    return {
        "method": instances.method,
        "hasColor": scan is None or scan.colors is not None,
        "tanHalfFov": TAN_HALF_FOV,
        "classes": [{"name": n, "color": c, "structure": s} for n, c, s in names],
        "classPoints": np.bincount(classes % (len(vocabulary) + 1), minlength=len(vocabulary) + 1).tolist(),
        "unknownColor": list(NOTHING),
        "ramp": score_colors(np.linspace(0, 1, 65)).ravel().tolist(),
        "instances": {
            "class": instances.classes.tolist(),
            "score": rounded(instances.scores.cpu().numpy(), 4),
            "points": instances.sizes.tolist(),
            "color": instance_colors(len(instances)).ravel().tolist(),
            "boxes": None if scene.room is None else rounded(scene.room.boxes.ravel(), 4),
            "whole": None if instances.whole is None else instances.whole.sizes.tolist(),
            "amodal": None if amodal is None else rounded(amodal.cpu().numpy().ravel(), 4),
        },
    }


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
