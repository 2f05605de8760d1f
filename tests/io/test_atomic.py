"""Complete files or none."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gestalt3d.errors import UserError
from gestalt3d.io import atomic_path


def test_the_file_appears_complete_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == path.parent and not path.exists()
        temporary.write_text("x")
    assert path.read_text() == "x" and [p.name for p in path.parent.iterdir()] == ["a.txt"]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("number", "cause"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")],
)
def test_the_cause_is_named(tmp_path: Path, number: int, cause: str) -> None:
    with pytest.raises(UserError, match=cause), atomic_path(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(UserError, match="folder"), atomic_path(tmp_path / "a.txt"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not a folder"), atomic_path(tmp_path / "file" / "a.txt"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file size are POSIX")
def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit of the file size stands in for the disk."""
    code = f"""
import resource, torch, pathlib
from gestalt3d.errors import UserError
from gestalt3d.io import save_cloud, save_instances
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
cloud = PointCloud(torch.rand(20000, 3))
labels, classes = torch.arange(20000) // 20, torch.zeros(1000, dtype=torch.int64)
found = Instances.from_labels(labels, classes, vocabulary=S3DIS)
folder = pathlib.Path({str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
suffixes = (".npz", ".ply", ".json", ".las", ".laz")
jobs = [lambda s=s: save_instances(folder / ("a" + s), found, cloud) for s in suffixes]
jobs += [lambda s=s: save_cloud(folder / ("b" + s), cloud) for s in (".npz", ".npy", ".ply", ".xyz")]
for job in jobs:
    try:
        job()
    except UserError as error:
        assert "cannot be written" in str(error), error
    else:
        raise SystemExit("written in spite of the limit")
    assert not list(folder.iterdir()), list(folder.iterdir())
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
