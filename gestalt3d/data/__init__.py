"""Data sets: each has `vocabulary`, `names`, a length, and yields `Scan`s by position, or labelled views. It knows how answers to
it are scored.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeVar, overload, runtime_checkable

from gestalt3d.data.part_names import part_name
from gestalt3d.data.photos import PHOTOS, open_photos
from gestalt3d.errors import UserError
from gestalt3d.metrics.counts import Counts
from gestalt3d.metrics.report import Results
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import LabelledView, Scan
from gestalt3d.structures.vocabulary import Vocabulary


class Seen(NamedTuple):
    """What is scored: a scan, and the answer to it."""

    scan: Scan
    found: Instances


@runtime_checkable
class Evaluator(Protocol):
    """Figures of the scans that it has seen."""

    def see(self, scan: Scan, found: Instances) -> None:
        """Count what was found in a scan, beside the truth."""
        ...

    def results(self) -> Results:
        """`{"scans": {name: figures}, "pooled": figures, "skipped": [names]}`, None where undefined."""
        ...

    def left_out(self) -> dict[str, list[float | None]]:
        """The pooled figures with each scan left out in turn."""
        ...

    def counts(self) -> Counts:
        """What `add_counts` takes, as plain JSON."""
        ...

    def add_counts(self, counts: Counts) -> None:
        """Add the scans of another evaluator; `ValueError` with a sentence where these are no counts or do not belong here."""
        ...


@runtime_checkable
class Official(Protocol):
    """A folder of files as a benchmark takes them."""

    takes_unlabelled: bool
    """Whether scans without instances belong into it, too."""

    def add(self, found: Instances, seen: Seen) -> Seen:
        """Write what was found in a scan, of which `seen` is to be scored; what comes back is to be scored instead."""
        ...


Item = TypeVar("Item", covariant=True)
"""`Scan` or `LabelledView`."""


@runtime_checkable
class DataSetOf(Protocol[Item]):
    """What `open_data` returns, of either kind."""

    vocabulary: Vocabulary
    names: list[str]

    @property
    def notes(self) -> list[str]:
        """What the user should know about the data."""
        ...

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Name → what is wrong, of the scans that cannot be read."""
        ...

    def without_instances(self) -> Sequence[str]:
        """Names of the scans that say nothing about instances, where some may be expected to. May read all labels."""
        ...

    @property
    def label_hint(self) -> str:
        """In words, where labels were looked for; may be empty."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Item: ...

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """What scores answers in that vocabulary; `class_agnostic`: instances whatever their classes."""
        ...

    def official(self, folder: Path, vocabulary: Vocabulary) -> Official:
        """What writes answers in that vocabulary as the data's benchmark takes them; `UserError` where there is none."""
        ...


@runtime_checkable
class DataSet(DataSetOf[Scan], Protocol):
    """What `open_data` returns of clouds."""


ViewsSpec = Literal[
    "views", "views:train", "views:val", "views:test",
    "objects", "objects:train", "objects:val", "objects:test", "objects:new-objects", "objects:new-viewpoints",
    "photos", "photos:train", "photos:val", "photos:test",
    "sunrgbd", "sunrgbd:train", "sunrgbd:val", "sunrgbd:test", "sunrgbd:all",
    "sunrgbd-v1", "sunrgbd-v1:train", "sunrgbd-v1:val", "sunrgbd-v1:test", "sunrgbd-v1:all",
    "nyuv2", "nyuv2:train", "nyuv2:test", "nyuv2:all",
    "cocoa:train", "cocoa:val", "cocoa:test", "cocoa-cls:train", "cocoa-cls:val",
    "d2sa:train", "d2sa:val", "d2sa:test", "kins:train", "kins:test", "uoais", "coco-amodal", "coco", "labelme",
    "nmr:train", "nmr:val", "nmr:test", "nmr:all", "pascal3d:train", "pascal3d:val", "pascal3d:all",
]  # fmt: skip
"""The data whose samples are views."""
KNOWN = {
    "rooms": "rooms:train, rooms:second, rooms:val, rooms:test",
    "rooms-other": "rooms-other:val, rooms-other:test (of another generator, not to train on)",
    "rooms-whole": "rooms-whole:train, … (the same rooms, whole shapes and amodal boxes known)",
    "table-tops": "table-tops:train, table-tops:val, table-tops:test",
    "views": "views:train, views:val, views:test (RGB-D frames of the rooms)",
    "objects": "objects:train, objects:val, objects:test, objects:new-objects, objects:new-viewpoints (one in each picture)",
    "photos": "photos:train, photos:val, photos:test (several objects that hide one another)",
    "toyboxes": "toyboxes:train, toyboxes:val, toyboxes:test",
    "toyboxes-hard": "toyboxes-hard:train, …",
    "parts": "parts:train, parts-chair:val, parts-lamp-2:test, … (category, level of detail 1 to 3)",
    "partnet": "partnet-chair:val, partnet-lamp-2:test, partnet:all, …; with --root",
    "shapenet-part": "shapenet-part:train, shapenet-part:val, shapenet-part:test; with --root",
    "s3dis": "s3dis:area1 … s3dis:area6, s3dis:not5 (all areas but one), s3dis:all; with --root",
    "scannet": "scannet:train, scannet:val, scannet:test, scannet:all; with --root",
    "scannet-aligned": "scannet-aligned:train, … (walls along x and y)",
    "sunrgbd": "sunrgbd:train, sunrgbd:val (the official test), sunrgbd:all (RGB-D frames with boxes); with --root",
    "sunrgbd-v1": "sunrgbd-v1:train, … (an earlier version of the boxes)",
    "nyuv2": "nyuv2:train, nyuv2:test, nyuv2:all (RGB-D frames with classes of pixels); with --root",
    **PHOTOS,
    "folder": "folder, any folder of clouds with labels beside them; with --root",
}


VIEWS = ("views", "objects", "photos", "sunrgbd", "sunrgbd-v1", "nyuv2", *PHOTOS)
"""Names of the data whose samples are views."""
_MADE = (
    "rooms",
    "rooms-other",
    "rooms-whole",
    "table-tops",
    "views",
    "objects",
    "photos",
    "toyboxes",
    "toyboxes-hard",
    "parts",
)


def needs_root(spec: str) -> bool:
    """Whether that data lies in a folder of the user's, and is not made here."""
    return _known(spec.partition(":")[0]) not in _MADE


def _known(name: str) -> str:
    """The name in `KNOWN`, less what is said behind it of parts; as it is where there is none."""
    parts = part_name(name)
    return name if name in KNOWN or parts is None or parts.data not in ("parts", "partnet") else parts.data


@overload
def open_data(
    spec: ViewsSpec,
    *,
    root: Path | str | None = None,
    vocabulary: Vocabulary | None = None,
    limit: int | None = None,
) -> DataSetOf[LabelledView]: ...


@overload
def open_data(
    spec: str,
    *,
    root: Path | str | None = None,
    vocabulary: Vocabulary | None = None,
    limit: int | None = None,
    semantics: Path | str | None = None,
) -> DataSet: ...


def open_data(
    spec: str,
    *,
    root: Path | str | None = None,
    vocabulary: Vocabulary | None = None,
    limit: int | None = None,
    semantics: Path | str | None = None,
) -> DataSetOf[LabelledView] | DataSet:
    """The data set called `spec`, "name" or "name:split", such as "rooms:val", "s3dis:area5", "scannet:val" or "folder".

    It has a length and is indexed by number; every item is a `Scan`, or where `VIEWS` names the data a `LabelledView`. `root` is
    its folder on disk (of photos also the file of annotations), `vocabulary` the classes to map it to (its own by default),
    `limit` the number of scans. `semantics` is a folder of classes that are given with the scans of ScanNet, in the format of its
    benchmark. An unknown name, split or folder is a `UserError`.
    """
    name, _, split = spec.partition(":")
    if _known(name) not in KNOWN:
        raise UserError(f"no data set {spec!r}; there are {'; '.join(KNOWN.values())}")
    if semantics is not None and not name.startswith("scannet"):
        raise UserError(f"{spec}: classes that are given are read for scannet only; drop --semantics")
    if name in ("rooms", "rooms-whole"):
        from gestalt3d.data.rooms import Rooms
        from gestalt3d.structures.vocabulary import SYNTH

        return Rooms(
            split or "test", count=limit, vocabulary=vocabulary or SYNTH, shapes=name == "rooms-whole"
        )
    if name == "rooms-other":
        from gestalt3d.data.other_rooms import OtherRooms
        from gestalt3d.structures.vocabulary import SYNTH

        return OtherRooms(split or "test", count=limit, vocabulary=vocabulary or SYNTH)
    if name == "table-tops":
        from gestalt3d.data.table_tops import TableTops
        from gestalt3d.structures.vocabulary import TABLE_TOPS

        return TableTops(split or "test", count=limit, vocabulary=vocabulary or TABLE_TOPS)
    if name == "views":
        from gestalt3d.data.views import Views
        from gestalt3d.structures.vocabulary import SYNTH

        return Views(split or "test", count=limit, vocabulary=vocabulary or SYNTH)
    if name == "objects":
        from gestalt3d.data.objects import Objects
        from gestalt3d.structures.vocabulary import SHAPENET13

        return Objects(split or "test", count=limit, vocabulary=vocabulary or SHAPENET13)
    if name == "photos":
        from gestalt3d.data.photo_scenes import Photos
        from gestalt3d.structures.vocabulary import SHAPENET13

        return Photos(split or "test", count=limit, vocabulary=vocabulary or SHAPENET13)
    if name in ("toyboxes", "toyboxes-hard"):
        from gestalt3d.data.toyboxes import Toyboxes
        from gestalt3d.structures.vocabulary import TOYBOXES

        preset = name.partition("-")[2] or "default"
        return Toyboxes(split or "test", preset=preset, count=limit, vocabulary=vocabulary or TOYBOXES)
    if (parts := part_name(name)) is not None and parts.data == "parts":
        from gestalt3d.data.parts import Parts

        return Parts(
            split or "test", category=parts.category, level=parts.level, count=limit, vocabulary=vocabulary
        )
    if root is None:
        raise UserError(f"{spec} lies in a folder of yours; name it with --root DIR")
    if parts is not None and parts.data == "partnet":
        from gestalt3d.data.partnet import PartNet

        return PartNet(
            root,
            split or "all",
            category=parts.category,
            level=parts.level,
            vocabulary=vocabulary,
            limit=limit,
        )
    if name == "shapenet-part":
        from gestalt3d.data.shapenet_part import ShapeNetPart

        return ShapeNetPart(root, split or "all", vocabulary=vocabulary, limit=limit)
    if name == "s3dis":
        from gestalt3d.data.s3dis import S3DIS

        return S3DIS(root, split or "all", vocabulary=vocabulary, limit=limit)
    if name in ("scannet", "scannet-aligned"):
        from gestalt3d.data.scannet import ScanNet

        is_aligned = name == "scannet-aligned"
        return ScanNet(
            root,
            split or "all",
            vocabulary=vocabulary,
            limit=limit,
            aligned=is_aligned,
            semantics=semantics,
        )
    if name in ("sunrgbd", "sunrgbd-v1"):
        from gestalt3d.data.sunrgbd import SunRGBD, is_prepared
        from gestalt3d.data.sunrgbd_official import OfficialSunRGBD, is_official

        version = 1 if name.endswith("-v1") else 2
        if is_official(Path(root)) and not is_prepared(Path(root)):
            return OfficialSunRGBD(root, split or "all", vocabulary=vocabulary, limit=limit, version=version)
        return SunRGBD(root, split or "all", vocabulary=vocabulary, limit=limit, version=version)
    if name == "nyuv2":
        from gestalt3d.data.nyuv2 import NYUv2

        return NYUv2(root, split or "all", vocabulary=vocabulary, limit=limit)
    if name in PHOTOS:
        return open_photos(name, split, Path(root), vocabulary=vocabulary, limit=limit)
    from gestalt3d.data.folder import Folder

    if split:
        raise UserError(
            f"a folder has no splits, got {spec!r}; write 'folder' and name the folder with --root"
        )
    return Folder(root, vocabulary=vocabulary, limit=limit)
