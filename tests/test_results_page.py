"""The snippets of docs/results.md run from top to bottom, each library where it is installed."""

import ast
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gestalt3d.io.ply import write_ply
from gestalt3d.structures.instances import BOX
from tests.scenes import tiny_scan

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@dataclass
class Box:
    """What Open3D's oriented box is made of."""

    center: np.ndarray
    R: np.ndarray
    extent: np.ndarray

    def holds(self, points: np.ndarray) -> bool:
        return bool((np.abs((points - self.center) @ self.R) <= self.extent / 2 + 1e-4).all())


def doubles(values: np.ndarray) -> np.ndarray:
    """Open3D copies (n, 3) doubles and is slow or wrong with others."""
    assert values.shape[1:] == (3,) and values.dtype == np.float64
    return values


def open3d_stand_in(drawn: list[Any]) -> SimpleNamespace:
    """The part of Open3D that the page uses; the library itself is too large to be installed for a test."""
    return SimpleNamespace(
        geometry=SimpleNamespace(PointCloud=SimpleNamespace, OrientedBoundingBox=Box),
        utility=SimpleNamespace(Vector3dVector=doubles),
        visualization=SimpleNamespace(draw_geometries=drawn.extend),
    )


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is left after all snippets have run beside a small mesh called office.ply."""
    pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("docs")
    cloud = tiny_scan(points=3000).input
    assert cloud.colors is not None
    columns = dict(zip("xyz", cloud.points.numpy().T, strict=True))
    columns |= dict(
        zip(("red", "green", "blue"), (cloud.colors.numpy() * 255).astype(np.uint8).T, strict=True)
    )
    with (folder / "office.ply").open("wb") as file:
        write_ply(file, columns)
        corners = np.arange(len(cloud) - 2, dtype="<i4")[:, None] + np.arange(3, dtype="<i4")
        rows = np.rec.fromarrays(
            [np.full(len(corners), 3, np.uint8), corners], dtype=[("n", "u1"), ("v", "<i4", 3)]
        )
        file.write(rows.tobytes())
    data = (folder / "office.ply").read_bytes()
    faces = f"element face {len(corners)}\nproperty list uchar int vertex_indices\nend_header\n"
    (folder / "office.ply").write_bytes(data.replace(b"end_header\n", faces.encode(), 1))
    drawn: list[Any] = []
    names: dict[str, Any] = {"drawn": drawn, "folder": folder}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(sys.modules, "open3d", open3d_stand_in(drawn))
        for snippet in SNIPPETS:
            # The model that needs no weights: the page is about what comes out, whatever the model.
            exec(compile(snippet.replace('"asis-rooms"', '"geometric"'), str(PAGE), "exec"), names)
    return names


def test_the_page_has_a_snippet_for_each_library() -> None:
    code = "\n".join(SNIPPETS)
    imported = {a.name for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Import) for a in n.names}
    assert {"numpy", "gestalt3d", "open3d", "trimesh", "json"} <= imported and "to_dataframe" in code


def test_labels_masks_and_table_say_the_same(after: dict[str, Any]) -> None:
    found, labels, table = after["found"], after["labels"], after["table"]
    assert len(found) >= 3 and list(table.columns) == ["id", "class", "score", "points", *BOX]
    assert table["points"].tolist() == [int(found.mask(i).sum()) for i in range(len(found))]
    assert set(np.unique(labels)) <= {-1, *range(len(found))}
    np.testing.assert_array_equal(np.sort(after["first"]), np.flatnonzero(found.mask(0)))
    assert after["name"] == found.class_name(0)
    assert {"office.instances.csv", "office.instances.json"} <= {p.name for p in after["folder"].iterdir()}
    np.testing.assert_allclose(after["as_in_the_file"], after["scan"].points.numpy(), atol=1e-6)


def test_boxes_for_open3d_hold_their_points(after: dict[str, Any]) -> None:
    cloud, *boxes = after["drawn"]
    assert len(boxes) == len(after["found"]) and len(cloud.colors) == len(cloud.points)
    assert all(box.holds(cloud.points[after["found"].mask(i)]) for i, box in enumerate(boxes))
    assert (cloud.colors[after["labels"] < 0] == 0.6).all()


def test_boxes_and_part_of_the_mesh_for_trimesh(after: dict[str, Any]) -> None:
    bounds = [solid.bounds for solid in after["solids"].geometry.values()]
    for (low, high), box in zip(bounds, after["drawn"][1:], strict=True):
        np.testing.assert_allclose((low + high) / 2, box.center, atol=1e-5)
    part = after["trimesh"].load(after["folder"] / "first.ply", process=False)
    assert len(part.faces) == int(after["inside"].sum()) > 0


def test_coco_gives_the_masks_back(after: dict[str, Any]) -> None:
    coco = json.loads((after["folder"] / "office.coco.json").read_text(encoding="utf-8"))
    names = {c["id"]: c["name"] for c in coco["categories"]}
    for i, entry in enumerate(coco["annotations"]):
        counts = entry["segmentation"]["counts"]
        mask = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        np.testing.assert_array_equal(mask, after["found"].mask(i))
        assert entry["area"] == mask.sum() and names[entry["category_id"]] == after["found"].class_name(i)
