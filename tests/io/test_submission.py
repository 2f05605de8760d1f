"""What is handed in can be read back, is complete or not there, and stays in its folder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.io import Submission, submission
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS, SCANNET20


def overlapping() -> Instances:
    """A chair and a table that share a vertex, a wall, an instance without a class, one without points."""
    parts = [[0, 1, 2], [2, 3], [4, 5], [6], []]
    classes = [SCANNET20.id("chair"), SCANNET20.id("table"), SCANNET20.id("wall"), -1, SCANNET20.id("sofa")]
    return Instances(
        masks=Sets.from_sizes(
            torch.tensor([len(p) for p in parts]), torch.tensor([i for part in parts for i in part]), 8
        ),
        classes=torch.tensor(classes),
        scores=torch.tensor([0.25, 0.75, 1.0, 1.0, 1.0]),
        vocabulary=SCANNET20,
    )


def test_masks_may_overlap_and_only_the_benchmarks_classes_are_listed(tmp_path: Path) -> None:
    Submission(tmp_path / "out").add("scene0011_00", overlapping())
    folder = tmp_path / "out" / "instance"
    assert (folder / "scene0011_00.txt").read_text() == (
        "predicted_masks/scene0011_00_000.txt 5 0.25\npredicted_masks/scene0011_00_001.txt 7 0.75\n"
    )
    masks = [(folder / "predicted_masks" / f"scene0011_00_00{k}.txt").read_bytes() for k in range(2)]
    assert masks == [b"1\n1\n1\n0\n0\n0\n0\n0\n", b"0\n0\n1\n1\n0\n0\n0\n0\n"]
    assert len(list((folder / "predicted_masks").iterdir())) == 2
    assert (tmp_path / "out" / "semantic" / "scene0011_00.txt").read_text().split() == [*"557711", "0", "0"]


def test_classes_of_other_vocabularies_are_mapped(tmp_path: Path) -> None:
    names = ["bookcase", "clutter", "ceiling"]
    classes = torch.tensor([S3DIS.id(n) for n in names])
    found = Instances.from_labels(torch.tensor([0, 1, 2]), classes, vocabulary=S3DIS, element_classes=classes)
    Submission(tmp_path / "out").add("s", found)
    lines = (tmp_path / "out" / "instance" / "s.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["10", "39"]
    assert (tmp_path / "out" / "semantic" / "s.txt").read_text() == "10\n39\n0\n"


def test_a_scene_without_instances_has_an_empty_list(tmp_path: Path) -> None:
    Submission(tmp_path / "out").add("s", Instances.empty(3, SCANNET20))
    assert (tmp_path / "out" / "instance" / "s.txt").read_bytes() == b""
    assert (tmp_path / "out" / "semantic" / "s.txt").read_bytes() == b"0\n0\n0\n"


def test_truth_without_objects_is_of_classes_alone(tmp_path: Path) -> None:
    written = Submission(tmp_path / "out")
    written.add_truth("a", np.array([5, 0]), np.array([12, 0]))
    written.add_truth("b", np.array([5, 0]), np.array([0, 0]))
    assert (tmp_path / "out" / "gt-instance" / "a.txt").read_text() == "5012\n0\n"
    assert sorted(p.name for p in (tmp_path / "out" / "gt-semantic").iterdir()) == ["a.txt", "b.txt"]
    assert not (tmp_path / "out" / "gt-instance" / "b.txt").exists()


def test_what_fails_midway_leaves_nothing_of_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Submission(tmp_path / "out")
    written.add("good", overlapping())
    before = sorted(tmp_path.rglob("*"))
    write = submission._write

    def fail_at_the_list(path: Path, data: bytes) -> None:
        if path.name == "bad.txt":
            raise UserError(f"{path}: the disk is full")
        write(path, data)

    monkeypatch.setattr(submission, "_write", fail_at_the_list)
    with pytest.raises(UserError, match="disk is full"):
        written.add("bad", overlapping())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("scene", ["../s", "a/b", "/s", "", ".s", "a\\b", "a b", "a\nb", "x" * 200])
def test_no_scene_leaves_the_folder(tmp_path: Path, scene: str) -> None:
    written = Submission(tmp_path / "out")
    with pytest.raises(UserError, match="no scene can be called"):
        written.add(scene, overlapping())
    with pytest.raises(UserError, match="no scene can be called"):
        written.add_truth(scene, np.array([5]), np.array([1]))
    assert not list(tmp_path.iterdir())


def test_a_submission_goes_into_a_new_folder(tmp_path: Path) -> None:
    old = tmp_path / "old"
    (old / "instance").mkdir(parents=True)
    (old / "instance" / "predicted_masks").symlink_to(tmp_path, target_is_directory=True)
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (old, file):
        with pytest.raises(UserError, match="new folder"):
            Submission(folder)
    with pytest.raises(UserError, match="cannot be written there"):
        Submission(file / "below")
    assert file.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    Submission(tmp_path / "empty").add("s", overlapping())


def test_scores_must_be_numbers(tmp_path: Path) -> None:
    found = Instances.from_labels(
        torch.tensor([0]), torch.tensor([5]), torch.tensor([float("nan")]), vocabulary=SCANNET20
    )
    with pytest.raises(ValueError, match="finite"):
        Submission(tmp_path / "out").add("s", found)
    assert not (tmp_path / "out").exists()
