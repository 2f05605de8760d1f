"""Whatever is wrong is said in one line that names it, with exit code 2; nothing half-done is left behind."""

import errno
import json
import os
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gestalt3d.engine import checkpoint
from gestalt3d.io import load_instances, save_cloud
from gestalt3d.structures.pointcloud import PointCloud
from tests.command import Answer, Command, save_weights
from tests.io.test_images import png
from tests.io.test_inputs import DAMAGED as DAMAGED_FRAMES
from tests.io.test_inputs import plain
from tests.scenes import tiny_scan


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    save_cloud(tmp_path / "good.ply", tiny_scan().input)
    return tmp_path / "good.ply"


def refused(answer: Answer, *names: object) -> None:
    """Exit code 2, and one line that holds all the names."""
    assert answer.code == 2, answer
    lines = answer.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("gestalt3d"), answer.err
    for name in names:
        assert str(name) in lines[0], lines[0]
    assert "wrote" not in answer.out


# --- files that are no scans ---


def ply_header(count: object, fmt: str = "binary_little_endian") -> bytes:
    lines = f"ply\nformat {fmt} 1.0\nelement vertex {count}\nproperty float x\nproperty float y\nproperty float z\n"
    return (lines + "end_header\n").encode()


JUNK = np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8).tobytes()
PCD = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {0}\nHEIGHT 1\nPOINTS {0}\nDATA binary\n"


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


DAMAGED: dict[str, bytes] = {
    "empty.ply": b"",
    "empty.laz": b"",
    "empty.glb": b"",
    "no_points.ply": ply_header(0),
    "not_finite.ply": ply_header(2, "ascii") + b"nan 0 0\n0 inf 0\n",
    "not_finite.xyz": b"nan 0 0\nnan 1 1\n",
    "truncated.ply": ply_header(100) + b"\0" * 600,
    "header_only.ply": ply_header(5)[:60],
    "lying.ply": ply_header(10**15) + b"\0" * 600,
    "negative.ply": ply_header(-5) + b"\0" * 60,
    "words.ply": ply_header("many") + b"\0" * 60,
    "truncated.pcd": PCD.format(1000).encode() + b"\0" * 60,
    "lying.pcd": PCD.format(10**15).encode() + b"\0" * 60,
    "lying.npy": npy((10**15, 3), b"\0" * 60),
    "pickled.npy": npy((3,), b"\0" * 60, "|O"),
    "truncated.npy": npy((1000, 3), b"\0" * 60),
    "truncated.las": b"LASF" + b"\0" * 100,
    "words.xyz": b"this is\nno table of numbers\n",
    "two_columns.csv": b"x,y\n1,2\n3,4\n",
    "faces_only.obj": b"f 1 2 3\n",
    **{f"junk{suffix}": JUNK for suffix in (
        ".ply", ".pcd", ".las", ".laz", ".xyz", ".csv", ".pts", ".npy", ".npz", ".obj", ".glb", ".stl", ".off",
        ".png", ".jpg", ".jpeg",
    )},
    "empty.png": b"",
    "lying.png": png(30_000, 30_000),
    "truncated.png": png(100, 100, data=bytes(30_100))[:-60],
    "scan.docx": JUNK,
    "scan": JUNK,
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_scan_is_refused(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(DAMAGED[name])
    refused(command("segment", tmp_path / name, "-m", "geometric", "-o", tmp_path / "out"), tmp_path / name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", DAMAGED_FRAMES)
def test_a_damaged_frame_is_refused(command: Command, tmp_path: Path, name: str) -> None:
    file, damage = DAMAGED_FRAMES[name]
    damage(plain(tmp_path / "desk") / file)
    refused(
        command("segment", tmp_path / "desk", "-m", "geometric", "-o", tmp_path / "out"), tmp_path / "desk"
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_file_and_an_empty_folder_are_refused(command: Command, tmp_path: Path) -> None:
    refused(command("segment", tmp_path / "no.ply", "-m", "geometric", "-o", tmp_path / "out"), "no.ply")
    refused(command("segment", tmp_path, "-m", "geometric", "-o", tmp_path / "out"), tmp_path, "no cloud")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_looks_like_a_scan_is_a_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "scan.ply").mkdir()
    refused(command("segment", tmp_path / "scan.ply", "-m", "geometric"), tmp_path / "scan.ply", "no cloud")


def test_in_a_batch_the_good_are_finished_and_the_bad_listed(
    command: Command, tmp_path: Path, scan: Path
) -> None:
    (tmp_path / "junk.ply").write_bytes(JUNK)
    out = tmp_path / "out"
    answer = command(
        "segment", tmp_path / "junk.ply", scan, tmp_path / "no.las", "-m", "geometric", "-o", out, "--json",
        tmp_path / "report.json",
    )  # fmt: skip
    assert answer.code == 2
    assert [p.name for p in sorted(out.glob("*.npz"))] == ["good.instances.npz"]
    bad = answer.err.splitlines()
    assert (
        len(bad) == 3 and "junk.ply" in bad[0] and "no.las" in bad[1] and "1 done, 2 could not be" in bad[2]
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert [Path(f["file"]).name for f in report["files"]] == ["good.ply"] and len(report["failed"]) == 2


# --- places where nothing can be written ---


def everything(folder: Path) -> dict[str, bytes]:
    """Files below a folder, the hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_result_folder_below_a_file_is_refused(command: Command, tmp_path: Path, scan: Path) -> None:
    out = scan / "below" / "out"
    refused(command("segment", scan, "-m", "geometric", "-o", out), out, "-o")


def test_a_result_folder_that_is_a_file_is_refused(command: Command, tmp_path: Path, scan: Path) -> None:
    before = scan.read_bytes()
    refused(command("segment", scan, "-m", "geometric", "-o", scan), scan, "-o")
    assert scan.read_bytes() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize("verb", ["segment", "demo", "synth"])
def test_a_read_only_place_is_refused(command: Command, scan: Path, verb: str) -> None:
    words = {"segment": [scan, "-m", "geometric"], "demo": ["-m", "geometric"], "synth": ["rooms", "-n", 1]}[
        verb
    ]
    refused(command(verb, *words, "-o", "/proc/out"), "/proc/out")


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes: the system's own refusal, in the middle of writing."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 1000, 50_000, 200_000])
def test_a_full_disk_leaves_what_was_there(
    command: Command, tmp_path: Path, scan: Path, full_disk: Callable[[int], None], limit: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "good.instances.npz").write_bytes(b"an older result")
    full_disk(limit)
    refused(command("segment", scan, "-m", "geometric", "-o", out, "--objects"), out)
    assert everything(out) == {"good.instances.npz": b"an older result"}


def test_a_disk_that_fills_up_at_the_last_file_leaves_nothing(
    command: Command, tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    refused(command("segment", scan, "-m", "geometric", "-o", tmp_path / "out"), "disk is full", "good")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_the_way_of_a_result_is_kept(command: Command, tmp_path: Path, scan: Path) -> None:
    (tmp_path / "out" / "good.png").mkdir(parents=True)
    refused(command("segment", scan, "-m", "geometric", "-o", tmp_path / "out"), "good.png", "in the way")
    assert everything(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "words",
    [
        ("segment", "scan.ply", "-m", "geometric"),
        ("evaluate", "-m", "geometric", "-d", "rooms:val"),
        ("score", "s3dis", "--gt", ".", "--pred", "."),
    ],
    ids=lambda words: words[0],
)
def test_a_report_that_cannot_be_written_is_refused_at_once(
    command: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    refused(command(*words, "--json", tmp_path / "no" / "report.json"), "--json", "report.json")


def test_ctrl_c_keeps_finished_files(
    command: Command, tmp_path: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gestalt3d.engine import results

    save = results.write_picture

    def interrupted(path: Path, *rest: Any, **options: Any) -> None:
        if "second" in path.name:
            signal.raise_signal(signal.SIGINT)
        save(path, *rest, **options)

    monkeypatch.setattr(results, "write_picture", interrupted)
    second, out = tmp_path / "second.ply", tmp_path / "out"
    second.write_bytes(scan.read_bytes())
    report = tmp_path / "report.json"
    answer = command("segment", scan, second, scan, "-m", "geometric", "-o", out, "--json", report)
    assert answer.code == 130 and "kept" in answer.err and "Traceback" not in answer.err
    names = ["good.html", "good.instances.json", "good.instances.npz", "good.instances.ply", "good.png"]
    assert list(everything(out)) == names
    assert [Path(f["file"]).name for f in json.loads(report.read_text())["files"]] == ["good.ply"]


# --- models ---


def about(path: Path) -> dict[str, Any]:
    return checkpoint.read(path).about


def rewritten(path: Path, source: Path, **changes: Any) -> None:
    """The source's tensors with other metadata."""
    stored = checkpoint.read(source)
    checkpoint.save(path, stored.tensors, {**stored.about, **changes})


def with_config(path: Path, source: Path, **settings: Any) -> None:
    rewritten(path, source, config={**about(source)["config"], **settings})


def broken_weights(path: Path, source: Path) -> None:
    stored = checkpoint.read(source)
    first = next(n for n, v in stored.tensors.items() if v.is_floating_point())
    checkpoint.save(path, {**stored.tensors, first: stored.tensors[first] * torch.nan}, stored.about)


def without_a_tensor(path: Path, source: Path) -> None:
    stored = checkpoint.read(source)
    checkpoint.save(path, dict(list(stored.tensors.items())[1:]), stored.about)


WEIGHTS: dict[str, Callable[[Path, Path], object]] = {
    "empty": lambda p, s: p.write_bytes(b""),
    "junk": lambda p, s: p.write_bytes(JUNK),
    "pickle": lambda p, s: torch.save({"a": torch.zeros(3)}, p),
    "truncated header": lambda p, s: p.write_bytes(s.read_bytes()[:100]),
    "truncated tensors": lambda p, s: p.write_bytes(s.read_bytes()[:-100]),
    "huge header": lambda p, s: p.write_bytes(struct.pack("<Q", 2**60) + s.read_bytes()[8:]),
    "folder": lambda p, s: p.mkdir(),
    "of another project": lambda p, s: save_file({"weight": torch.zeros(3)}, p),
    "metadata no JSON": lambda p, s: save_file({"weight": torch.zeros(3)}, p, metadata={"gestalt3d": "{"}),
    "metadata a list": lambda p, s: save_file({"weight": torch.zeros(3)}, p, metadata={"gestalt3d": "[]"}),
    "unknown method": lambda p, s: rewritten(p, s, method="mask-rcnn"),
    "another method": lambda p, s: rewritten(p, s, method="sgpn"),
    "a method without weights": lambda p, s: rewritten(p, s, method="components", config={}),
    "no config": lambda p, s: rewritten(p, s, config=None),
    "unknown setting": lambda p, s: with_config(p, s, depth=3),
    "setting of another type": lambda p, s: with_config(p, s, blocks={"points": "many"}),
    "a setting that is not a number": lambda p, s: with_config(p, s, bandwidth=float("nan")),
    "no class": lambda p, s: rewritten(
        p, s, vocabulary={"title": "x", "names": [], "official_ids": [], "structure": []}
    ),
    "a negative setting": lambda p, s: with_config(p, s, blocks={"stride": -1.0}),
    "no stride": lambda p, s: with_config(p, s, blocks={"stride": 0.0}),
    "no points": lambda p, s: with_config(p, s, blocks={"points": 0}),
    "more width than memory": lambda p, s: with_config(p, s, width=10**9),
    "another width": lambda p, s: with_config(p, s, width=32),
    "no vocabulary": lambda p, s: rewritten(p, s, vocabulary=None),
    "a class twice": lambda p, s: rewritten(p, s, vocabulary={**about(s)["vocabulary"], "names": ["a"] * 13}),
    "fewer classes": lambda p, s: rewritten(
        p, s, vocabulary={"title": "two", "names": ["a", "b"], "official_ids": [], "structure": []}
    ),
    "not finite": broken_weights,
    "a tensor missing": without_a_tensor,
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_do_not_fit_are_refused(
    command: Command, tmp_path: Path, weights: Path, scan: Path, case: str
) -> None:
    bad = tmp_path / "bad.safetensors"
    WEIGHTS[case](bad, weights)
    refused(command("segment", scan, "-m", bad, "-o", tmp_path / "out"), bad)
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_refused_with_the_known_ones(command: Command, scan: Path) -> None:
    refused(command("segment", scan, "-m", "asis-room"), "asis-room", "geometric-regions")
    refused(command("segment", scan, "-m", "no/such.safetensors"), "no/such.safetensors")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_cuda_is_refused_where_there_is_none(
    command: Command, tmp_path: Path, weights: Path, scan: Path
) -> None:
    for model in (weights, "geometric"):
        refused(command("segment", scan, "-m", model, "--device", "cuda"), "--device cuda", "--device cpu")
    refused(command("evaluate", "-m", weights, "--device", "cuda"), "--device cuda")
    refused(command("demo", "-m", weights, "--device", "cuda", "-o", tmp_path / "demo"), "--device cuda")


def test_an_unknown_device_is_refused(command: Command, scan: Path, weights: Path) -> None:
    refused(command("segment", scan, "-m", weights, "--device", "gpu"), "--device gpu")


# --- options ---


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--min-score", "1.5"], ["--min-score 1.5"]),
        (["--min-score", "-0.1"], ["--min-score -0.1"]),
        (["--min-score", "nan"], ["--min-score nan"]),
        (["--classes", "chair", "unicorn"], ["'unicorn'", "clutter"]),
        (["--seed", "-1"], ["seed -1"]),
    ],
    ids=lambda v: " ".join(v),
)
def test_options_out_of_range_are_refused(
    command: Command, tmp_path: Path, scan: Path, words: list[str], names: list[str]
) -> None:
    refused(command("segment", scan, "-m", "geometric", "-o", tmp_path / "out", *words), *names)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "a.ply", "--no-such"],
        ["segment", "a.ply", "--min-score", "high"],
        ["segment", "a.ply", "--units", "miles"],
        ["score", "scannet"],
        ["score", "kitti", "--gt", ".", "--pred", "."],
        ["data", "check"],
        ["view"],
        ["train", "asis-folder", "--optim.steps", "few"],
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_command_are_explained(command: Command, words: list[str]) -> None:
    answer = command(*words)
    assert answer.code == 2 and "--help" in answer.err and "Traceback" not in answer.err


# Processes keep the precision of their first training.
PLAIN = ["--optim.precision", "no"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["segmnt"], ["segmnt", "did you mean segment?"]),
        (["fly"], ["fly", "segment"]),
        (["segment"], ["scan.ply"]),
        (["demo", "-m", "geometric", "--seed", "-1"], ["--seed -1"]),
        (["evaluate", "-m", "geometric", "-d", "cellars"], ["cellars", "rooms"]),
        (["evaluate", "-m", "geometric", "-d", "rooms:attic"], ["attic", "val"]),
        (["evaluate", "-m", "geometric", "-d", "folder"], ["--root"]),
        (["evaluate", "-m", "geometric", "-d", "folder", "--root", "no/such"], ["no/such"]),
        (["evaluate", "-m", "geometric", "-d", "s3dis:area5", "--root", "no/such"], ["no/such"]),
        (["evaluate", "-m", "geometric", "-d", "scannet:val", "--root", "no/such"], ["no/such"]),
        (
            ["evaluate", "-m", "geometric", "-d", "scannet:dev", "--root", "no/such"],
            ["dev", "train, val, test"],
        ),
        (["evaluate", "-m", "geometric", "--limit", "0"], ["--limit 0"]),
        (
            ["evaluate", "-m", "geometric", "-d", "rooms:val", "--submission", "no/such"],
            ["no/such", "scannet:val"],
        ),
        (["score", "scannet", "--gt", "no/such", "--pred", "."], ["no/such"]),
        (["data", "check", "folder", "--root", "no/such"], ["no/such"]),
        (["synth", "rooms", "-n", "0"], ["-n 0"]),
        (["synth", "rooms", "--seed", "-4"], ["--seed -4"]),
        (["synth", "rooms", "--preset", "hard"], ["--preset hard", "toyboxes"]),
        (["synth", "parts", "--preset", "hard"], ["--preset hard", "parts have no presets"]),
        (["synth", "rooms", "--category", "chair"], ["--category chair", "synth parts"]),
        (["synth", "toyboxes", "--level", "2"], ["--level 2", "synth parts"]),
        (["synth", "toyboxes", "-n", "0"], ["-n 0"]),
        (["synth", "views", "-n", "0"], ["-n 0"]),
        (["synth", "views", "--level", "2"], ["--level 2", "synth parts"]),
        (["synth", "rooms", "--camera", "kinect-v1"], ["--camera kinect-v1", "synth views"]),
        (["synth", "photos", "--category", "car"], ["--category car", "synth objects"]),
        (["synth", "objects", "--camera", "kinect-v1"], ["--camera kinect-v1", "synth views"]),
        (["evaluate", "-m", "geometric", "-d", "objects:dev"], ["dev", "train, val, test, new-objects"]),
        (["evaluate", "-m", "geometric", "-d", "views:dev"], ["dev", "train, val, test"]),
        (["evaluate", "-m", "geometric", "-d", "views:val", "--poses", "2"], ["views:val", "--poses"]),
        (["evaluate", "-m", "geometric", "-d", "views:val", "--blocks"], ["views:val", "--blocks"]),
        (["train", "asis-folder", "--data", "views:train"], ["views:train", "asis", "Clouds"]),
        (["evaluate", "-m", "geometric", "-d", "toyboxes:dev"], ["dev", "train, val, test"]),
        (["view", "no/such.npz"], ["no/such.npz"]),
        (["bench", "no-such"], ["no-such", "segment"]),
        (["reproduce", "no-such"], ["no-such", "asis-table1"]),
        (["train", "no-such"], ["no-such", "asis-folder"]),
        (["train", "--optim.lr", "1"], ["RECIPE"]),
        (["train", "asis-folder", *PLAIN], ["--root"]),
        (["train", "asis-folder", *PLAIN, "--root", "no/such"], ["no/such"]),
        (
            ["train", "asis-folder", *PLAIN, "--root", ".", "--out", "no/such", "--resume"],
            ["no/such", "--resume"],
        ),
    ],
    ids=lambda v: " ".join(v),
)
def test_commands_that_cannot_be_done_are_refused(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(command(*words), *names)
    assert everything(tmp_path) == {}


def test_view_of_what_is_no_scan_is_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "letter.docx").write_bytes(JUNK)
    refused(command("view", tmp_path / "letter.docx", "--no-browser"), "letter.docx", ".ply")
    (tmp_path / "junk.npz").write_bytes(JUNK)
    refused(command("view", tmp_path / "junk.npz", "--no-browser"), "junk.npz")


# --- strange but welcome ---


def write_ply(path: Path, points: np.ndarray, colors: np.ndarray | None = None) -> Path:
    """Columns of any type, as they are."""
    words = {"f4": "float", "f8": "double", "u1": "uchar", "u2": "ushort"}
    columns = dict(zip("xyz", points.T, strict=True))
    if colors is not None:
        columns |= dict(zip(("red", "green", "blue"), colors.T, strict=True))
    table = np.empty(len(points), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        table[name] = column
    lines = [f"property {words[column.dtype.str[1:]]} {name}" for name, column in columns.items()]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(points)}",
        *lines,
        "end_header\n",
    ]
    path.write_bytes("\n".join(header).encode() + table.tobytes())
    return path


def welcome(name: str) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Points, colours, and what the note says, if any."""
    room = tiny_scan(points=1500).input
    points = room.points.numpy()
    assert room.colors is not None
    colors = (room.colors.numpy() * 255).astype(np.uint8)
    some_nan = points.copy()
    some_nan[::7] = np.nan
    cases: dict[str, tuple[np.ndarray, np.ndarray | None, str]] = {
        "georeferenced": (points.astype(np.float64) + np.array([4.5e5, 5.4e6, 310.0]), colors, ""),
        "16-bit colours": (points, (colors.astype(np.uint16) * 257), ""),
        "some NaN points": (some_nan, colors, "not finite"),
        "duplicate points": (np.repeat(points[:500], 3, axis=0), np.repeat(colors[:500], 3, axis=0), ""),
        "one point": (points[:1], colors[:1], ""),
        "two points": (points[:2], colors[:2], ""),
        "all points equal": (np.repeat(points[:1], 300, axis=0), np.repeat(colors[:1], 300, axis=0), ""),
        "no colour": (points, None, "no colour"),
        "a stray point": (np.vstack([points, [[5e3, 5e3, 5e3]]]).astype(np.float32), None, "no colour"),
        "a line of points": (points * np.float32([1, 0, 0]), colors, ""),
    }
    return cases[name]


@pytest.mark.parametrize("model", ["geometric", "geometric-regions", "asis"])
@pytest.mark.parametrize(
    "name",
    [
        "georeferenced", "16-bit colours", "some NaN points", "duplicate points", "one point", "two points",
        "all points equal", "no colour", "a stray point", "a line of points",
    ],
)  # fmt: skip
def test_strange_scans_are_segmented(
    command: Command, tmp_path: Path, weights: Path, name: str, model: str
) -> None:
    points, colors, note = welcome(name)
    write_ply(tmp_path / "scan.ply", points, colors)
    answer = command(
        "segment", tmp_path / "scan.ply", "-m", weights if model == "asis" else model, "-o", tmp_path / "out"
    )
    assert answer.code == 0, answer.err
    assert note in answer.out and ("NOTE" in answer.out or not note)
    found, cloud = load_instances(tmp_path / "out" / "scan.instances.npz")
    assert found.masks.size == len(points)
    finite = np.isfinite(points).all(1)
    assert (found.to_labels().numpy()[~finite] == -1).all()
    origin = np.zeros(3) if cloud.origin is None else cloud.origin.numpy()
    back = cloud.points.double().numpy() + origin
    np.testing.assert_allclose(back[finite], points[finite], atol=1e-3)


def test_a_folder_of_scans_is_segmented_by_name_and_results_in_it_are_left_alone(
    command: Command, tmp_path: Path, scan: Path
) -> None:
    cloud = tiny_scan(1, points=1000).input
    save_cloud(tmp_path / "another.npz", cloud)
    save_cloud(tmp_path / "good.xyz", cloud)
    for _ in range(2):
        answer = command("segment", tmp_path, "-m", "geometric", "-o", tmp_path, "--no-page", "--no-picture")
        assert answer.code == 0, answer.err
    found = sorted(p.name for p in tmp_path.glob("*.instances.npz"))
    assert found == ["another.instances.npz", "good-2.instances.npz", "good.instances.npz"]


def test_a_point_cloud_in_memory_without_finite_points_is_refused() -> None:
    from gestalt3d import UserError, load

    with pytest.raises(UserError, match="no finite point"):
        load("geometric").segment(PointCloud(torch.full((3, 3), torch.nan)))
