"""A few hundred vertices in the official format of ScanNet v2."""

import json
from pathlib import Path

import numpy as np

TABLE = """id\traw_category\tcategory\tcount\tnyu40id\teigen13id\r
1\twall\twall\t8277\t1\t12\r
2\toffice chair\tchair\t595\t5\t4\r
3\ttable\ttable\t1170\t7\t10\r
4\tblinds\tblinds\t20\t13\t13\r
5\tfloor\tfloor\t1553\t2\t5\r
"""

PARTS = {"floor": 300, "office chair": 150, "table": 120, "blinds": 110, "": 20}
"""Vertices of each part, in this order; the last ones belong to no object."""

VERTICES = sum(PARTS.values())
NAME = "scene0011_00"


def write_scene(root: Path, name: str = NAME, *, labelled: bool = True, seed: int = 0) -> Path:
    """`root/scans/<name>` with mesh, segments and aggregation; each part is two segments."""
    folder = root / "scans" / name
    folder.mkdir(parents=True)
    write_mesh(folder / f"{name}_vh_clean_2.ply", seed=seed)
    (folder / f"{name}.txt").write_text(
        "axisAlignment = 0 -1 0 2 1 0 0 3 0 0 1 -0.5 0 0 0 1 \nnumColorFrames = 10\n"
    )
    if labelled:
        segments, groups = _annotation()
        write_json(segments_file(folder), {"sceneId": name, "segIndices": segments})
        write_json(aggregation_file(folder), {"sceneId": f"scannet.{name}", "segGroups": groups})
    return folder


def write_table(root: Path, **splits: list[str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "scannetv2-labels.combined.tsv").write_text(TABLE, newline="")
    for split, names in splits.items():
        (root / f"scannetv2_{split}.txt").write_text("\n".join(names) + "\n")
    return root


def segments_file(folder: Path) -> Path:
    return folder / f"{folder.name}_vh_clean_2.0.010000.segs.json"


def aggregation_file(folder: Path) -> Path:
    return folder / f"{folder.name}.aggregation.json"


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def write_mesh(path: Path, *, seed: int = 0, label: np.ndarray | None = None) -> None:
    """Boxes that stand apart, with alpha and one face, as the official files have."""
    rng = np.random.default_rng(seed)
    corner = np.repeat(
        [[0, 0, 0], [0, 0, 0.5], [2, 0, 0.5], [0, 2, 0.5], [3, 3, 1]], [*PARTS.values()], axis=0
    )
    size = np.repeat(
        [[4, 4, 0], [0.5, 0.5, 0.9], [1, 1, 0.1], [0.1, 1, 1], [1, 1, 1]], [*PARTS.values()], axis=0
    )
    types = [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("red", "u1"),
        ("green", "u1"),
        ("blue", "u1"),
        ("alpha", "u1"),
    ]
    table = np.zeros(VERTICES, [*types, *[("label", "<u2")] * (label is not None)])
    for axis, values in zip("xyz", (corner + size * rng.random((VERTICES, 3))).T, strict=True):
        table[axis] = values
    for channel in ("red", "green", "blue", "alpha"):
        table[channel] = rng.integers(0, 256, VERTICES)
    if label is not None:
        table["label"] = label
    names = {"<f4": "float", "u1": "uchar", "|u1": "uchar", "<u2": "ushort"}
    head = [
        "ply",
        "format binary_little_endian 1.0",
        "comment VCGLIB generated",
        f"element vertex {VERTICES}",
    ]
    head += [f"property {names[table.dtype[n].str]} {n}" for n in table.dtype.names or ()]
    head += ["element face 1", "property list uchar int vertex_indices", "end_header\n"]
    face = b"\x03" + np.array([0, 1, 2], dtype="<i4").tobytes()
    path.write_bytes("\n".join(head).encode() + table.tobytes() + face)


def _annotation() -> tuple[list[int], list[dict[str, object]]]:
    """Segment of each vertex, and the objects: numbers of segments are far apart, as the official ones are."""
    segments: list[int] = []
    groups: list[dict[str, object]] = []
    for part, (word, count) in enumerate(PARTS.items()):
        first, second = 1000 * part + 7, 90000 + part
        segments += [first] * (count // 2) + [second] * (count - count // 2)
        if word:
            groups.append({"id": part, "objectId": part, "segments": [second, first], "label": word})
    return segments, groups
