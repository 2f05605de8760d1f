"""How answers to photos are scored: average precision of whole and of visible masks, and IoU of whole masks and of what is
hidden.

An answer whose visible masks are the true ones completes what it was given: object by object it is compared with the truth. Of
any other, objects are paired with what was found as `metrics.amodal_iou` says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gestalt3d.coco.runs import Runs
from gestalt3d.errors import UserError
from gestalt3d.io.whole_masks import runs_of
from gestalt3d.metrics.amodal_iou import Average, Completions, Mask, completions, of_pairs
from gestalt3d.metrics.coco_amodal import figures as coco_figures
from gestalt3d.metrics.coco_precision import Found, Objects, overlapping
from gestalt3d.metrics.counts import Counts
from gestalt3d.metrics.report import Figures, Results, defined
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary

_MEANS: dict[str, tuple[Mask, Average]] = {
    "mIoU": ("whole", "class"),
    "hidden_mIoU": ("occluded", "class"),
    "IoU": ("whole", "instance"),
    "hidden_IoU": ("occluded", "instance"),
}
"""Means over the classes, and over all objects."""


@dataclass(frozen=True)
class _Seen:
    """A photo's truth and the answer to it."""

    name: str
    classes: np.ndarray
    whole: Runs
    visible: Runs
    found_classes: np.ndarray
    scores: np.ndarray
    found_whole: Runs
    found_visible: Runs
    completes: bool
    """Whether the answer is about the true objects, one by one."""


class PhotoScores:
    """Figures of photos whose truth has visible and whole masks. Objects of no class of the vocabulary do not count."""

    def __init__(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> None:
        self.vocabulary, self.class_agnostic = vocabulary, class_agnostic
        self._seen: list[_Seen] = []
        self._skipped: list[str] = []

    def see(self, scan: Scan, found: Instances) -> None:
        """Compare what was found in a photo with the truth; an answer without whole masks has its visible ones as such."""
        truth, size = scan.truth, _size(scan)
        if truth.whole is None or not len(truth):
            self._skipped.append(scan.name)
            return
        classes, kinds = truth.classes.numpy(), found.classes.cpu().numpy()
        if self.class_agnostic:
            classes, kinds = np.zeros_like(classes), np.zeros_like(kinds)
        self._seen.append(
            _Seen(
                scan.name,
                classes,
                _runs(truth.whole, size),
                _runs(truth.masks, size),
                kinds,
                found.scores.double().cpu().numpy(),
                _runs(found.masks if found.whole is None else found.whole, size),
                _runs(found.masks, size),
                found.masks.to("cpu") == truth.masks,
            )
        )

    def results(self) -> Results:
        """By photo `IoU` and `hidden_IoU` of its objects; of all the same, their means over the classes, and COCO's precisions.

        `visible` holds the precisions of visible masks, `per_class` the IoUs by class; `n` counts objects and `n_hidden` those
        of which something is hidden.
        """
        scans: dict[str, Figures] = {}
        for one in self._seen:
            own = self._completed([one])
            figures: dict[str, Any] = {"n": len(own.rows)}
            scans[one.name] = figures | {
                key: _percent(own.mean(*_MEANS[key])) for key in ("IoU", "hidden_IoU")
            }
        return {"scans": scans, "pooled": self._pooled(), "skipped": self._skipped}

    def left_out(self) -> dict[str, list[float | None]]:
        """The pooled IoUs with each photo left out in turn."""
        photo, own = self._photo(), self._completed(self._seen)
        of_row = photo[own.rows]
        return {
            key: [_percent(value) for value in own.means_without(mask, average, of_row, len(self._seen))]
            for key, (mask, average) in _MEANS.items()
        }

    def counts(self) -> Counts:
        """`UserError`: precisions of several runs cannot be added up without their masks."""
        raise UserError("photos are not added up in a file; evaluate them in one run, without --add-to")

    def add_counts(self, counts: Counts) -> None:
        self.counts()

    def _pooled(self) -> Figures:
        own = self._completed(self._seen)
        found: dict[str, Any] = {
            key: _percent(own.mean(mask, average)) for key, (mask, average) in _MEANS.items()
        }
        found |= {"n": len(own.rows), "n_hidden": int(own.is_occluded.sum())}
        names = ("object",) if self.class_agnostic else self.vocabulary.names
        found["per_class"] = {
            names[c]: {
                "IoU": _percent(own.of_category(c).mean("whole", "instance")),
                "hidden_IoU": _percent(own.of_category(c).mean("occluded", "instance")),
                "n_gt": int((own.category == c).sum()),
            }
            for c in np.unique(own.category).tolist()
        }
        precisions = self._precisions(self._seen, visible=False)
        visible = self._precisions(self._seen, visible=True)
        keys = ("AP", "AP50", "AP75", "AR100")
        found |= {key: _percent(precisions[key]) for key in keys}
        found["visible"] = {key: _percent(visible[key]) for key in keys}
        return found

    def _precisions(self, seen: list[_Seen], *, visible: bool) -> dict[str, Any]:
        objects, found = self._objects(seen, visible=visible), self._found(seen, visible=visible)
        names = ("object",) if self.class_agnostic else self.vocabulary.names
        return coco_figures(objects, found, overlapping(objects, found), names)

    def _completed(self, seen: list[_Seen]) -> Completions:
        objects, found = self._objects(seen), self._found(seen)
        visible = Runs.cat([one.visible for one in seen])
        if all(one.completes for one in seen):
            return of_pairs(objects, found, visible, np.arange(len(objects.category)))
        return completions(objects, found, visible)

    def _objects(self, seen: list[_Seen], *, visible: bool = False) -> Objects:
        masks = Runs.cat([one.visible if visible else one.whole for one in seen])
        photo = np.repeat(np.arange(len(seen)), [len(one.classes) for one in seen])
        return Objects(
            photo, _joined(one.classes for one in seen), masks, masks.areas.astype(float), masks.areas == 0,
            np.zeros(len(masks), bool),
        )  # fmt: skip

    def _found(self, seen: list[_Seen], *, visible: bool = False) -> Found:
        masks = Runs.cat([one.found_visible if visible else one.found_whole for one in seen])
        photo = np.repeat(np.arange(len(seen)), [len(one.found_classes) for one in seen])
        scores = np.concatenate([np.zeros(0), *(one.scores for one in seen)])
        return Found(photo, _joined(one.found_classes for one in seen), scores, masks)

    def _photo(self) -> np.ndarray:
        return np.repeat(np.arange(len(self._seen)), [len(one.classes) for one in self._seen])


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _size(scan: Scan) -> tuple[int, int]:
    """Height and width."""
    view: Any = scan.input
    return view.image.shape[1], view.image.shape[2]


def _runs(masks: Sets, size: tuple[int, int]) -> Runs:
    return runs_of(masks, height=size[0], width=size[1])


def _percent(value: Any) -> float | None:
    return None if value is None else defined(100 * float(value))
