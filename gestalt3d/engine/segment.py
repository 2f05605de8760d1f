"""From files to files: read, segment, write all results of a file, and go on when one file is bad."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from gestalt3d.engine.faults import in_one_line
from gestalt3d.engine.model import Model, class_ids, refiners, without_photos
from gestalt3d.engine.results import (
    ALL,
    Answer,
    Kinds,
    expect_free,
    result_folder,
    result_names,
    write_results,
)
from gestalt3d.errors import UserError
from gestalt3d.io import CLOUD_SUFFIXES, Found, Inputs, expect_writable
from gestalt3d.io.given_masks import GivenMasks
from gestalt3d.io.images import IMAGE_SUFFIXES
from gestalt3d.methods.choice import why
from gestalt3d.methods.method import needs_depth
from gestalt3d.stages import Progress, Stage, measure, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View


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
    masks: Path | None = None
    """File of visible masks that the model completes instead of finding its own."""
    refiner: Model | None = None
    """Completes the masks that the model finds."""
    kinds: Kinds = ALL
    """Files to write."""
    overlap: bool | None = None
    """Whether instances may share points or pixels; by default as the model does."""


@dataclass(frozen=True)
class Result:
    """One segmented file."""

    source: Path
    answer: Answer
    files: tuple[Path, ...]
    work: Stage
    """What took how long."""


@dataclass
class Outcome:
    """What became of a batch: the files done, and one line for each that could not be."""

    done: list[Path] = field(default_factory=list[Path])
    failed: list[str] = field(default_factory=list[str])


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
    """Segment files and RGB-D frames, and those directly inside other folders, into `out`; go on where one is bad.

    Results are named after the file; of two inputs with one name the second gets a number. Nothing of a
    failed file stays in `out`, and what lay there before stays as it was. `on_start` is told the file, its
    number from 1, and how many there are.
    """
    options = options or Options()
    if options.masks is None:
        class_ids(model.vocabulary, options.classes)
    if options.semantic is not None and not model.takes_semantics:
        raise UserError(f"--semantic {options.semantic}: {model.name} takes no semantics; drop it")
    given_masks = _expect_masks(model, options)
    outcome = Outcome()

    def fail(problem: UserError) -> None:
        outcome.failed.append(str(problem))
        if on_failure is not None:
            on_failure(str(problem))

    inputs = Inputs()
    files = _expand(paths, model, inputs, fail)
    with result_folder(out):
        for number, (found, name) in enumerate(_named(files), 1):
            path = found.path
            if on_start is not None:
                on_start(path, number, len(files))
            try:
                result = _segment_file(model, inputs, found, out, name, options, given_masks, on_progress)
            except Exception as problem:
                fail(in_one_line(path, problem))
                continue
            outcome.done.append(path)
            if on_result is not None:
                on_result(result)
    return outcome


def _expand(
    paths: Sequence[Path], model: Model, inputs: Inputs, fail: Callable[[UserError], None]
) -> list[Found]:
    """Files and RGB-D frames as given; other folders as the inputs directly inside them that the model takes, by name."""
    files: list[Found] = []
    for path in paths:
        try:
            found = inputs.at(path)
            files.extend(_inside(path, model, inputs) if found is None else [found])
        except UserError as problem:
            fail(problem)
    return files


def _inside(folder: Path, model: Model, inputs: Inputs) -> list[Found]:
    takes_views = model.takes is View
    takes_photos = takes_views and not needs_depth(model.method)
    try:
        every = inputs.inside(folder)
    except OSError as problem:
        raise UserError(f"{folder}: cannot be listed ({problem.strerror}); check its permissions") from None
    photos = [f for f in every if f.frame is None and f.path.suffix.lower() in IMAGE_SUFFIXES]
    clouds = [f for f in every if f.frame is None and f not in photos]
    left_out = [*(clouds if takes_views else ()), *(() if takes_photos else photos)]
    found = [f for f in every if f not in left_out]
    if found:
        return found
    frames = "folders with a colour image and its depth"
    if takes_views and (clouds or photos):
        there = " and ".join(
            name for name, own in (("clouds", clouds), ("photos without depth", photos)) if own
        )
        raise UserError(f"{folder}: only {there} in this folder; {model.name} takes {frames}")
    if photos:
        raise UserError(
            f"{folder}: no cloud in this folder, only photos without depth; {without_photos(model.name)}"
        )
    if takes_views:
        raise UserError(
            f"{folder}: no image in this folder; put {frames} there, or {' '.join(IMAGE_SUFFIXES)} files"
        )
    raise UserError(
        f"{folder}: no cloud in this folder; put {' '.join(CLOUD_SUFFIXES)} files there, or {frames}"
    )


def _named(files: list[Found]) -> Iterator[tuple[Found, str]]:
    """Each with a name that no other has, also where the disk does not tell capitals."""
    used: set[str] = set()
    for found in files:
        name, number = found.path.stem, 2
        while name.lower() in used:
            name, number = f"{found.path.stem}-{number}", number + 1
        used.add(name.lower())
        yield found, name


def _segment_file(
    model: Model,
    inputs: Inputs,
    source: Found,
    out: Path,
    name: str,
    options: Options,
    given_masks: GivenMasks | None,
    on_progress: Progress | None,
) -> Result:
    with measure(on_progress) as work:
        with stage("read"):
            given = inputs.read(source, units=options.units, up=options.up, semantic=options.semantic)
            # Before the long part: what cannot be written need not be found.
            if isinstance(given, PointCloud):
                expect_writable(given)
            expect_free(out, result_names(name, given, options.kinds))
            seen, odd = None, list[str]()
            if given_masks is not None:
                seen, odd = given_masks.of(_expect_photo(given, given_masks), model.vocabulary_of_photos)
        found = (
            model.segment(
                given,
                classes=options.classes,
                min_score=options.min_score,
                overlap=options.overlap,
            )
            if seen is None
            else model.refine(given, _chosen(seen, options))
        )
        notes = notes_on(given, model, found.method, masks_given=seen is not None)
        if options.refiner is not None:
            found = options.refiner.refine(given, found)
        answer = Answer(name, given, found, (*notes, *odd))
        with stage("write"):
            files = write_results(out, answer, options.kinds)
    return Result(source.path, answer, files, work)


def _expect_masks(model: Model, options: Options) -> GivenMasks | None:
    """The file of masks, read; `UserError` where masks and models do not go together."""
    if options.refiner is not None and not options.refiner.refines:
        raise UserError(
            f"--refiner {options.refiner.name}: completes no masks; choose one of {', '.join(refiners())}"
        )
    if options.masks is None:
        return None
    if not model.refines:
        raise UserError(
            f"--masks {options.masks}: {model.name} completes no masks; choose one of {', '.join(refiners())} with -m"
        )
    if options.refiner is not None:
        raise UserError(
            f"--refiner {options.refiner.name}: -m {model.name} completes the masks of --masks; drop one"
        )
    return GivenMasks(options.masks)


def _expect_photo(given: PointCloud | View, masks: GivenMasks) -> View:
    if isinstance(given, PointCloud):
        raise UserError(f"--masks {masks.path}: masks are of photos, and this is a cloud")
    return given


def _chosen(seen: Instances, options: Options) -> Instances:
    """Of given masks those of the wanted classes that their finder is sure enough of."""
    keep = seen.scores >= options.min_score
    if (wanted := class_ids(seen.vocabulary, options.classes)) is not None:
        keep &= torch.isin(seen.classes, wanted)
    return seen[keep.nonzero()[:, 0]]


def notes_on(
    given: PointCloud | View, model: Model, method: str, *, masks_given: bool = False
) -> tuple[str, ...]:
    """What was decided for the user about the input and the model that segmented it, whose name is `method`."""
    if isinstance(given, View):
        notes = list(given.notes)
    else:
        notes = [] if given.source is None else list(given.source.notes)
        if given.colors is None:
            notes.append("no colour in the input: objects are told apart by shape alone")
    if method == model.name:
        return tuple(notes)
    return (*notes, why(method, masks_given=masks_given))
