"""The files of a result, by what was segmented: all of them or none, beside what lies there."""

import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Int

from gestalt3d.errors import UserError
from gestalt3d.io import save_instances, save_objects, save_shapes
from gestalt3d.io.surfaces import with_surfaces
from gestalt3d.io.whole_masks import save_whole_masks
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.viewer.page import write_page
from gestalt3d.viewer.palette import instance_colors
from gestalt3d.viewer.picture import write_picture
from gestalt3d.viewer.scene import Scene, scene_of


@dataclass(frozen=True)
class Kinds:
    """Which files to write besides those with the instances."""

    picture: bool = True
    page: bool = True
    objects: bool = False
    """One PLY per object with its points, and of whole shapes that are surfaces a GLB."""


ALL = Kinds()
"""Without the objects apart."""


@dataclass(frozen=True)
class Answer:
    """What was segmented, what was found in it, and what to tell about it."""

    name: str
    given: PointCloud | View
    found: Instances
    notes: tuple[str, ...] = ()

    @cached_property
    def labels(self) -> Int[torch.Tensor, "n"]:
        """The instance of every element, -1 for none."""
        return self.found.to_labels()

    @cached_property
    def scene(self) -> Scene:
        """For picture and page."""
        return scene_of(self.given, self.drawn, labels=self.labels)

    @cached_property
    def drawn(self) -> Instances:
        """`found`, with the surfaces around whole objects of voxels."""
        return with_surfaces(self.found)


def write_results(out: Path, answer: Answer, kinds: Kinds) -> tuple[Path, ...]:
    """Write what `result_names` names and, of a method that completes objects, `name`.whole.json with their masks in a photo
    and the folder `name`.shapes: all of it or nothing.
    """
    files = _files(answer.name, answer.given, kinds)
    if isinstance(answer.given, View) and answer.found.whole is not None:
        files[f"{answer.name}.whole.json"] = "results", _write_whole_masks
    if answer.found.shapes:
        files[f"{answer.name}.shapes"] = "shapes", _write_all_shapes if kinds.objects else _write_shapes
    with _all_or_none(out) as folder:
        for name in counted(list(files)):
            kind, write = files[name]
            with stage(kind):
                write(folder / name, answer)
    return tuple(out / name for name in files)


def result_names(name: str, given: PointCloud | View, kinds: Kinds) -> list[str]:
    """`name`.instances.npz and .json, of a cloud .instances.ply (LAS stays LAS), of a view .instances.png and, where it has
    points, .ply, and what `kinds` asks for; one of `.objects` is a folder.
    """
    return list(_files(name, given, kinds))


_Write = Callable[[Path, Answer], None]


def _files(name: str, given: PointCloud | View, kinds: Kinds) -> dict[str, tuple[str, _Write]]:
    """Each file with its stage and who writes it."""
    has_points = isinstance(given, PointCloud) or (given.camera is not None and bool(given.seen.any()))
    if isinstance(given, View):
        own = (".png", ".ply") if has_points else (".png",)
    elif given.source is not None and given.source.kind == "las":
        own = (given.source.path.suffix.lower(),)
    else:
        own = (".ply",)
    files = {f"{name}.instances{suffix}": ("results", _write_instances) for suffix in (".npz", *own, ".json")}
    if kinds.picture:
        files[f"{name}.png"] = "picture", _write_picture
    if kinds.page:
        files[f"{name}.html"] = "page", _write_page
    if kinds.objects and has_points:
        files[f"{name}.objects"] = "objects", _write_objects
    return files


def expect_free(out: Path, names: Iterable[str]) -> None:
    """A file does not replace a folder, nor a folder a file."""
    for target in map(out.joinpath, names):
        if target.exists() and target.is_dir() != (target.suffix in _FOLDERS):
            raise UserError(f"{target}: is in the way; remove it or name another folder with -o")


@contextmanager
def result_folder(out: Path) -> Generator[None]:
    """Make `out` and see that files can be made there; a folder that stays empty goes again."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        with _expect_writable(out):
            out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=out).close()
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _all_or_none(out: Path) -> Generator[Path]:
    """A hidden folder whose files move to `out` at the end, replacing namesakes, and vanish on failure."""
    with _expect_writable(out):
        out.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".", dir=out))
    try:
        with _expect_writable(out):
            yield hidden
            moves = [(file, out / file.name) for file in sorted(hidden.iterdir())]
            expect_free(out, (file.name for file, _ in moves))
            for file, target in moves:
                if target.is_dir():
                    target.rename(hidden / f"{file.name}.old")
                file.replace(target)
    except UserError as problem:
        raise UserError(str(problem).replace(str(hidden), str(out))) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def _expect_writable(out: Path) -> Generator[None]:
    try:
        yield
    except OSError as problem:
        raise UserError(
            f"{out}: cannot write there ({problem.strerror}); name another folder with -o"
        ) from None


def _write_instances(path: Path, answer: Answer) -> None:
    save_instances(path, answer.found, answer.given, labels=answer.labels)


def _write_whole_masks(path: Path, answer: Answer) -> None:
    assert isinstance(answer.given, View)
    save_whole_masks(path, answer.found, answer.given)


def _write_picture(path: Path, answer: Answer) -> None:
    write_picture(path, answer.scene, size=(1920, 960), panels=("rgb", "instance"))


def _write_page(path: Path, answer: Answer) -> None:
    write_page(path, answer.scene, title=answer.name, notes=answer.notes)


def _write_objects(path: Path, answer: Answer) -> None:
    path.mkdir()
    save_objects(path, answer.found, answer.given)


def _write_shapes(path: Path, answer: Answer) -> None:
    path.mkdir()
    save_shapes(path, answer.drawn)


def _write_all_shapes(path: Path, answer: Answer) -> None:
    path.mkdir()
    save_shapes(path, answer.drawn, glb_colors=instance_colors(len(answer.found)))


_FOLDERS = (".objects", ".shapes")
