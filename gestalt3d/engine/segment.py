"""From files to files: read, segment, write every result beside each other, and go on when one file is bad."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gestalt3d.engine.model import Model
from gestalt3d.errors import UserError
from gestalt3d.io import CLOUD_SUFFIXES, find_clouds, load_cloud, save_instances, save_objects
from gestalt3d.stages import Progress, measure, stage
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
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What became of a batch: the files done, and one line for each that could not be."""

    done: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as given; folders as the clouds directly inside them, by name. `UserError` for a folder without any."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in CLOUD_SUFFIXES and not _is_ours(p))
        if not inside:
            raise UserError(f"{path}: no cloud in this folder; known are {' '.join(sorted(CLOUD_SUFFIXES))}")
        files.extend(inside)
    return files


def _is_ours(path: Path) -> bool:
    """Results and label files that lie beside scans."""
    return path.name.endswith((".gt.npz", ".instances.npz", ".instances.ply", ".instances.las", ".instances.laz"))


def segment_files(
    model: Model,
    paths: Sequence[Path],
    out: Path,
    options: Options | None = None,
    *,
    on_progress: Progress | None = None,
    on_result: Callable[[Result], None] | None = None,
    on_failure: Callable[[str], None] | None = None,
) -> Outcome:
    """Segment every file into `out`. A bad file is listed in the outcome and the others are finished.

    Results are named after the file; two inputs of the same name get a number. Nothing of a failed file stays in `out`.
    """
    outcome = Outcome()
    for path, name in _named(expand(paths)):
        try:
            result = _segment_file(model, path, out, name, options or Options(), on_progress)
        except UserError as problem:
            outcome.failed.append(str(problem))
            if on_failure is not None:
                on_failure(str(problem))
            continue
        if on_result is not None:
            on_result(result)
        outcome.done.append(path)
    return outcome


def _named(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    seen: dict[str, int] = {}
    for path in paths:
        count = seen[path.stem] = seen.get(path.stem, 0) + 1
        yield path, path.stem if count == 1 else f"{path.stem}-{count}"


def _segment_file(model: Model, path: Path, out: Path, name: str, options: Options, on_progress: Progress | None) -> Result:
    with measure(on_progress) as stages:
        with stage("read"):
            cloud = load_cloud(path, units=options.units, up=options.up)
        try:
            found = model.segment(cloud, classes=options.classes, min_score=options.min_score)
        except UserError as problem:
            raise UserError(f"{path}: {problem}" if str(path) not in str(problem) else str(problem)) from None
        notes = _notes(cloud)
        with stage("write"):
            files = write_results(out, name, cloud, found, options, notes)
    return Result(path, cloud, found, files, stages.seconds, notes)


def _notes(cloud: PointCloud) -> tuple[str, ...]:
    notes = cloud.source.notes if cloud.source is not None else ()
    if cloud.colors is None:
        notes += ("no colour in the input: segmented by shape alone, as the model was trained to",)
    return notes


def write_results(
    out: Path, name: str, cloud: PointCloud, found: Instances, options: Options, notes: tuple[str, ...] = ()
) -> tuple[Path, ...]:
    """Write `name`.instances.{npz,ply,json} (LAS stays LAS), `name`.png and `name`.html; all of them or none."""
    _make_folder(out)
    written: list[Path] = []
    try:
        cloud_suffix = cloud.source.path.suffix.lower() if cloud.source and cloud.source.kind == "las" else ".ply"
        for suffix in (".npz", cloud_suffix, ".json"):
            written.append(out / f"{name}.instances{suffix}")
            save_instances(written[-1], found, cloud)
        if options.objects:
            save_objects(out / f"{name}.objects", found, cloud)
        if options.picture:
            written.append(out / f"{name}.png")
            save_picture(written[-1], cloud, found)
        if options.page:
            written.append(out / f"{name}.html")
            save_page(written[-1], cloud, found, title=name, notes=notes)
    except BaseException:
        for file in written:
            file.unlink(missing_ok=True)
        raise
    return tuple(written)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UserError(f"{out}: cannot write there ({problem.strerror}); name another folder with -o") from None
