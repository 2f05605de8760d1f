"""What is there of a data set on disk, what is missing, and what to do about it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gestalt3d.data.folder import Folder
from gestalt3d.data.nyuv2 import COUNTS as NYU_COUNTS
from gestalt3d.data.nyuv2 import FRAMES, NYUv2, missing, numbers
from gestalt3d.data.nyuv2 import read_split as read_nyu_split
from gestalt3d.data.part_names import LEVELS
from gestalt3d.data.partnet import SPLITS as PARTNET_SPLITS
from gestalt3d.data.partnet import count_shapes, find_files, part_classes, read_shape
from gestalt3d.data.photos import PHOTOS
from gestalt3d.data.s3dis import (
    ROOMS,
    annotation_files,
    class_of,
    find_rooms,
    has_foreign_bytes,
    official_rooms,
)
from gestalt3d.data.scannet import SPLITS, Scene, count_vertices, find_file, find_scenes, read_split
from gestalt3d.data.scannet_annotation import TABLE, read_annotation, read_words
from gestalt3d.data.shapenet_part import COUNTS as SHAPENET_COUNTS
from gestalt3d.data.shapenet_part import ShapeNetPart
from gestalt3d.data.sunrgbd import COUNTS as SUN_COUNTS
from gestalt3d.data.sunrgbd import SunRGBD, find_folder, frames, is_prepared, numbers_of, unreadable_texts
from gestalt3d.data.sunrgbd_official import OfficialSunRGBD, find_meta, is_official, unreadable_frames
from gestalt3d.data.sunrgbd_official import find_frames as find_sun_frames
from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud
from gestalt3d.structures.vocabulary import S3DIS, mapping

KINDS = ("s3dis", "scannet", "partnet", "shapenet-part", "sunrgbd", "nyuv2", "folder", *PHOTOS)


class Count(NamedTuple):
    """One row of a report: how many of `name` there are, and how many there should be (None: any number)."""

    name: str
    found: int
    expected: int | None
    unit: str


@dataclass(frozen=True)
class Report:
    """The answer of `check`. `problems` keep the data from being complete, `notes` are worth knowing."""

    kind: str
    root: Path
    counts: tuple[Count, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    advice: str

    @property
    def is_complete(self) -> bool:
        return not self.problems


def check(kind: str, root: Path | str) -> Report:
    """Look at the data set of `kind` below `root`; S3DIS's text files are counted, ScanNet's labels are read, of each of
    PartNet's files and of each split of ShapeNet the first and the last shape. Of frames the first and the last are read; of
    SUN RGB-D all cameras and boxes are, too; of photos all annotations.
    """
    if kind in PHOTOS:
        from gestalt3d.data.photos.check import check_photos

        return check_photos(kind, Path(root))
    if kind not in KINDS:
        raise UserError(f"cannot check {kind!r}; data sets with files of yours are {', '.join(KINDS)}")
    return _CHECKS[kind](Path(root))


def _check_s3dis(root: Path) -> Report:
    counts, problems, notes = [], [], []
    for area in ROOMS:
        rooms = find_rooms(root, area)
        expected = {f"{area}_{room}" for room in official_rooms(area)}
        counts.append(Count(area, len(rooms), len(expected), "rooms"))
        if missing := sorted(expected - rooms.keys()):
            problems.append(
                f"{area}: {len(missing)} of {len(expected)} rooms are missing: {_listed(missing)}"
            )
        if extra := sorted(rooms.keys() - expected):
            notes.append(f"{area}: not among the official rooms: {_listed(extra)}")
        for name, path in sorted(rooms.items()):
            if path.is_dir():
                _check_annotations(name, path, problems, notes)
    if not any(count.found for count in counts):
        advice = (
            "Ask for Stanford3dDataset_v1.2_Aligned_Version at http://buildingparser.stanford.edu, unpack it "
            "and name the folder that holds Area_1 … Area_6."
        )
    elif problems:
        advice = "Unpack the archive again for what is missing; splits work with the rooms that are there."
    else:
        advice = f"All 272 rooms are there: gestalt3d evaluate -m asis-rooms -d s3dis:area5 --root {root}"
    return Report("s3dis", root, tuple(counts), tuple(problems), tuple(notes), advice)


def _check_annotations(name: str, folder: Path, problems: list[str], notes: list[str]) -> None:
    files = annotation_files(folder)
    if empty := [file.name for file in files if not file.stat().st_size]:
        problems.append(f"{name}: empty files: {_listed(empty)}")
    if not files:
        problems.append(f"{name}: no *.txt in {folder}")
    if unknown := [file.name for file in files if class_of(file) is None]:
        notes.append(f"{name}: read as clutter: {_listed(unknown)}")
    if name == "Area_5_hallway_6":
        for file in files:
            if has_foreign_bytes(file.read_bytes()):
                notes.append(f"{name}: {file.name} holds the known bad line; it is mended when read")


def _check_scannet(root: Path) -> Report:
    scenes = find_scenes(root)
    counts, problems, notes = [], [], []
    listed: set[str] = set()
    for split, official in SPLITS.items():
        try:
            names = read_split(root, split)
        except UserError as error:
            problems.append(str(error))
            counts.append(Count(split, 0, official, "scenes"))
            continue
        listed.update(names)
        counts.append(Count(split, len(scenes.keys() & set(names)), len(names), "scenes"))
        if missing := sorted(set(names) - scenes.keys()):
            problems.append(f"{split}: {len(missing)} of {len(names)} scenes are missing: {_listed(missing)}")
        if len(names) != official:
            notes.append(f"scannetv2_{split}.txt lists {len(names)} scenes, the official one {official}")
    if listed and (extra := sorted(scenes.keys() - listed)):
        notes.append(f"in no list: {_listed(extra)}")
    readable = _check_scannet_labels(root, list(scenes.values()), problems, notes)
    counts.append(Count("instance labels", readable, None, "scenes"))
    if not scenes:
        advice = (
            "Ask for ScanNet v2 at http://www.scan-net.org and name the folder that holds scans/, the label table and "
            "the lists."
        )
    elif problems:
        advice = (
            "Download again what is missing or does not match; splits work with the scenes that are there."
        )
    else:
        advice = f"All is there: gestalt3d evaluate -m asis-rooms -d scannet:val --root {root}"
    return Report("scannet", root, tuple(counts), tuple(problems), tuple(notes), advice)


def _check_scannet_labels(root: Path, scenes: list[Scene], problems: list[str], notes: list[str]) -> int:
    """How many scenes have labels that fit their mesh."""
    try:
        table = find_file(root, TABLE)
        words = read_words(table)
    except UserError as error:
        problems.append(str(error))
        return 0
    readable, semantic_only, unlabelled = 0, [], []
    for scene in scenes:
        if scene.is_unlabelled:
            unlabelled.append(scene.name)
        elif scene.missing:
            problems.append(f"{scene.name}: missing: {_listed([path.name for path in scene.missing])}")
            semantic_only += [scene.name] * scene.label_mesh.is_file()
        else:
            try:
                vertices = count_vertices(scene.mesh)
                found = read_annotation(scene.segments, scene.aggregation, table, words, vertices=vertices)
            except (UserError, OSError) as error:
                problems.append(str(error))
                continue
            readable += 1
            notes.extend(found.notes)
    if unlabelled:
        notes.append(f"without labels, for predictions only: {_listed(unlabelled)}")
    if semantic_only:
        notes.append(f"classes but no instances, not scored: {_listed(semantic_only)}")
    return readable


_PARTNET_SHAPES = {
    "Chair": (4489, 617, 1217),
    "Table": (5707, 843, 1668),
    "Lamp": (1554, 234, 419),
    "StorageFurniture": (1588, 230, 451),
}
"""How many shapes the four largest categories have to train, validate and test."""


def _check_partnet(root: Path) -> Report:
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name the one that holds ins_seg_h5_gt")
    counts: list[Count] = []
    problems: list[str] = []
    for level in LEVELS:
        found: dict[tuple[str, str], int] = {}
        classes: dict[str, int] = {}
        for file in find_files(root, level):
            found.setdefault((file.category, file.split), 0)
            try:
                if file.category not in classes:
                    classes[file.category] = len(part_classes(root, file.category, level))
                shapes = count_shapes(file.path)
                for row in sorted({0, shapes - 1} - {-1}):
                    read_shape(file.path, row, classes[file.category])
            except UserError as error:
                problems.append(str(error))
                continue
            found[file.category, file.split] += shapes
        for category in sorted({category for category, _ in found}):
            expected = _PARTNET_SHAPES.get(category, (None, None, None))
            for split, official in zip(PARTNET_SPLITS, expected, strict=True):
                number = found.get((category, split), 0)
                counts.append(Count(f"{category}-{level} {split}", number, official, "shapes"))
                if official is not None and number != official:
                    problems.append(f"{category}-{level} {split}: {number:,} of {official:,} shapes")
    if not counts:
        problems.append("no folder such as ins_seg_h5_for_detection/Chair-3 or ins_seg_h5_gt/Chair-3")
        advice = "Ask for ins_seg_h5.zip of PartNet at https://shapenet.org, unpack it and name the folder of ins_seg_h5_gt."
    elif problems:
        advice = "Unpack the archive again for what is missing; splits work with the files that are there."
    else:
        category = counts[0].name.partition("-")[0].lower()
        advice = f"All is there; in Python: gestalt3d.open_data('partnet-{category}:val', root='{root}')"
    return Report("partnet", root, tuple(counts), tuple(dict.fromkeys(problems)), (), advice)


def _check_shapenet_part(root: Path) -> Report:
    if not root.is_dir():
        raise UserError(
            f"{root}: no such folder; name the one that holds train_test_split or ply_data_train0.h5"
        )
    counts: list[Count] = []
    problems: list[str] = []
    for split, official in SHAPENET_COUNTS.items():
        number = 0
        try:
            data = ShapeNetPart(root, split)
            number = len(data)
            for i in sorted({0, number - 1}):
                data[i]
        except UserError as error:
            problems.append(str(error))
        counts.append(Count(split, number, official, "shapes"))
        if 0 < number != official:
            problems.append(f"{split}: {number:,} of {official:,} shapes")
    notes = ("its files have no instances: those that are read are connected components of the parts",)
    if problems:
        advice = "Unpack the archive again for what is missing; splits work with the shapes that are there."
    else:
        advice = f"All is there; in Python: gestalt3d.open_data('shapenet-part:val', root='{root}')"
    return Report("shapenet-part", root, tuple(counts), tuple(problems), notes, advice)


def _check_official_sunrgbd(root: Path) -> Report:
    data = OfficialSunRGBD(root)
    there, meta = {*find_sun_frames(data.folder)}, find_meta(root)
    counts, problems = [], []
    if meta is None:
        counts.append(Count("all", len(there), sum(SUN_COUNTS.values()), "frames"))
    for split, official in SUN_COUNTS.items() if meta is not None else ():
        try:
            found = len(OfficialSunRGBD(root, split))
        except UserError:
            found = 0
        counts.append(Count(split, found, official, "frames"))
    for name, found, official, _ in counts:
        if official is not None and found < official:
            problems.append(f"{name}: {found:,} of {official:,} frames")
    problems += unreadable_frames(data)
    problems += _unreadable(data)
    if problems:
        advice = (
            "Unpack SUNRGBD.zip again for what is named above; splits work with the frames that are there."
        )
    else:
        advice = f"All is there; in Python: gestalt3d.open_data('sunrgbd:train', root='{root}')"
    return Report("sunrgbd", root, tuple(counts), tuple(dict.fromkeys(problems)), tuple(data.notes), advice)


def _check_sunrgbd(root: Path) -> Report:
    if is_official(root) and not is_prepared(root):
        return _check_official_sunrgbd(root)
    folder = find_folder(root)
    there = frames(folder)
    counts, problems = [], []
    for split, official in SUN_COUNTS.items():
        wanted = numbers_of(folder, split)
        whole = [name for name in wanted if name in there and not there[name]]
        counts.append(Count(split, len(whole), official, "frames"))
        if len(whole) != official:
            problems.append(f"{split}: {len(whole):,} of {official:,} frames")
    for part in ("image", "depth", "calib", "label"):
        if lacking := [name for name, gone in there.items() if part in gone]:
            problems.append(f"{folder / part}: {len(lacking):,} frames have no file here: {_listed(lacking)}")
    if any(not gone for gone in there.values()):
        data = SunRGBD(root)
        problems += unreadable_texts(data, data.names)
        problems += _unreadable(data)
        notes = tuple(data.notes)
    else:
        notes = ()
    if problems:
        advice = "Prepare or copy again what is named above; splits work with the frames that are there."
    else:
        advice = f"All is there; in Python: gestalt3d.open_data('sunrgbd:train', root='{root}')"
    return Report("sunrgbd", root, tuple(counts), tuple(dict.fromkeys(problems)), notes, advice)


def _check_nyuv2(root: Path) -> Report:
    there = set(numbers(root))
    counts, problems, notes = [Count("all", len(there), FRAMES, "frames")], [], []
    for split, official in NYU_COUNTS.items():
        try:
            wanted = read_nyu_split(root / "splits.mat", split)
        except UserError as error:
            problems.append(str(error))
            continue
        found = len(there & set(wanted))
        counts.append(Count(split, found, official, "frames"))
        if found != official:
            problems.append(f"{split}: {found:,} of {official:,} frames")
    for kind, lacking in missing(root).items():
        problems.append(f"{root / kind}: {len(lacking):,} frames have no file here: {_listed(lacking)}")
    if there:
        data = NYUv2(root)
        problems += _unreadable(data)
        notes += data.notes
        if without := data.without_instances():
            notes.append(f"classes of pixels, no objects: {_listed(without)}; {data.label_hint}")
    if problems:
        advice = "Copy again what is named above; splits work with the frames that are there."
    else:
        advice = f"All is there; in Python: gestalt3d.open_data('nyuv2:train', root='{root}')"
    return Report("nyuv2", root, tuple(counts), tuple(dict.fromkeys(problems)), tuple(notes), advice)


def _unreadable(data: SunRGBD | OfficialSunRGBD | NYUv2) -> list[str]:
    """What is wrong with the first and the last frame."""
    problems = []
    for i in sorted({0, len(data) - 1}):
        try:
            data[i]
        except UserError as error:
            problems.append(str(error))
    return problems


def _check_folder(root: Path) -> Report:
    try:
        data = Folder(root)
    except UserError as problem:
        if not root.is_dir():
            raise
        return Report(
            "folder",
            root,
            (Count("labelled clouds", 0, None, "files"),),
            (str(problem),),
            (),
            "Mend what is named above.",
        )
    problems, without, unlabelled, scored = [], [], [], 0
    instances: Counter[int] = Counter()
    has_classes = False
    for i, name in enumerate(data.names):
        try:
            found = data[i].truth
        except UserError as error:
            problems.append(str(error))
            continue
        instances.update(found.classes.tolist())
        has_classes = has_classes or bool((found.classes_of_elements() >= 0).any())
        if len(found):
            scored += 1
        else:
            without.append(name)
    for name in data.unlabelled:
        try:
            load_cloud(root / name)
            unlabelled.append(name)
        except UserError as error:
            problems.append(str(error))
    names = data.vocabulary.names
    counts = (
        Count("labelled clouds", len(data), None, "files"),
        Count("with instance labels", scored, None, "files"),
        Count("classes", len(names), None, "names"),
        *(Count(name, instances[c], None, "instances") for c, name in enumerate(names)),
        *(Count("of no class", instances[-1], None, "instances"),) * (instances[-1] > 0),
    )
    are_read = bool(scored or without)  # else what is wrong with them is said above
    if are_read and not has_classes:
        problems.append(f"no point of any file has a class; {data.label_hint}")
    if are_read and not scored:
        problems.append(f"no file has instance labels; {data.label_hint}")
    notes = list(data.notes)
    if without:
        notes.append(f"without instance labels, neither scored nor learnt from: {_listed(without)}")
    if unlabelled:
        notes.append(f"without labels, left out: {_listed(unlabelled)}")
    return Report("folder", root, counts, tuple(problems), tuple(notes), _advice(data, root, problems))


def _advice(data: Folder, root: Path, problems: list[str]) -> str:
    if problems:
        return "Mend or remove what is named above."
    learn = f"gestalt3d train asis-folder --root {root} --init asis-rooms"
    others = mapping(data.vocabulary, S3DIS)
    if not others:
        return f"gestalt3d evaluate -m asis-rooms -d folder --root {root}"
    return (
        f"Classes of your own: {learn}\nA shipped model is measured without regard to classes: "
        f"gestalt3d evaluate -m asis-rooms -d folder --root {root} --class-agnostic"
    )


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


_CHECKS = {
    "s3dis": _check_s3dis,
    "scannet": _check_scannet,
    "partnet": _check_partnet,
    "shapenet-part": _check_shapenet_part,
    "sunrgbd": _check_sunrgbd,
    "nyuv2": _check_nyuv2,
    "folder": _check_folder,
}
