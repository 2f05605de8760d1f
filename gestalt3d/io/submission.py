"""What benchmarks take. ScanNet's: a folder per task, a text file per scene, a line per vertex of its mesh. S3DIS's: an
archive per room, four numbers a point. PartNet's: an archive per shape, a mask for each part.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.vocabulary import S3DIS, SCANNET18, SCANNET20, Vocabulary, translate


class Submission:
    """A new folder that scenes are added to; each file in it is complete, and a scene's list comes after its masks.

    - `instance/<scene>.txt`: lines `predicted_masks/<scene>_000.txt label_id confidence`; masks: 0 or 1 per vertex
    - `semantic/<scene>.txt`: NYU40 id per vertex, 0 none
    - `gt-instance/<scene>.txt`: label * 1000 + instance per vertex, of scenes whose truth was added
    - `gt-semantic/<scene>.txt`: NYU40 id per vertex

    `gestalt3d score scannet` and `scannet-semantic` read these. Classes of other vocabularies are mapped to
    ScanNet's by `translate`; instances whose class the benchmark does not ask for are left out.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        _expect_new(self.folder)

    def add(self, scene: str, found: Instances) -> None:
        """Write what was found in a scene; `found` must have a point for each vertex of the mesh, in its order."""
        _expect_name(scene)
        found = found.to("cpu")
        if not bool(torch.isfinite(found.scores).all()):
            raise ValueError(f"scores of {scene} must be finite")
        self._add_instances(scene, found)
        labels = _official(found.vocabulary, SCANNET20)[found.classes_of_elements()]
        _write(self.folder / "semantic" / f"{scene}.txt", _lines(labels))

    def add_truth(self, scene: str, semantic: np.ndarray, instance: np.ndarray) -> None:
        """Write the ground truth of a scene: (n,) NYU40 ids and (n,) numbers of objects, 0 none.

        Without any object there is no file in `gt-instance`.
        """
        _expect_name(scene)
        _write(self.folder / "gt-semantic" / f"{scene}.txt", _lines(semantic))
        if (instance > 0).any():
            _write(self.folder / "gt-instance" / f"{scene}.txt", _lines(semantic * 1000 + instance))

    def _add_instances(self, scene: str, found: Instances) -> None:
        labels = _official(found.vocabulary, SCANNET18)[found.classes]
        wanted = np.flatnonzero((labels > 0) & (found.sizes.numpy() > 0)).tolist()
        listed, written = [], []
        try:
            for number, i in enumerate(wanted):
                mask = f"predicted_masks/{scene}_{number:03d}.txt"
                written.append(self.folder / "instance" / mask)
                _write(written[-1], _bits(found.elements_of(i).numpy(), found.masks.size))
                listed.append(f"{mask} {labels[i]} {float(found.scores[i]):.9g}\n")
            _write(self.folder / "instance" / f"{scene}.txt", "".join(listed).encode())
        except BaseException:
            for mask in written:
                with suppress(OSError):
                    mask.unlink(missing_ok=True)
            raise


class RoomSubmission:
    """A new folder of rooms in the format that `gestalt3d score s3dis` reads, truth and prediction in one file.

    `<room>.npz`   gt_sem, gt_ins, pred_sem, pred_ins: (n,) int32 class and number of the instance of each point, -1 none
    """

    def __init__(self, folder: Path | str, *vocabularies: Vocabulary) -> None:
        """`vocabularies` are those of the answers and of the truth: S3DIS's."""
        self.folder = Path(folder)
        if other := [v.title for v in vocabularies if v.names != S3DIS.names]:
            raise UserError(
                f"{folder}: files of S3DIS hold its {len(S3DIS)} classes, not those of {other[0]!r}; take a model that knows them"
            )
        _expect_new(self.folder)

    def add(
        self,
        room: str,
        *,
        semantic: np.ndarray,
        instance: np.ndarray,
        predicted_semantic: np.ndarray,
        predicted_instance: np.ndarray,
    ) -> None:
        """Write a room: (n,) classes and numbers of instances, true and predicted, negative for none."""
        _expect_name(room)
        with atomic_path(self.folder / f"{room}.npz") as temporary:
            np.savez_compressed(
                temporary,
                gt_sem=semantic.astype(np.int32),
                gt_ins=instance.astype(np.int32),
                pred_sem=predicted_semantic.astype(np.int32),
                pred_ins=predicted_instance.astype(np.int32),
            )


class PartSubmission:
    """A new folder of shapes in the format that `gestalt3d score partnet` reads, truth and prediction in one file.

    - `<shape>.npz`: gt_mask (g, n) bool, gt_mask_label (g,), gt_mask_valid (g,), gt_mask_other (n,) bool for points in no part;
      pred_mask (p, n) bool, pred_label (p,), pred_valid (p,), pred_conf (p,) float32
    - `part_names.txt`: lines "id name leaf"; label i is line i
    """

    def __init__(self, folder: Path | str, vocabulary: Vocabulary, truth: Vocabulary) -> None:
        """Vocabularies of the answers and of the truth, which must be one; a class is named without its blanks."""
        self.folder = Path(folder)
        if vocabulary.names != truth.names:
            raise UserError(
                f"{folder}: parts are scored in the classes of the data, {truth.title!r}, not in those of "
                f"{vocabulary.title!r}; take a model that knows them"
            )
        _expect_new(self.folder)
        ids = vocabulary.official_ids or range(1, len(vocabulary) + 1)
        names = ("_".join(name.split()) for name in vocabulary.names)
        lines = [f"{number} {name} leaf\n" for number, name in zip(ids, names, strict=True)]
        _write(self.folder / "part_names.txt", "".join(lines).encode())

    def add(self, shape: str, *, truth: Instances, found: Instances) -> None:
        """Write a shape. Parts without a class or without points are left out."""
        _expect_name(shape)
        masks, labels, _ = _masks(truth)
        predicted, predicted_labels, scores = _masks(found.to("cpu"))
        if not np.isfinite(scores).all():
            raise ValueError(f"scores of {shape} must be finite")
        with atomic_path(self.folder / f"{shape}.npz") as temporary:
            np.savez_compressed(
                temporary,
                gt_mask=masks,
                gt_mask_label=labels,
                gt_mask_valid=np.ones(len(masks), dtype=bool),
                gt_mask_other=~masks.any(axis=0),
                pred_mask=predicted,
                pred_label=predicted_labels,
                pred_valid=np.ones(len(predicted), dtype=bool),
                pred_conf=scores,
            )


def _masks(found: Instances) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, n) bool, (i,) int32 classes, (i,) float32 scores of the instances with a class and points."""
    wanted = np.flatnonzero((found.classes.numpy() >= 0) & (found.sizes.numpy() > 0)).tolist()
    masks = np.zeros((len(wanted), found.masks.size), dtype=bool)
    for row, i in enumerate(wanted):
        masks[row, found.elements_of(i).numpy()] = True
    classes, scores = found.classes.numpy()[wanted], found.scores.numpy()[wanted]
    return masks, classes.astype(np.int32), scores.astype(np.float32)


def _official(source: Vocabulary, target: Vocabulary) -> np.ndarray:
    """(len(source) + 1,) official id in `target` of each class of `source`; the last entry serves -1. 0 is none."""
    return np.array([*target.official_ids, 0])[translate(source, target)]


def _bits(points: np.ndarray, count: int) -> bytes:
    text = np.empty((count, 2), dtype=np.uint8)
    text[:] = list(b"0\n")
    text[points, 0] = ord("1")
    return text.tobytes()


def _lines(values: np.ndarray) -> bytes:
    return "".join(f"{value}\n" for value in values.tolist()).encode()


def _write(path: Path, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _expect_name(scene: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", scene):
        raise UserError(f"no scene can be called {scene[:60]!r}; use letters, digits, '_', '-' and '.'")


def _expect_new(folder: Path) -> None:
    """An older submission would mix with this one; and links in it might lead elsewhere."""
    if folder.is_symlink() or folder.exists():
        if not folder.is_dir() or any(folder.iterdir()):
            raise UserError(f"{folder}: is there and not empty; a submission goes into a new folder")
        place = folder
    else:
        place = next(parent for parent in folder.absolute().parents if parent.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise UserError(f"{folder}: cannot be written there; name a folder where you may write")
