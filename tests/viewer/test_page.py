import base64
import dataclasses
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.engine.model import load
from gestalt3d.engine.segment import notes_on
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary
from gestalt3d.viewer import page_html, save_page
from tests.viewer.made_up_room import made_up_room


def about(page: str) -> dict:
    return json.loads(re.search(r'id="about">(.*?)</script>', page, re.S)[1])


def scan(page: str) -> dict:
    return about(page)["layers"][0]


def planes(page: str) -> np.ndarray:
    text = re.search(r'id="planes">(.*?)</script>', page, re.S)[1]
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(-1, scan(page)["rows"])


def points_of(page: str) -> np.ndarray:
    p, facts = planes(page).astype(np.int64), scan(page)
    grid = np.stack([p[2 * a] + 256 * p[2 * a + 1] for a in range(3)], axis=1)
    return np.array(facts["low"]) + grid * np.array(facts["unit"])


def test_a_page_is_one_file_that_asks_the_network_for_nothing(tmp_path) -> None:
    cloud, instances = made_up_room(2000)
    save_page(tmp_path / "new folder" / "room.html", cloud, instances, title="room", notes=("a note",))
    page = (tmp_path / "new folder" / "room.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", page)
    assert "fetch(" not in page and "import(" not in page and "@import" not in page
    assert "default-src 'none'" in page
    assert "a note" in about(page)["notes"]


def test_the_page_holds_all_points_to_the_step_of_the_grid() -> None:
    cloud, instances = made_up_room(3000)
    page = page_html(cloud, instances, title="room")
    ours, theirs = (np.sort(p, axis=0) for p in (points_of(page), cloud.points.numpy()))
    assert np.abs(ours - theirs).max() <= max(scan(page)["unit"]) / 2 + 1e-6


def test_labels_and_colours_travel_with_their_points() -> None:
    cloud, instances = made_up_room(1000)
    page = page_html(cloud, instances, title="room")
    bytes_of = planes(page).astype(np.int64)
    nearest = np.linalg.norm(points_of(page)[:, None] - cloud.points.numpy()[None], axis=2).argmin(1)
    np.testing.assert_array_equal(
        bytes_of[12] + 256 * bytes_of[13] - 1, instances.to_labels().numpy()[nearest]
    )
    np.testing.assert_allclose(bytes_of[6:9].T / 255, cloud.colors.numpy()[nearest], atol=0.003)


def test_prefixes_are_even_samples() -> None:
    cloud, instances = made_up_room(40_000)
    page = page_html(cloud, instances, title="room")
    levels, points = scan(page)["levels"], points_of(page)
    assert levels == [2500, 5000, 10_000, 20_000, 40_000]
    cells = (points // 0.75).astype(int) @ [10_000, 100, 1]
    wanted = np.bincount(np.unique(cells, return_inverse=True)[1]) / len(points)
    found = (
        np.bincount(np.unique(cells, return_inverse=True)[1][: levels[0]], minlength=len(wanted)) / levels[0]
    )
    assert np.abs(wanted - found).max() < 0.004


def test_names_cannot_become_code() -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{js}}"
    vocabulary = Vocabulary("evil", (evil,))
    cloud = PointCloud.from_arrays(np.zeros((2, 3), dtype=np.float32))
    instances = Instances.from_labels(
        torch.zeros(2, dtype=torch.int64), torch.tensor([0]), vocabulary=vocabulary
    )
    page = page_html(cloud, dataclasses.replace(instances, method=evil), title=evil, notes=(evil,))
    assert page.count("<script") == page.count("</script") == 3
    assert "<img" not in page
    assert about(page)["classes"][0]["name"] == about(page)["title"] == about(page)["notes"][-1] == evil


def test_more_points_than_a_page_takes_are_thinned_out_and_it_says_so() -> None:
    cloud, instances = made_up_room(20_000)
    page = page_html(cloud, instances, title="room", max_points=5000)
    assert 4900 <= scan(page)["rows"] <= 5000
    assert about(page)["elements"] == 20_000
    assert any("of 20,000 points" in note for note in about(page)["notes"])
    assert about(page)["instances"]["points"] == instances.sizes.tolist()


def test_a_missing_colour_is_said_once() -> None:
    cloud, instances = made_up_room(500, color=False)
    page = page_html(cloud, instances, title="room", notes=notes_on(cloud, load("geometric"), "geometric"))
    assert sum("colour" in note for note in about(page)["notes"]) == 1


def test_a_page_is_called_by_its_file(tmp_path: Path) -> None:
    cloud, instances = made_up_room(500)
    save_page(tmp_path / "office.html", cloud, instances)
    assert about((tmp_path / "office.html").read_text())["title"] == "office"


def test_many_instances_have_four_bytes() -> None:
    n = 65_600
    cloud = PointCloud.from_arrays(np.random.default_rng(0).random((n, 3)).astype(np.float32))
    few = Instances.from_labels(torch.arange(n), torch.zeros(n, dtype=torch.int64), vocabulary=S3DIS)
    few = dataclasses.replace(few, boxes=torch.rand(n, 7))
    page = page_html(cloud, few, title="many")
    p = planes(page).astype(np.int64)
    assert len(p) == 16
    assert sorted(p[12] + 256 * p[13] + 65536 * p[14]) == list(range(1, n + 1))


@pytest.mark.parametrize("box", [[1, 2, 3, 0.5, 0.5, 0.5, 0.3], [float("nan")] * 7])
def test_boxes_that_are_no_numbers_become_null(box) -> None:
    cloud = PointCloud.from_arrays(np.eye(3, dtype=np.float32))
    instances = Instances.from_labels(torch.tensor([0, 0, -1]), torch.tensor([1]), vocabulary=S3DIS)
    instances = dataclasses.replace(instances, boxes=torch.tensor([box]), amodal_boxes=torch.tensor([box]))
    tables = about(page_html(cloud, instances, title="x"))["instances"]
    assert tables["boxes"] == tables["amodal"]
    assert tables["boxes"] == ([None] * 7 if np.isnan(box[0]) else pytest.approx(box))
