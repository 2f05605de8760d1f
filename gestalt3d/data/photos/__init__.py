"""Photos with masks of the objects in them, whole ones where the data know them: by name of the data."""

from pathlib import Path
from typing import TYPE_CHECKING

from gestalt3d.errors import UserError

if TYPE_CHECKING:
    from gestalt3d.data import DataSetOf
    from gestalt3d.structures.samples import LabelledView
    from gestalt3d.structures.vocabulary import Vocabulary

PHOTOS = {
    "cocoa": "cocoa:train, cocoa:val, cocoa:test (photos, whole objects of no class); with --root",
    "cocoa-cls": "cocoa-cls:train, cocoa-cls:val; with --root",
    "d2sa": "d2sa:train, d2sa:val, d2sa:test; with --root",
    "kins": "kins:train, kins:test (annotations of 2020, else of 2019); with --root",
    "uoais": "uoais, files of UOAIS-Sim and SynTable; with --root FILE.json",
    "coco-amodal": "coco-amodal, photos with whole and visible masks, in whichever keys; with --root FILE.json",
    "coco": "coco, photos with masks as COCO has them; with --root FILE.json",
    "labelme": "labelme, a folder of photos and labelme's files; with --root",
    "nmr": "nmr:train, nmr:val, nmr:test, renderings of ShapeNet (Neural Mesh Renderer's .npz); with --root",
    "pascal3d": "pascal3d:train, pascal3d:val, pascal3d:all, PASCAL3D+ with its models; with --root",
}
"""Name → its splits, as lists of what there is show them."""


def open_photos(
    name: str, split: str, root: Path, *, vocabulary: "Vocabulary | None", limit: int | None
) -> "DataSetOf[LabelledView]":
    """The data of a name in `PHOTOS`; `split` is "" where none is said. `UserError` where it cannot be."""
    if name == "labelme":
        from gestalt3d.data.photos.labelme import Labelme

        if split:
            raise UserError(f"labelme has no splits, got {split!r}; name another folder with --root")
        return Labelme(root, vocabulary=vocabulary, limit=limit)
    if name == "nmr":
        from gestalt3d.data.photos.renderings import Renderings

        return Renderings(root, split or "all", vocabulary=vocabulary, limit=limit)
    if name == "pascal3d":
        from gestalt3d.data.photos.pascal3d import Pascal3D

        return Pascal3D(root, split or "all", vocabulary=vocabulary, limit=limit)
    from gestalt3d.data.photos.annotated import AnnotatedPhotos

    return AnnotatedPhotos(root, split, kind=name, vocabulary=vocabulary, limit=limit)
