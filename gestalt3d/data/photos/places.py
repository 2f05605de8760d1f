"""Where files of annotations and the photos that they name lie: data sets are unpacked in many ways."""

from pathlib import Path, PurePosixPath

from gestalt3d.errors import UserError
from gestalt3d.io.folders import entries

OFFICIAL: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "cocoa": {part: ((f"COCO_amodal_{part}2014.json",),) for part in ("train", "val", "test")},
    "cocoa-cls": {part: ((f"COCO_amodal_{part}2014_with_classes.json",),) for part in ("train", "val")},
    "d2sa": {
        "train": (("D2S_amodal_training_rot0.json", "D2S_amodal_augmented.json"), ("D2S_amodal_training_rot0.json",)),
        "val": (("D2S_amodal_validation.json",),),
        "test": (("D2S_amodal_test_info.json",),),
    },
    "kins": {
        "train": (("update_train_2020.json",), ("instances_train.json",)),
        "test": (("update_test_2020.json",), ("instances_val.json",)),
    },
}  # fmt: skip
"""By data and split the files of annotations: of several choices the first that is there."""
_INSIDE = (
    "images",
    "image",
    "training/image_2",
    "testing/image_2",
    "train2014",
    "val2014",
    "test2014",
    "train2017",
    "val2017",
)
_MOST_FOLDERS = 200


def annotation_files(kind: str, root: Path, split: str) -> tuple[Path, ...]:
    """The files of a split: `root` itself where it is one, else those of the official names, or the only .json in it."""
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; name the one of {kind} with --root")
    if root.is_file():
        if split:
            raise UserError(f"{kind}:{split}: {root} is one file, without splits; drop {split!r}")
        return (root,)
    if kind not in OFFICIAL:
        if split:
            raise UserError(f"{kind} has no splits, got {split!r}; name a file of annotations with --root")
        found = [path for path in _folders(root)[0] if path.suffix == ".json"]
        if len(found) != 1:
            raise UserError(
                f"{root}: holds {len(found)} files *.json; name the one of the annotations with --root"
            )
        return (found[0],)
    parts = OFFICIAL[kind]
    if split and split not in parts:
        raise UserError(f"{kind} has no split {split!r}; it has {', '.join(parts)}")
    if not split:
        there = [part for part in parts if any(_found(root, names) for names in parts[part])]
        raise UserError(f"{kind} of {root}: say which split, such as {kind}:{(there or [*parts])[0]}")
    for names in parts[split]:
        if found := _found(root, names):
            return found
    wanted = " or ".join(" and ".join(names) for names in parts[split])
    raise UserError(
        f"{root}: has no {wanted}, neither in it nor in a folder of it; copy the annotations there"
    )


def _found(root: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """The files of these names, if all are there."""
    _, folders = _folders(root)
    places = [next((f / name for f in (root, *folders) if (f / name).is_file()), None) for name in names]
    return tuple(place for place in places if place is not None) if None not in places else ()


def _folders(root: Path) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Files and folders directly in a folder; of many folders the first."""
    inside = entries(root)
    return tuple(p for p in inside if p.is_file()), tuple(p for p in inside if p.is_dir())[:_MOST_FOLDERS]


class PhotoFiles:
    """Finds photos by the names that annotations have for them, below a folder of annotations or the one around it."""

    def __init__(self, annotations: Path) -> None:
        own = annotations.resolve().parent
        roots = (own, own.parent)
        self._places = [place for root in roots for place in (root, *(root / name for name in _INSIDE))]
        self._places += [inner for root in roots for inner in _folders(root)[1]]
        self._last = own

    def find(self, name: str) -> Path | None:
        """The photo; None where there is none. `ValueError` for a name that leads out of the folders."""
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or "\0" in name or not pure.name or ":" in pure.parts[0]:
            raise ValueError(f"{name[:80]!r} is no name of a photo in a folder")
        for place in (self._last, *self._places):
            for inner in dict.fromkeys((str(pure), pure.name)):
                if (path := place / inner).is_file():
                    self._last = place
                    return path
        return None
