"""A folder of labelled clouds: labels beside the clouds, in the PLY, or wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.data.check import check
from gestalt3d.data.folder import INSTANCE_PROPERTIES, SEMANTIC_PROPERTIES, Folder, separated
from gestalt3d.engine.survey import expect_labels, survey
from gestalt3d.errors import UserError
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.synth.table_tops import make_table_top

N = 6
XYZ = np.arange(3 * N, dtype=np.float32).reshape(N, 3) / 10


def write_ply(path: Path, xyz: np.ndarray = XYZ, **properties: np.ndarray) -> None:
    """Binary PLY with extra vertex properties."""
    types = {"f4": "float", "u1": "uchar", "i4": "int", "u4": "uint"}
    fields = [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        *((k, v.dtype.newbyteorder("<")) for k, v in properties.items()),
    ]
    table = np.empty(len(xyz), dtype=fields)
    for i, axis in enumerate("xyz"):
        table[axis] = xyz[:, i]
    for name, values in properties.items():
        table[name] = values
    lines = [f"property {types[np.dtype(t).str[1:]]} {name}" for name, t in fields]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(xyz)}",
        *lines,
        "end_header",
        "",
    ]
    path.write_bytes("\n".join(header).encode() + table.tobytes())


def write_gt(path: Path, **changes: np.ndarray | None) -> None:
    arrays: dict[str, np.ndarray | None] = {
        "semantic": np.array([0, 0, 1, 1, 2, -1], dtype=np.int32),
        "instance": np.array([7, 7, 3, 3, 3, -1], dtype=np.int32),
        "class_names": np.array(["wall", "chair", "lamp"]),
        "structure": np.array([True, False, False]),
    } | changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})  # pyright: ignore[reportArgumentType]


def test_labels_beside_a_cloud(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply")
    write_gt(tmp_path / "a.gt.npz")
    data = Folder(tmp_path)
    scan = data[0]
    assert data.names == ["a"] and data.vocabulary.names == ("wall", "chair", "lamp")
    assert data.vocabulary.structure == {"wall"}
    assert scan.truth.to_labels().tolist() == [1, 1, 0, 0, 0, -1]  # numbered in order of their ids
    assert [scan.truth.class_name(i) for i in range(2)] == ["chair", "wall"]  # by majority
    assert scan.truth.element_classes is not None
    assert scan.truth.element_classes.tolist() == [0, 0, 1, 1, 2, -1]
    assert np.array_equal(scan.input.points.numpy(), XYZ)


def test_the_vocabulary_is_one_for_all_files(tmp_path: Path) -> None:
    for name in "ab":
        write_ply(tmp_path / f"{name}.ply")
    write_gt(tmp_path / "a.gt.npz", structure=None)
    write_gt(tmp_path / "b.gt.npz", class_names=np.array(["sofa", "wall", "chair"]), structure=None)
    data = Folder(tmp_path)
    assert data.vocabulary.names == ("wall", "chair", "lamp", "sofa") and data.vocabulary.structure == {
        "wall"
    }
    semantic = data[1].truth.element_classes
    assert semantic is not None and semantic.tolist() == [3, 3, 0, 0, 1, -1]
    mapped = Folder(tmp_path, vocabulary=S3DIS)[1].truth
    assert mapped.vocabulary == S3DIS and [mapped.class_name(i) for i in range(2)] == ["wall", "sofa"]


def test_scans_without_instance_labels_are_listed(tmp_path: Path) -> None:
    for name in "abc":
        write_ply(tmp_path / f"{name}.ply")
    write_gt(tmp_path / "a.gt.npz")
    write_gt(tmp_path / "b.gt.npz", instance=np.full(N, -1, dtype=np.int32))
    data = Folder(tmp_path)
    assert data.names == ["a", "b"] and data.without_instances() == ["b"] and data.unlabelled == ["c.ply"]
    assert len(data[1].truth) == 0 and data[1].truth.element_classes is not None
    report = check("folder", tmp_path)
    assert report.is_complete and [c.found for c in report.counts] == [2, 1, 3, 1, 1, 0]
    assert len(Folder(tmp_path, limit=1)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"semantic": None}, "has no 'semantic'"),
        ({"instance": None}, "has no 'instance'"),
        ({"class_names": None}, "has no 'class_names'"),
        ({"instance": np.zeros(N + 1, dtype=np.int32)}, "instance must be integers"),
        ({"instance": np.zeros(N)}, "instance must be integers"),
        ({"semantic": np.full(N, 3)}, r"semantic must lie in \[-1, 3\)"),
        ({"semantic": np.full(N, -2)}, r"semantic must lie in \[-1, 3\)"),
        ({"class_names": np.array(["a", "a", "b"])}, "different strings"),
        ({"class_names": np.array([{"x": 1}] * 3, dtype=object)}, "class_names cannot be read"),
        ({"structure": np.array([True])}, r"structure must be \(3,\)"),
        ({"semantic": np.zeros(100_000, dtype=np.int64)}, "more than its cloud can need"),
    ],
)
def test_wrong_labels_are_one_line_that_names_the_file(tmp_path: Path, changes: dict, message: str) -> None:
    write_ply(tmp_path / "a.ply")
    write_gt(tmp_path / "a.gt.npz", **changes)
    with pytest.raises(UserError, match=message) as error:
        Folder(tmp_path)[0]
    assert "a.gt.npz" in str(error.value) and "\n" not in str(error.value)


def test_junk_beside_a_cloud_is_one_line(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply")
    (tmp_path / "a.gt.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(UserError, match=r"a\.gt\.npz: not a readable"):
        Folder(tmp_path)


@pytest.mark.parametrize("prefix", ["", "scalar_"])
def test_labels_in_the_ply(tmp_path: Path, prefix: str) -> None:
    semantic = np.array([4, 4, 9, 9, 0, np.nan], dtype=np.float32)
    write_ply(
        tmp_path / "a.ply",
        **{f"{prefix}label": semantic, f"{prefix}object_id": np.arange(N, dtype=np.uint32) // 2},
    )
    data = Folder(tmp_path)
    assert data.vocabulary.names == ("0", "4", "9")
    found = data[0].truth
    assert found.element_classes is not None and found.element_classes.tolist() == [1, 1, 2, 2, 0, -1]
    assert found.sizes.tolist() == [2, 2, 2] and found.classes.tolist() == [1, 2, 0]


@pytest.mark.parametrize("kind", ["txt", "json list", "json table"])
def test_class_names_beside_the_clouds(tmp_path: Path, kind: str) -> None:
    write_ply(tmp_path / "a.ply", semantic=np.array([0, 1, 2, 2, 7, 255], dtype=np.uint8))
    names = ["floor", "chair", "lamp"]
    if kind == "txt":
        (tmp_path / "classes.txt").write_text("\n".join(names))
    else:
        listed = names if kind == "json list" else {str(i): name for i, name in enumerate(names)}
        (tmp_path / "classes.json").write_text(json.dumps(listed))
    data = Folder(tmp_path)
    found = data[0].truth
    assert data.vocabulary.names == tuple(names) and data.vocabulary.structure == {"floor"}
    assert found.element_classes is not None and found.element_classes.tolist() == [0, 1, 2, 2, -1, -1]
    assert data.without_instances() == ["a"] and len(data.notes) == 1 and "[7]" in data.notes[0]


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("semantic_id", "instance_id"),
        ("sem_label", "ins_label"),
        ("category", "object_id"),
        ("class_id", "inst_id"),
        ("segment", "instance"),
        ("semanticLabel", "instanceLabel"),
        ("scalar_Label", "scalar_Object"),
    ],
)
def test_labels_are_read_under_their_usual_names(tmp_path: Path, kind: str, thing: str) -> None:
    values = np.array([0, 0, 1, 1, 2, -1], dtype=np.int32)
    write_ply(
        tmp_path / "a.ply", **{kind: values, thing: np.where(values < 0, values, values + 5).astype(np.int32)}
    )
    found = Folder(tmp_path)[0].truth
    assert found.vocabulary.names == ("0", "1", "2")
    assert found.sizes.tolist() == [2, 2, 1] and found.classes.tolist() == [0, 1, 2]


NONE = np.full(N, -1, dtype=np.int32)
SOME = np.array([0, 0, 1, 1, 2, 2], dtype=np.int32)


@pytest.mark.parametrize(
    ("labels", "lacking"),
    [
        ({"instance_id": SOME}, "classes"),
        ({"semantic_id": SOME}, "instances"),
        ({"semantic_id": NONE, "instance_id": NONE}, "classes"),
        ({"semantic_id": SOME, "instance_id": NONE}, "instances"),
    ],
)
def test_labels_that_teach_nothing_are_a_problem_and_stop_a_training(
    tmp_path: Path, labels: dict[str, np.ndarray], lacking: str
) -> None:
    write_ply(tmp_path / "a.ply", **labels)
    problems = check("folder", tmp_path).problems
    assert any(("has a class" if lacking == "classes" else "instance labels") in p for p in problems)
    assert all("a.ply has the properties x, y, z" in p for p in problems)
    data = Folder(tmp_path)
    with pytest.raises(
        UserError, match=f"no {lacking} to learn from in 1 scan; a.ply has the properties x, y"
    ):
        expect_labels(data, survey(data, most=5), instances=True)
    if lacking == "instances":
        expect_labels(data, survey(data, most=5), instances=False)


def test_one_bad_file_does_not_hide_the_next(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", semantic=SOME, instance=SOME)
    write_ply(tmp_path / "b.ply", semantic=SOME, instance=SOME)
    (tmp_path / "b.ply").write_bytes((tmp_path / "b.ply").read_bytes()[:-20])
    write_ply(tmp_path / "c.ply", semantic=np.linspace(0, 1, N, dtype=np.float32))
    write_ply(tmp_path / "d.ply", semantic=SOME, instance=SOME)
    (tmp_path / "e.ply").write_bytes((tmp_path / "d.ply").read_bytes()[:60])
    report = check("folder", tmp_path)
    named = [Path(problem.split(":")[0]).name for problem in report.problems]
    assert named == ["b.ply", "c.ply", "e.ply"] and report.counts[1].found == 2
    data = Folder(tmp_path)
    assert set(data.unreadable) == {"b", "c"} and len(data[3].truth) == 3
    with pytest.raises(UserError, match="fractions"):
        data[2]


def test_where_no_file_can_be_read_nothing_is_said_of_labels(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply")
    (tmp_path / "a.ply").write_bytes((tmp_path / "a.ply").read_bytes()[:60])
    with pytest.raises(UserError, match="cut off within its header"):
        Folder(tmp_path)
    write_gt(tmp_path / "a.gt.npz")
    assert [p for p in check("folder", tmp_path).problems if "cut off within its header" not in p] == []


def test_numbers_that_start_anew_in_every_class_are_told_apart(tmp_path: Path) -> None:
    kinds = np.repeat([0, 1, 1, 2], 50)  # a floor and two chairs and a table …
    numbers = np.repeat([0, 0, 1, 0], 50)  # … counted from 0 in each class
    kinds[0] = 2  # one mislabelled point makes no object
    xyz = np.random.default_rng(0).random((200, 3)).astype(np.float32)
    write_ply(tmp_path / "a.ply", xyz, semantic=kinds.astype(np.int32), instance=numbers.astype(np.int32))
    data = Folder(tmp_path)
    found = data[0].truth
    names = [found.class_name(i) for i in range(len(found))]
    assert sorted(zip(names, found.sizes.tolist(), strict=True)) == [
        ("0", 49),
        ("1", 50),
        ("1", 50),
        ("2", 51),
    ]
    assert [note for note in data.notes if "instance numbers 0 are used in several classes" in note]


def test_few_points_of_another_class_leave_an_instance_whole() -> None:
    kinds, numbers = np.repeat([0, 1], [500, 40]), np.zeros(540, dtype=np.int64)
    assert separated(kinds, numbers)[1] == []  # 40 are more than MIN_SHARED, and less than a tenth
    kinds[:] = np.where(np.arange(540) < 15, 1, -1)
    assert separated(kinds, numbers)[1] == []


def test_every_change_of_a_classs_name_is_said(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply")
    write_gt(tmp_path / "a.gt.npz", class_names=np.array(["wall", "desk", "gizmo"]))
    assert Folder(tmp_path).notes == []
    (note,) = Folder(tmp_path, vocabulary=S3DIS).notes
    assert note == "classes of the data under the names of s3dis: desk → table; gizmo → clutter"
    report = check("folder", tmp_path)
    assert "train asis-folder" in report.advice and "--class-agnostic" in report.advice
    assert ("desk", 1) in [(c.name, c.found) for c in report.counts]


def test_units_and_up_that_are_guessed_are_said(tmp_path: Path) -> None:
    table_top = make_table_top(0).input
    points = table_top.points.numpy()
    lying = np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1) * 1000
    for name, xyz in (("a", points), ("b", lying)):
        label = np.zeros(len(xyz), np.int32)
        write_ply(tmp_path / f"{name}.ply", xyz.astype(np.float32), semantic=label, instance=label)
    (note,) = check("folder", tmp_path).notes
    assert note.startswith("taken for: 1 in m with z up (a); 1 in mm with y up (b); ")


def test_classes_that_a_model_knows_are_measured_as_they_are(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply")
    write_gt(tmp_path / "a.gt.npz", class_names=np.array(["wall", "chair", "table"]))
    assert check("folder", tmp_path).advice.startswith("gestalt3d evaluate -m asis-rooms")


def test_fractions_are_no_labels(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", instance=np.linspace(0, 1, N, dtype=np.float32))
    with pytest.raises(UserError, match="fractions"):
        Folder(tmp_path)[0]


def test_points_that_are_not_finite_leave_with_their_labels(tmp_path: Path) -> None:
    xyz = XYZ.copy()
    xyz[2] = np.nan
    write_ply(tmp_path / "a.ply", xyz)
    write_gt(tmp_path / "a.gt.npz")
    scan = Folder(tmp_path)[0]
    assert len(scan.input) == N - 1 and scan.truth.to_labels().tolist() == [1, 1, 0, 0, -1]


def test_clouds_of_one_stem_keep_their_whole_names(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", instance=np.zeros(N, dtype=np.int32))
    np.savetxt(tmp_path / "a.xyz", XYZ)
    write_gt(tmp_path / "a.gt.npz")
    assert Folder(tmp_path).names == ["a.ply", "a.xyz"]


def test_a_folder_without_labels_says_what_to_do(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply")
    with pytest.raises(UserError, match=r"1 clouds and no labels; put <name>\.gt\.npz"):
        Folder(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        Folder(tmp_path / "nowhere")


def test_real_scans_and_shapes(shared: Path) -> None:
    data = Folder(shared / "data" / "scans")
    assert len(data) == 7 and data.without_instances() == ["scene0470_00"] and len(data.unlabelled) == 2
    counts = {"hallway_3": 12, "scene0000_00": 67, "osd_test50": 8, "scene0470_00": 0}
    assert {name: len(data[data.names.index(name)].truth) for name in counts} == counts
    shapes = Folder(shared / "data" / "shapes")
    assert [len(shapes[i].truth) for i in range(len(shapes))] == [35, 3, 23, 27, 11]


def test_the_names_of_label_properties_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "train.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*SEMANTIC_PROPERTIES, *INSTANCE_PROPERTIES))
