"""`segment` computes each thing once and hands it on, on a short way through the package."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
import torch

import gestalt3d
from gestalt3d.engine.model import load
from gestalt3d.engine.results import Kinds
from gestalt3d.engine.segment import Options, segment_files
from gestalt3d.io import Inputs, save_cloud
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.synth.table_tops import make_table_top
from tests.command import Command
from tests.io.test_inputs import TURNED, corner_of_a_room, plain, save_color, save_depth, save_matrix
from tests.scenes import tiny_scan

PACKAGE = Path(gestalt3d.__file__).parent
ONCE = (
    "io/frame.py place",
    "structures/pointcloud.py PointCloud._zero_and_usable",
    "engine/results.py Answer.labels",
    "ops/boxes.py oriented_boxes",
    "viewer/scene.py scene_of",
    "viewer/scene.py Room.best_viewpoint",
)
"""What every cloud needs, however it is segmented."""
MOST_FOLDERS = 8
"""Of those directly in `gestalt3d/`: cli, engine, io, methods, nn, ops, structures, viewer."""


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often each function of the package is called, "io/frame.py place", but for what imports run."""
    counted: Counter[str] = Counter()
    importing = 0

    def see(frame: FrameType, event: str, _: object) -> None:
        nonlocal importing
        code = frame.f_code
        if code.co_name == "<module>" and event in ("call", "return"):
            importing += 1 if event == "call" else -1
        elif event == "call" and not importing and code.co_filename.startswith(f"{PACKAGE}/"):
            counted[f"{Path(code.co_filename).relative_to(PACKAGE).as_posix()} {code.co_qualname}"] += 1

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted


def folders(counted: Counter[str]) -> set[str]:
    files = [Path(name.split()[0]) for name in counted]
    return {file.parts[0] for file in files if len(file.parts) > 1}


def segmented(capsys: pytest.CaptureFixture[str], file: Path, *words: object) -> Counter[str]:
    """Calls of `gestalt3d segment FILE`, which writes picture and page."""
    answers = []
    command = Command(capsys)
    counted = calls(lambda: answers.append(command("segment", file, "-o", file.parent / "out", *words)))
    assert answers[0].code == 0, answers[0].err
    kinds = ("instances.npz", "instances.json", "png", "html")
    assert all((file.parent / "out" / f"{file.stem}.{kind}").exists() for kind in kinds)
    return counted


@pytest.mark.slow
def test_a_room_is_segmented_on_a_short_way_without_detours(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the model that is taken where none is named."""
    save_cloud(tmp_path / "room.ply", tiny_scan(points=1500).input)
    counted = segmented(capsys, tmp_path / "room.ply")
    once = (*ONCE, "methods/superpoints.py _means", "structures/pointcloud.py PointCloud.extents")
    assert {name: counted[name] for name in once} == dict.fromkeys(once, 1)
    assert len(folders(counted)) <= MOST_FOLDERS, folders(counted)
    assert {"cli", "engine", "io", "methods", "nn", "ops", "structures", "viewer"} == folders(counted)


def test_a_table_top_is_measured_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its size chooses the model, the settings of the model, and the lengths in it."""
    save_cloud(tmp_path / "table.ply", make_table_top(0).input)
    counted = segmented(capsys, tmp_path / "table.ply")
    once = (*ONCE, "structures/pointcloud.py PointCloud.extents")
    assert {name: counted[name] for name in once} == dict.fromkeys(once, 1)
    assert len(folders(counted)) <= MOST_FOLDERS


def test_a_cloud_with_points_that_are_left_out_is_sorted_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cloud = tiny_scan(points=1500).input
    stray = torch.tensor([[torch.nan] * 3, [1e6, 0.0, 0.0]])
    save_cloud(tmp_path / "room.ply", PointCloud(torch.cat([cloud.points, stray])))
    counted = segmented(capsys, tmp_path / "room.ply", "-m", "geometric")
    assert {name: counted[name] for name in ONCE} == dict.fromkeys(ONCE, 1)


def test_an_image_with_depth_becomes_points_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = plain(tmp_path / "desk")
    counted = segmented(capsys, file, "-m", "geometric", "--up", "z")
    once = (
        "io/rgbd.py read_frame",
        "structures/pointcloud.py PointCloud._zero_and_usable",
        "engine/results.py Answer.labels",
        "viewer/scene.py scene_of",
    )
    assert {name: counted[name] for name in once} == dict.fromkeys(once, 1)
    assert counted["structures/view.py View._cloud"] == 1


@pytest.mark.parametrize("named", ["folder", "files"])
def test_a_folder_of_frames_is_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    scene = tmp_path / "scene"
    for i in range(4):
        save_color(scene / "color" / f"{i}.png")
        save_depth(scene / "depth" / f"{i}.png", corner_of_a_room())
        save_matrix(scene / "pose" / f"{i}.txt", TURNED)
    for name in ("one", "other"):
        plain(scene / name)
    listed: Counter[Path] = Counter()
    iterdir = Path.iterdir

    def see(folder: Path):
        listed[folder] += 1
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", see)
    files = [scene / "color" / f"{i}.png" for i in range(4)] + [scene / "one", scene / "other"]
    paths = [scene] if named == "folder" else files
    options = Options(kinds=Kinds(picture=False, page=False))
    outcome = segment_files(load("geometric"), paths, tmp_path / "out", options)
    assert outcome.done == files and not outcome.failed
    inside = {folder: n for folder, n in listed.items() if scene in (folder, *folder.parents)}
    assert set(inside) >= {scene, scene / "color", scene / "depth", scene / "pose", scene / "one"}
    assert set(inside.values()) == {1}, inside


def frames_are_read(folder: Path, frames: int, *, poses: bool) -> Counter[str]:
    for i in range(frames):
        save_color(folder / "color" / f"{i}.png")
        save_depth(folder / "depth" / f"{i}.png", corner_of_a_room())
        if poses:
            save_matrix(folder / "pose" / f"{i}.txt", TURNED)
    if not poses:
        pose = "\n".join(" ".join(map(str, row)) for row in TURNED)
        (folder / "trajectory.log").write_text("".join(f"{i} {i} {i + 1}\n{pose}\n" for i in range(frames)))
    inputs = Inputs()
    return calls(lambda: [inputs.read(found, up="z") for found in inputs.inside(folder)])


def test_twice_the_frames_have_twice_the_names_to_understand(tmp_path: Path) -> None:
    few, more, many = (
        frames_are_read(tmp_path / str(frames), frames, poses=True)["io/rgbd.py _words"]
        for frames in (2, 4, 6)
    )
    assert many - more == more - few > 0


def test_a_trajectory_is_read_once(tmp_path: Path) -> None:
    assert frames_are_read(tmp_path, 4, poses=False)["io/rgbd.py _numbers"] == 1


def test_what_inputs_remember_ends_with_them(tmp_path: Path) -> None:
    inputs = Inputs()
    assert inputs.inside(tmp_path) == []
    save_cloud(tmp_path / "late.ply", tiny_scan(points=50).input)
    assert inputs.inside(tmp_path) == []
    assert [found.path.name for found in Inputs().inside(tmp_path)] == ["late.ply"]
