"""What is there of photos with masks on disk, what is missing or odd, and what to do about it."""

from pathlib import Path

from gestalt3d.data.check import Count, Report
from gestalt3d.data.photos import open_photos
from gestalt3d.data.photos.annotated import AnnotatedPhotos
from gestalt3d.data.photos.labelme import Labelme
from gestalt3d.data.photos.pascal3d import Pascal3D
from gestalt3d.data.photos.places import OFFICIAL
from gestalt3d.data.photos.renderings import SPLITS as NMR_SPLITS
from gestalt3d.data.photos.renderings import Renderings
from gestalt3d.errors import UserError

_KNOWN_PHOTOS = {("kins", "train"): 7474, ("kins", "test"): 7517}
"""Of splits as their papers say."""


def check_photos(kind: str, root: Path) -> Report:
    """Count photos and objects of each split, read the first and the last photo of each, and say what the annotations hold."""
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; name the one of {kind} with --root")
    counts, problems, notes = [], [], []
    for split in _splits(kind, root):
        name = split or kind
        try:
            data = open_photos(kind, split, root, vocabulary=None, limit=None)
        except UserError as error:
            problems.append(str(error))
            continue
        assert isinstance(data, AnnotatedPhotos | Labelme | Renderings | Pascal3D)
        counts.append(Count(name, len(data), _KNOWN_PHOTOS.get((kind, split)), "photos"))
        if isinstance(data, AnnotatedPhotos):
            objects = sum(int((~one.is_crowd).sum()) for one in data.read)
            counts.append(Count(f"{name} objects", objects, None, "objects"))
            if any("photos are not there" in note for note in data.notes):
                problems.append(
                    f"{name}: {next(note for note in data.notes if 'photos are not there' in note)}"
                )
        notes += [f"{name}: {note}" for note in data.notes if "photos are not there" not in note]
        for i in sorted({0, len(data) - 1}):
            try:
                data[i]
            except UserError as error:
                problems.append(str(error))
    if problems:
        advice = "Mend or copy again what is named above; splits work with the photos that are there."
    else:
        spec = next((f"{kind}:{split}" for split in _splits(kind, root) if split), kind)
        advice = f"All is there; in Python: gestalt3d.open_data('{spec}', root='{root}')"
    return Report(kind, root, tuple(counts), tuple(dict.fromkeys(problems)), tuple(notes), advice)


def _splits(kind: str, root: Path) -> tuple[str, ...]:
    """ "" is all, where a data set has none or its file is named."""
    if root.is_file():
        return ("",)
    return {"nmr": NMR_SPLITS, "pascal3d": ("train", "val")}.get(kind, tuple(OFFICIAL.get(kind, {"": ()})))
