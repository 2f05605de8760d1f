"""From files to files: read, segment, write all results of a file, and go on when one file is bad."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gestalt3d.engine.auto import why
from gestalt3d.engine.faults import in_one_line
from gestalt3d.engine.model import Model, class_ids
from gestalt3d.errors import UserError
from gestalt3d.io import (
    CLOUD_SUFFIXES,
    expect_writable,
    find_clouds,
    is_cloud_folder,
    load_cloud,
    save_instances,
    save_objects,
)
from gestalt3d.stages import Progress, Stage, counted, measure, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.viewer import save_page, save_picture


@dataclass(frozen=True)
class Options:
    """What `segment` may be asked for besides the input."""

    classes: tuple[str, ...] | None = None
    """Keep only instances of these classes."""
    min_score: float = 0.0
    """Keep only instances at least this sure."""
    units: str | None = None
    """Unit of the coordinates: m, cm, mm, ft, in. Guessed where unset."""
    up: str | None = None
    """Axis that points up: x, y, z, -x, -y, -z. Guessed where unset."""
    semantic: str | None = None
    """Property of the points that holds their classes, for models that take semantics."""
    objects: bool = False
    """Also write one PLY per object."""
    picture: bool = True
    page: bool = True


@dataclass(frozen=True)
class Result:
    """One segmented file."""

    source: Path
    cloud: PointCloud
    instances: Instances
    files: tuple[Path, ...]
    work: Stage
    """What took how long."""
    notes: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What became of a batch: the files done, and one line for each that could not be."""

    done: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def segment_files(
    model: Model,
    paths: Sequence[Path],
    out: Path,
    options: Options | None = None,
    *,
    on_start: Callable[[Path, int, int], None] | None = None,
    on_progress: Progress | None = None,
    on_result: Callable[[Result], None] | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> Outcome:
    """Segment files, and the clouds directly inside folders, into `out`; go on where one is bad.

    Results are named after the file; of two inputs with one name the second gets a number. Nothing of a
    failed file stays in `out`, and what lay there before stays as it was. `on_start` is told the file, its
    number from 1, and how many there are.
    """
    options = options or Options()
    class_ids(model.vocabulary, options.classes)
    if options.semantic is not None and not model.takes_semantics:
        raise UserError(f"--semantic {options.semantic}: {model.name} takes no semantics; drop it")
    outcome = Outcome()

    def fail(problem: UserError) -> None:
        outcome.failed.append(str(problem))
        if on_failure is not None:
            on_failure(str(problem))

    files = _expand(paths, fail)
    with result_folder(out):
        for number, (path, name) in enumerate(_named(files), 1):
            if on_start is not None:
                on_start(path, number, len(files))
            try:
                result = _segment_file(model, path, out, name, options, on_progress)
            except Exception as problem:
                fail(in_one_line(path, problem))
                continue
            outcome.done.append(path)
            if on_result is not None:
                on_result(result)
    return outcome


def _expand(paths: Sequence[Path], fail: Callable[[UserError], None]) -> list[Path]:
    """Files as given; folders as the clouds directly inside them, by name."""
    files: list[Path] = []
    for path in paths:
        try:
            files.extend(_inside(path) if path.is_dir() and not is_cloud_folder(path) else [path])
        except UserError as problem:
            fail(problem)
    return files


def _inside(folder: Path) -> list[Path]:
    try:
        found = find_clouds(folder)
    except OSError as problem:
        raise UserError(f"{folder}: cannot be listed ({problem.strerror}); check its permissions") from None
    if not found:
        raise UserError(f"{folder}: no cloud in this folder; put {' '.join(CLOUD_SUFFIXES)} files there")
    return found


def _named(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    """Each with a name that no other has, also where the disk does not tell capitals."""
    used: set[str] = set()
    for path in paths:
        name, number = path.stem, 2
        while name.lower() in used:
            name, number = f"{path.stem}-{number}", number + 1
        used.add(name.lower())
        yield path, name


def _segment_file(
    model: Model, path: Path, out: Path, name: str, options: Options, on_progress: Progress | None
) -> Result:
    with measure(on_progress) as work:
        with stage("read"):
            cloud = load_cloud(path, units=options.units, up=options.up, semantic=options.semantic)
            # Before the long part: what cannot be written need not be found.
            expect_writable(cloud)
            _expect_free(out, _result_names(name, cloud, options))
        found = model.segment(cloud, classes=options.classes, min_score=options.min_score)
        notes = notes_on(cloud, model)
        with stage("write"):
            files = write_results(out, name, cloud, found, options, notes)
    return Result(path, cloud, found, files, work, notes)


def notes_on(cloud: PointCloud, model: Model) -> tuple[str, ...]:
    """What was decided for the user about the cloud and the model that segments it."""
    notes = [] if cloud.source is None else list(cloud.source.notes)
    if cloud.colors is None:
        notes.append("no colour in the input: objects are told apart by shape alone")
    chosen = model.for_cloud(cloud)
    return (*notes, *([why(chosen)] if chosen is not model else []))


def write_results(
    out: Path, name: str, cloud: PointCloud, found: Instances, options: Options, notes: tuple[str, ...] = ()
) -> tuple[Path, ...]:
    """Write `name`.instances.{npz,ply,json} (LAS stays LAS), `name`.png, `name`.html: all of them or none."""
    names = _result_names(name, cloud, options)
    with _all_or_none(out) as folder:
        for path in counted([folder / name for name in names]):
            with stage(_KINDS.get(path.suffix, "results")):
                if path.suffix == ".png":
                    save_picture(path, cloud, found, size=(1920, 960), panels=("rgb", "instance"))
                elif path.suffix == ".html":
                    save_page(path, cloud, found, title=name, notes=notes)
                elif path.suffix == ".objects":
                    path.mkdir()
                    save_objects(path, found, cloud)
                else:
                    save_instances(path, found, cloud)
    return tuple(out / name for name in names)


_KINDS = {".png": "picture", ".html": "page", ".objects": "objects"}
"""Stages of writing, besides that of the results."""


def _result_names(name: str, cloud: PointCloud, options: Options) -> list[str]:
    """What `write_results` writes; one of `.objects` is a folder."""
    is_las = cloud.source is not None and cloud.source.kind == "las"
    cloud_suffix = cloud.source.path.suffix.lower() if is_las and cloud.source else ".ply"
    kinds = [".instances.npz", f".instances{cloud_suffix}", ".instances.json"]
    kinds += [".png"] * options.picture + [".html"] * options.page + [".objects"] * options.objects
    return [name + kind for kind in kinds]


def _expect_free(out: Path, names: Iterable[str]) -> None:
    """A file does not replace a folder, nor a folder a file."""
    for target in map(out.joinpath, names):
        if target.exists() and target.is_dir() != (target.suffix == ".objects"):
            raise UserError(f"{target}: is in the way; remove it or name another folder with -o")


@contextmanager
def result_folder(out: Path) -> Iterator[None]:
    """Make `out` and see that files can be made there; a folder that stays empty goes again."""
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        try:
            out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=out).close()
        except OSError as problem:
            raise UserError(
                f"{out}: cannot write there ({problem.strerror}); name another folder with -o"
            ) from None
        yield
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _all_or_none(out: Path) -> Iterator[Path]:
    """A hidden folder whose files move to `out` at the end, replacing namesakes, and vanish on failure."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=".", dir=out))
    except OSError as problem:
        raise UserError(
            f"{out}: cannot write there ({problem.strerror}); name another folder with -o"
        ) from None
    try:
        yield hidden
        moves = [(file, out / file.name) for file in sorted(hidden.iterdir())]
        _expect_free(out, (file.name for file in hidden.iterdir()))
        for file, target in moves:
            if target.is_dir():
                target.rename(hidden / f"{file.name}.old")
            file.replace(target)
    except UserError as problem:
        raise UserError(str(problem).replace(str(hidden), str(out))) from None
    except OSError as problem:
        raise UserError(
            f"{out}: cannot write there ({problem.strerror}); name another folder with -o"
        ) from None
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
