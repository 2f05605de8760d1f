"""Collects photos with true and found masks, and scores them together (`coco_amodal`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gestalt3d.coco.runs import Runs
from gestalt3d.coco.strings import BadMask, from_strings, to_strings
from gestalt3d.configs import Json
from gestalt3d.metrics.amodal_iou import Average, Completions, Mask, completions, of_pairs
from gestalt3d.metrics.coco_amodal import figures, scores
from gestalt3d.metrics.coco_precision import Found, Objects, overlapping
from gestalt3d.metrics.counts import Counts, ScanCounts
from gestalt3d.metrics.report import Results, defined, percent
from gestalt3d.structures.vocabulary import Vocabulary

OF_PHOTO = ("AP", "AP50", "AP75", "AR100")
"""What is said of each photo alone."""
MEANS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
COMPLETIONS: dict[str, tuple[Mask, Average]] = {
    "mIoU": ("whole", "class"),
    "hidden_mIoU": ("occluded", "class"),
    "IoU": ("whole", "instance"),
    "hidden_IoU": ("occluded", "instance"),
}
"""Of whole masks and of what is hidden of them: means over the classes, and over all objects."""


@dataclass(frozen=True)
class Masks:
    """What is in a photo, or was found there, a row each."""

    classes: np.ndarray
    """(i,) int64: -1 is none."""
    whole: Runs
    visible: Runs | None
    """None where nothing is said of it."""
    scores: np.ndarray
    """(i,) float64; of the truth 1."""


class MaskEvaluator:
    """Collects photos with `add`; `results` gives the figures of each and of all pooled, in percent.

    Answers whose visible masks are the true ones, in their order, complete what they were given: if all are such, `COMPLETIONS`
    compare object by object, and else as `amodal_iou` pairs them.
    """

    def __init__(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> None:
        self.vocabulary, self.class_agnostic = vocabulary, class_agnostic
        self._kept: dict[str, tuple[Masks, Masks]] = {}
        self._skipped: list[str] = []

    def add(self, name: str, truth: Masks, found: Masks) -> None:
        """Count a photo; one without a true object is named in "skipped", and what was found in it counts as wrong."""
        if name in self._kept:
            raise ValueError(f"photo {name!r} was added before; give each photo its own name")
        self._kept[name] = truth, found
        if not len(truth.classes):
            self._skipped.append(name)

    def results(self) -> Results:
        """Of each photo `OF_PHOTO` of whole masks, and `IoU` and `hidden_IoU`. Pooled also `MEANS`, `COMPLETIONS`, `n_gt`,
        `per_class`, and the same of `visible`; and `by_occlusion`, `iou` and `order` as `coco_amodal.score_coco_amodal` has
        them. None where undefined.
        """
        return {
            "scans": {
                name: self._of_photo(name) for name, (truth, _) in self._kept.items() if len(truth.classes)
            },
            "pooled": percent(self._pooled([self._kept[name] for name in sorted(self._kept)])),
            "skipped": list(self._skipped),
        }

    def left_out(self) -> dict[str, list[float | None]]:
        """The pooled means with each photo left out in turn, by figure and in the photos' order, percent."""
        kept = list(self._kept.values())
        rows = [percent(self._means([*kept[:i], *kept[i + 1 :]])) for i in range(len(kept))]
        means: dict[str, list[float | None]] = {key: [row[key] for row in rows] for key in MEANS}
        completed = self._completed(kept)
        if completed is None:
            nothing: list[float | None] = [None] * len(kept)
            return means | dict.fromkeys(COMPLETIONS, nothing)
        photo = np.repeat(np.arange(len(kept)), [len(truth.classes) for truth, _ in kept])[completed.rows]
        for key, (mask, average) in COMPLETIONS.items():
            values = completed.means_without(mask, average, photo, len(kept))
            means[key] = [percent(defined(value)) for value in values]
        return means

    def counts(self) -> Counts:
        """What `add_counts` takes, as plain JSON: all masks as COCO's strings."""
        scans: dict[str, ScanCounts] = {
            name: {"objects": {"truth": _plain(truth), "found": _plain(found)}}
            for name, (truth, found) in self._kept.items()
        }
        return {"settings": self._settings, "skipped": list(self._skipped), "scans": scans}

    def add_counts(self, counts: Counts) -> None:
        """Add the photos of another evaluator; `ValueError` with a sentence where these are no counts or do not belong here."""
        try:
            if counts["settings"] != self._settings:
                raise ValueError(f"counted with {counts['settings']}, not with {self._settings}")
            read: dict[str, Any] = {
                name: [_of_plain(own["objects"][side]) for side in ("truth", "found")]
                for name, own in counts["scans"].items()
                for own in [dict[str, Any](own)]
            }
        except (KeyError, TypeError, AttributeError, BadMask) as error:
            raise ValueError(f"holds no counts of masks in photos ({error})") from None
        if both := sorted(read.keys() & self._kept.keys()):
            raise ValueError(f"photo {both[0]!r} was counted before")
        for name, (truth, found) in read.items():
            self.add(name, truth, found)

    @property
    def _settings(self) -> dict[str, Json]:
        return {"class_agnostic": self.class_agnostic, "classes": list(self._names)}

    @property
    def _names(self) -> tuple[str, ...]:
        return ("object",) if self.class_agnostic else self.vocabulary.names

    def _of_photo(self, name: str) -> dict[str, Json]:
        kept = [self._kept[name]]
        means, completed = self._means(kept), self._completions(kept)
        own = {key: completed[key] for key in ("IoU", "hidden_IoU")}
        return percent({key: means[key] for key in OF_PHOTO} | own)

    def _means(self, kept: Sequence[tuple[Masks, Masks]]) -> dict[str, Any]:
        objects, found = self._objects(kept), self._found(kept)
        return figures(objects, found, overlapping(objects, found), self._names)

    def _pooled(self, kept: Sequence[tuple[Masks, Masks]]) -> dict[str, Any]:
        objects, found = self._objects(kept), self._found(kept)
        visible = _together([truth.visible for truth, _ in kept], len(objects.photo))
        found_visible = _together([own.visible for _, own in kept], len(found.photo))
        given = self._completes(kept)
        completed = self._completed(kept) if given else None
        pooled = scores(objects, visible, found, found_visible, self._names, completed=completed)
        if pooled["iou"] is not None:
            pooled["iou"]["given"] = given
        return {**pooled.pop("amodal"), **self._completions(kept), "n_gt": len(objects.photo), **pooled}

    def _completions(self, kept: Sequence[tuple[Masks, Masks]]) -> dict[str, Any]:
        completed = self._completed(kept)
        return {
            key: None if completed is None else defined(completed.mean(mask, average))
            for key, (mask, average) in COMPLETIONS.items()
        }

    def by_class(self) -> dict[str, dict[str, float | int | None]]:
        """`IoU` and `hidden_IoU`, percent, and `n_gt` of the objects of each class that has any; of all photos."""
        completed = self._completed(list(self._kept.values()))
        if completed is None:
            return {}
        found: dict[str, dict[str, float | int | None]] = {}
        for c in np.unique(completed.category[completed.category >= 0]).tolist():
            own = completed.of_category(c)
            means = {
                "IoU": defined(own.mean("whole", "instance")),
                "hidden_IoU": defined(own.mean("occluded", "instance")),
            }
            found[self._names[c]] = percent(means) | {"n_gt": len(own.rows)}
        return found

    def _completes(self, kept: Sequence[tuple[Masks, Masks]]) -> bool:
        """Whether answers are about the true objects, one by one."""
        return all(own.visible is not None and own.visible == truth.visible for truth, own in kept)

    def _completed(self, kept: Sequence[tuple[Masks, Masks]]) -> Completions | None:
        """None where nothing is known of what is visible."""
        objects, found = self._objects(kept), self._found(kept)
        visible = _together([truth.visible for truth, _ in kept], len(objects.photo))
        if visible is None:
            return None
        if self._completes(kept):
            return of_pairs(objects, found, visible, np.arange(len(objects.photo)))
        return completions(objects, found, visible)

    def _objects(self, kept: Sequence[tuple[Masks, Masks]]) -> Objects:
        sides = [truth for truth, _ in kept]
        photo, category, masks = self._columns(sides)
        nothing = np.zeros(len(photo), bool)
        return Objects(photo, category, masks, masks.areas.astype(np.float64), nothing, nothing)

    def _found(self, kept: Sequence[tuple[Masks, Masks]]) -> Found:
        sides = [found for _, found in kept]
        photo, category, masks = self._columns(sides)
        return Found(photo, category, np.concatenate([np.zeros(0), *(own.scores for own in sides)]), masks)

    def _columns(self, sides: Sequence[Masks]) -> tuple[np.ndarray, np.ndarray, Runs]:
        nothing = np.zeros(0, np.int64)
        classes = np.concatenate([nothing, *(own.classes for own in sides)])
        photo = np.repeat(np.arange(len(sides)), [len(own.classes) for own in sides])
        category = np.zeros_like(classes) if self.class_agnostic else classes
        return photo, category, Runs.cat([own.whole for own in sides])


def _together(parts: Sequence[Runs | None], count: int) -> Runs | None:
    """None where a part that has masks says nothing; an empty one may."""
    said = [part for part in parts if part is not None]
    return Runs.cat(said) if sum(len(part) for part in said) == count else None


def _plain(masks: Masks) -> Json:
    def strings(runs: Runs | None) -> Json:
        return None if runs is None else [text.decode("ascii") for text in to_strings(runs)]

    return {
        "classes": masks.classes.tolist(),
        "scores": masks.scores.tolist(),
        "sizes": masks.whole.sizes.tolist(),
        "whole": strings(masks.whole),
        "visible": strings(masks.visible),
    }


def _of_plain(plain: Any) -> Masks:
    sizes = np.array(plain["sizes"], np.int64).reshape(-1, 2)
    whole, visible = (
        None if plain[key] is None else from_strings([text.encode("ascii") for text in plain[key]], sizes)
        for key in ("whole", "visible")
    )
    classes = np.array(plain["classes"], np.int64).reshape(-1)
    said = np.array(plain["scores"], np.float64).reshape(-1)
    if whole is None or {len(classes), len(said), len(whole)} != {len(sizes)}:
        raise ValueError("holds no counts of masks in photos (rows are missing)")
    return Masks(classes, whole, visible, said)
