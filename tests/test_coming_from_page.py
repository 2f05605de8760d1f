"""The snippets of docs/coming-from.md turn other projects' files into a labelled folder."""

import re
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.data import open_data
from gestalt3d.structures.samples import Scan
from tests.scenes import tiny_scan

PAGE = Path(__file__).parents[1] / "docs" / "coming-from.md"


def snippet(word: str) -> str:
    found = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return next(code for code in found if word in code)


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    return tiny_scan(points=2000)


def columns(scan: Scan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert scan.input.colors is not None
    colors = (scan.input.colors.numpy() * 255).astype(np.uint8)
    return scan.input.points.numpy(), colors, scan.truth.to_labels().numpy()


def test_scenes_of_pointcept_are_a_labelled_folder(scan: Scan) -> None:
    points, colors, instance = columns(scan)
    scene = Path("data/s3dis/Area_5/office_1")
    scene.mkdir(parents=True)
    semantic = np.where(instance >= 0, 8, -1)  # all are chairs
    arrays = {"coord": points, "color": colors, "segment": semantic[:, None], "instance": instance[:, None]}
    for name, values in arrays.items():
        np.save(scene / f"{name}.npy", values)
    names = re.search(r"^```\n(ceiling\n.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert names is not None
    (scene.parent / "classes.txt").write_text(names[1], encoding="utf-8")
    (brought,) = list(open_data("folder", root=scene.parent))
    np.testing.assert_array_equal(brought.input.points.numpy(), points)
    assert brought.input.colors is not None
    np.testing.assert_allclose(brought.input.colors.numpy() * 255, colors, atol=1e-3)
    assert len(brought.truth) == len(np.unique(instance[instance >= 0]))
    assert {brought.truth.class_name(i) for i in range(len(brought.truth))} == {"chair"}


def test_files_of_mmdetection3d_become_a_labelled_folder(scan: Scan) -> None:
    points, colors, instance = columns(scan)
    semantic = np.where(instance == 0, 7, np.where(instance > 0, 5, 0))
    for folder, values in (
        ("points", np.column_stack([points, colors]).astype(np.float32)),
        ("semantic_mask", semantic.astype(np.int64)),
        ("instance_mask", (instance + 1).astype(np.int64)),
    ):
        Path(folder).mkdir()
        values.tofile(f"{folder}/scene0000_00.bin")
    exec(snippet("semantic_mask"), {})
    (brought,) = list(open_data("folder", root=Path("mine")))
    assert brought.input.colors is not None
    np.testing.assert_allclose(brought.input.colors.numpy() * 255, colors, atol=1e-3)
    found = brought.truth.to_labels().numpy()
    np.testing.assert_array_equal(found >= 0, instance >= 0)
    names = [brought.truth.class_name(i) for i in range(len(brought.truth))]
    assert sorted(names) == ["chair"] * (len(names) - 1) + ["table"]
