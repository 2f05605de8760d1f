"""S3DIS from annotated text and from npy, on folders the tests write and on a real room if there is one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data.check import check
from gestalt3d.data.s3dis import ROOMS, S3DIS, official_rooms
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import S3DIS as CLASSES
from gestalt3d.structures.vocabulary import SYNTH


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))


def write_room(root: Path, area: str, room: str, files: dict[str, str]) -> Path:
    folder = root / area / room / "Annotations"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="latin-1")
    return folder


CHAIR = "-22.5 7.25 0.5 10 20 30\n-22.25 7.5 1.0 255 0 1\n"
FLOOR = "-21.0 6.125 0.0 1 2 3\n"


def test_files_are_instances_and_their_names_the_classes(tmp_path: Path) -> None:
    write_room(
        tmp_path, "Area_5", "office_1", {"chair_1.txt": CHAIR, "floor_1.txt": FLOOR, "stairs_1.txt": FLOOR}
    )
    scan = S3DIS(tmp_path, "area5")[0]
    found = scan.truth
    assert scan.name == "Area_5_office_1" and found.vocabulary == CLASSES
    assert [found.class_name(i) for i in range(len(found))] == ["chair", "floor", "clutter"]
    assert found.sizes.tolist() == [2, 1, 1]
    assert found.element_classes is not None and found.element_classes.tolist() == [8, 8, 1, 12]
    assert scan.input.colors is not None
    assert torch.equal((scan.input.colors * 255).round()[1], torch.tensor([255.0, 0, 1]))


def test_world_coordinates_are_points_plus_origin(tmp_path: Path) -> None:
    write_room(tmp_path, "Area_5", "office_1", {"chair_1.txt": CHAIR})
    cloud = S3DIS(tmp_path)[0].input
    assert cloud.origin is not None
    world = cloud.points.double() + cloud.origin
    assert world.tolist() == [[-22.5, 7.25, 0.5], [-22.25, 7.5, 1.0]]
    assert bool((cloud.points >= 0).all())


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("1.5 2.5 3.5 18\x105 187 4", [1.5, 2.5, 3.5, 185, 187, 4]),  # inside a number
        ("1.5 2.5 3.5 185\x10187 4", [1.5, 2.5, 3.5, 185, 187, 4]),  # instead of a space
        ("1.5 2.\xe95 3.5 185 187 4", [1.5, 2.5, 3.5, 185, 187, 4]),  # not ASCII
    ],
)
def test_a_stray_byte_is_mended_and_noted(tmp_path: Path, line: str, read: list[float]) -> None:
    write_room(tmp_path, "Area_5", "hallway_6", {"ceiling_1.txt": f"1 2 3 4 5 6\n{line}\n7 8 9 10 11 12\n"})
    data = S3DIS(tmp_path)
    cloud = data[0].input
    assert cloud.origin is not None and cloud.colors is not None
    row = torch.cat([cloud.points[1].double() + cloud.origin, (cloud.colors[1] * 255).round().double()])
    assert len(cloud) == 3 and row.tolist() == read
    assert len(data.notes) == 1 and "ceiling_1.txt, line 2" in data.notes[0]
    assert any("known bad line" in note for note in check("s3dis", tmp_path).notes)


@pytest.mark.parametrize("line", ["1 2 3 4 5", "1 2 3 4 5 6 7", "1 2 3 4 five 6", "1 2 3 4 5 nan"])
def test_what_cannot_be_mended_is_one_line_with_file_and_line_number(tmp_path: Path, line: str) -> None:
    write_room(tmp_path, "Area_1", "office_1", {"wall_1.txt": f"1 2 3 4 5 6\n{line}\n"})
    with pytest.raises(UserError, match=r"wall_1\.txt, line 2") as error:
        S3DIS(tmp_path)[0]
    assert "\n" not in str(error.value)


def test_two_wrong_lines_that_add_up_are_still_wrong(tmp_path: Path) -> None:
    write_room(tmp_path, "Area_1", "office_1", {"wall_1.txt": "1.5 2.5 3 4 5\n1.5 2.5 3.5 4 5 6 7\n"})
    with pytest.raises(UserError, match="line 1"):
        S3DIS(tmp_path)[0]


def test_npy_and_text_give_the_same_scan(tmp_path: Path) -> None:
    files = {"chair_1.txt": CHAIR, "floor_1.txt": FLOOR}
    write_room(tmp_path / "text", "Area_2", "office_1", files)
    rows = [[*map(float, line.split())] for text in files.values() for line in text.splitlines()]
    table = np.c_[np.array(rows), [8, 8, 1], [17, 17, 300]]
    (tmp_path / "npy").mkdir()
    np.save(tmp_path / "npy" / "Area_2_office_1.npy", table.astype(np.float32))
    a, b = S3DIS(tmp_path / "text")[0], S3DIS(tmp_path / "npy")[0]
    assert a.name == b.name and torch.equal(a.input.points, b.input.points)
    assert (
        a.input.colors is not None
        and b.input.colors is not None
        and torch.equal(a.input.colors, b.input.colors)
    )
    assert torch.equal(a.truth.to_labels(), b.truth.to_labels())
    assert torch.equal(a.truth.classes, b.truth.classes)


@pytest.mark.parametrize("table", [np.zeros((4, 6)), np.zeros((0, 8)), np.full((4, 8), 13.0)])
def test_a_wrong_npy_is_one_line(tmp_path: Path, table: np.ndarray) -> None:
    np.save(tmp_path / "Area_2_office_1.npy", table)
    with pytest.raises(UserError, match=r"Area_2_office_1\.npy"):
        S3DIS(tmp_path)[0]


def test_a_pickled_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "Area_2_office_1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"Area_2_office_1\.npy"):
        S3DIS(tmp_path)[0]


def test_splits_choose_areas_and_limit_cuts(tmp_path: Path) -> None:
    for area in ("Area_1", "Area_5", "Area_6"):
        write_room(tmp_path / "deeper", area, "office_1", {"floor_1.txt": FLOOR})
    names = ["Area_1_office_1", "Area_5_office_1", "Area_6_office_1"]
    assert S3DIS(tmp_path, "all").names == names
    assert S3DIS(tmp_path, "area5").names == names[1:2]
    assert S3DIS(tmp_path, "not5").names == [names[0], names[2]]
    assert len(S3DIS(tmp_path, "all", limit=2)) == 2
    with pytest.raises(UserError, match="no rooms of area2"):
        S3DIS(tmp_path, "area2")
    with pytest.raises(UserError, match="area1"):
        S3DIS(tmp_path, "area7")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    folder = write_room(tmp_path, "Area_5", "office_1", {"chair_1.txt": CHAIR})
    data = S3DIS(tmp_path)
    assert len(data[0].input) == 2
    (folder / "chair_1.txt").write_text(CHAIR + FLOOR)
    assert len(data[0].input) == 3


def test_classes_can_be_mapped(tmp_path: Path) -> None:
    write_room(tmp_path, "Area_5", "office_1", {"chair_1.txt": CHAIR, "board_1.txt": FLOOR})
    found = S3DIS(tmp_path, vocabulary=SYNTH)[0].truth
    assert [found.class_name(i) for i in range(2)] == ["board", "chair"]


def test_the_official_list_has_272_rooms() -> None:
    assert [len(official_rooms(area)) for area in ROOMS] == [44, 40, 23, 49, 68, 48]


def test_check_counts_rooms_and_names_what_is_missing(tmp_path: Path) -> None:
    write_room(
        tmp_path, "Area_3", "office_1", {"floor_1.txt": FLOOR, "stairs_1.txt": FLOOR, "wall_1.txt": ""}
    )
    report = check("s3dis", tmp_path)
    assert not report.is_complete
    assert {c.name: (c.found, c.expected) for c in report.counts}["Area_3"] == (1, 23)
    assert any("Area_3: 22 of 23 rooms are missing" in p for p in report.problems)
    assert any("wall_1.txt" in p for p in report.problems) and any("stairs_1.txt" in n for n in report.notes)
    with pytest.raises(UserError, match="not a folder"):
        check("s3dis", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"s3dis, scannet, .*folder"):
        check("kitti", tmp_path)


def test_the_real_hallway(shared: Path) -> None:
    scan = S3DIS(shared / "data" / "s3dis", "area3")[0]
    assert scan.name == "Area_3_hallway_3" and len(scan.input) == 175_075 and len(scan.truth) == 12
    names = sorted(scan.truth.class_name(i) for i in range(12))
    assert names == ["ceiling"] * 2 + ["clutter"] * 3 + ["door"] * 3 + ["floor"] + ["wall"] * 3
    listed = set((shared / "data" / "s3dis" / "meta" / "anno_paths.txt").read_text().split())
    assert listed == {f"{area}/{room}/Annotations" for area in ROOMS for room in official_rooms(area)}
