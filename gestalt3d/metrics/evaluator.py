"""Every score of a method over many scans, from the little that has to be kept of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from gestalt3d.configs import Json
from gestalt3d.metrics.average_precision import (
    MIN_REGION,
    Judged,
    class_agnostic,
    judge,
    pooled_precision,
    pooled_recovery,
)
from gestalt3d.metrics.counts import Counts, overlaps_of_plain, plain_overlaps, table_of_plain
from gestalt3d.metrics.coverage import covered, pooled_coverage
from gestalt3d.metrics.matching import Overlaps, Regions, overlaps_of_masks
from gestalt3d.metrics.report import Results, by_class, defined, percent, room_scores
from gestalt3d.metrics.semantic import confusion, semantic
from gestalt3d.structures.vocabulary import Vocabulary

_NO_PRECISION: dict[str, Any] = {"AP": None, "AP50": None, "AP25": None}


@dataclass(frozen=True)
class Kept:
    """What remains of a scan: tables of counts, no array as long as the cloud."""

    overlaps: Overlaps
    objects: Overlaps
    """Class-agnostic."""
    counts: np.ndarray
    """Confusion table; all zero when the method gives no class per point."""


class CloudEvaluator:
    """Collects scans with `add`; `results` gives every score of each scan and of all pooled, in percent.

    AP asks for the named `classes`, by default all that are not structure; coverage, accuracy and IoU are
    over the whole vocabulary. With `class_agnostic` only the class-agnostic scores are given, and the truth
    may have a vocabulary of its own.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        classes: Sequence[str] | None = None,
        class_agnostic: bool = False,
        min_region: int = MIN_REGION,
    ) -> None:
        self.vocabulary = vocabulary
        names = [n for n in vocabulary.names if n not in vocabulary.structure] if classes is None else classes
        self.classes = [vocabulary.id(name) for name in names]
        self.class_agnostic = class_agnostic
        self.min_region = min_region
        self._kept: dict[str, Kept] = {}
        self._skipped: list[str] = []

    def add(
        self,
        name: str,
        gt_semantic: np.ndarray,
        gt_instance: np.ndarray,
        offsets: np.ndarray,
        indices: np.ndarray,
        classes: np.ndarray,
        scores: np.ndarray,
        point_classes: np.ndarray | None = None,
        *,
        gt_structure: np.ndarray | None = None,
        gt_masks: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> bool:
        """Count one scan; False when it has no instance labels and is only listed.

        Truth: (n,) classes and instance ids, -1 none. Prediction: masks `indices[offsets[i]:offsets[i + 1]]`,
        (i,) classes and scores, (n,) classes of the points. `gt_structure` (bool per true class) says what is
        structure when the truth has a vocabulary of its own. `gt_masks`, offsets, indices and classes, are the true
        instances where they overlap, which `gt_instance` cannot say.
        """
        if name in self._kept or name in self._skipped:
            raise ValueError(f"scan {name!r} was added before; give each scan its own name")
        if gt_structure is not None and not self.class_agnostic:
            raise ValueError(
                "gt_structure means another vocabulary, which only class_agnostic=True can score"
            )
        if len(gt_semantic) != len(gt_instance):
            raise ValueError(
                f"scan {name!r} has {len(gt_semantic)} true classes and {len(gt_instance)} instance ids"
            )
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(gt_instance):
            raise ValueError(f"indices of scan {name!r} must lie in [0, {len(gt_instance)})")
        if not (np.asarray(gt_instance) >= 0).any():
            self._skipped.append(name)
            return False
        regions = Regions.from_labels(gt_semantic, gt_instance)
        if gt_masks is not None:
            regions = Regions.from_masks(*gt_masks, labelled=np.asarray(gt_semantic) >= 0)
        overlaps = overlaps_of_masks(regions, offsets, indices, classes, scores)
        own = self.vocabulary.is_structure
        objects = class_agnostic(
            overlaps,
            region_structure=own if gt_structure is None else np.asarray(gt_structure, dtype=bool),
            prediction_structure=own,
        )
        self._kept[name] = Kept(overlaps, objects, self._confusion(gt_semantic, point_classes))
        return True

    def counts(self) -> Counts:
        """What `add_counts` takes: every scan's tables, and the settings that they depend on. Plain JSON."""
        return {
            "settings": self._settings(),
            "skipped": list(self._skipped),
            "scans": {
                name: {
                    "overlaps": plain_overlaps(kept.overlaps),
                    "objects": plain_overlaps(kept.objects),
                    "confusion": kept.counts.tolist(),
                }
                for name, kept in self._kept.items()
            },
        }

    def add_counts(self, counts: Counts) -> None:
        """Add the scans that another evaluator has counted.

        `ValueError` with a sentence where its settings are others, where a scan is here already, or where these are no counts.
        """
        try:
            settings, skipped = counts["settings"], [str(name) for name in counts["skipped"]]
            scans = {
                str(name): _kept_of_plain({**scan}, num_classes=len(self.vocabulary))
                for name, scan in counts["scans"].items()
                if settings == self._settings()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"holds no counts of an evaluation ({error})") from None
        for key, value in self._settings().items():
            if settings.get(key) != value:
                raise ValueError(f"was counted with another {key}: {settings.get(key)}, not {value}")
        if twice := [name for name in (*scans, *skipped) if name in self._kept or name in self._skipped]:
            raise ValueError(f"holds {twice[0]} already; a scan counts once")
        self._kept |= scans
        self._skipped += skipped

    def _settings(self) -> dict[str, Json]:
        """Plain JSON, as it comes back from a file."""
        return {
            "vocabulary": [self.vocabulary.title, *self.vocabulary.names],
            "structure": [*sorted(self.vocabulary.structure)],
            "classes": [*self.classes],
            "class_agnostic": self.class_agnostic,
            "min_region": self.min_region,
        }

    def results(self) -> Results:
        """`{"scans": {name: scores}, "pooled": scores, "skipped": [names]}`, percent, `None` where undefined.

        Scores are `AP`, `AP50`, `AP25`, `recall50`, `coverage`; unless class-agnostic also `class_agnostic`
        with these five, `mCov`, `mWCov`, `mPrec`, `mRec`, `mAcc`, `mIoU` (means over the classes that have a
        value), `oAcc`, `official` (the plain means, undefined as soon as one class is) and `per_class`.
        """
        judged = {name: self._judged(kept) for name, kept in self._kept.items()}
        scans = {name: percent(self._scores([one])) for name, one in judged.items()}
        # By name: sums of floats depend on the order, and scans may come in any.
        return {
            "scans": scans,
            "pooled": percent(self._scores([judged[name] for name in sorted(judged)])),
            "skipped": list(self._skipped),
        }

    def left_out(self) -> dict[str, list[float | None]]:
        """The pooled means of `results` with each scan left out in turn, by metric and in the scans' order, percent.

        They say how much a figure owes to single scans: the jackknife.
        """
        scans = [self._judged(kept) for kept in self._kept.values()]
        rows = [percent(self._scores([*scans[:i], *scans[i + 1 :]])) for i in range(len(scans))]
        means = [key for key, value in percent(self._scores(scans)).items() if not isinstance(value, Mapping)]
        return {key: [row[key] for row in rows] for key in means}

    def _judged(self, kept: Kept) -> "JudgedScan":
        objects = judge(kept.objects, classes=[0], min_region=self.min_region)
        if self.class_agnostic:
            return JudgedScan(kept, objects, None)
        by_class = judge(kept.overlaps, classes=self.classes, min_region=self.min_region)
        coverage = covered(kept.overlaps, num_classes=len(self.vocabulary))
        return JudgedScan(kept, objects, _OfClasses(by_class, coverage, kept.counts))

    def _confusion(self, truth: np.ndarray, predicted: np.ndarray | None) -> np.ndarray:
        num_classes = len(self.vocabulary)
        if predicted is None or self.class_agnostic:
            return np.zeros((num_classes, num_classes + 1), dtype=np.int64)
        return confusion(truth, predicted, num_classes=num_classes)

    def _scores(self, judged: Sequence["JudgedScan"]) -> dict[str, Any]:
        objects = self._instance_scores([one.objects for one in judged], [0])[0]
        if self.class_agnostic:
            return objects
        by_class = [one.by_class for one in judged if one.by_class is not None]
        instances, per_class = self._instance_scores([one.instances for one in by_class], self.classes)
        num_classes = len(self.vocabulary)
        counts = sum((one.counts for one in by_class), np.zeros((num_classes, num_classes + 1), np.int64))
        of_scans = pooled_coverage([one.covered for one in by_class], num_classes=num_classes)
        rooms = room_scores(self.vocabulary.names, of_scans, semantic(counts))
        return {
            **instances,
            "class_agnostic": objects,
            **rooms["nan_skipped"],
            "oAcc": rooms["oAcc"],
            "official": {key: rooms[key] for key in rooms["nan_skipped"]},
            "per_class": {
                name: per_class.get(name, _NO_PRECISION) | c for name, c in rooms["per_class"].items()
            },
        }

    def _instance_scores(
        self, scans: Sequence[Judged], classes: Sequence[int]
    ) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Means, and AP, AP50 and AP25 of each class."""
        precision, found = pooled_precision(scans, classes), pooled_recovery(scans)
        columns = {"AP": precision.per_class, "AP50": precision.per_class_50, "AP25": precision.per_class_25}
        means = {
            "AP": precision.ap,
            "AP50": precision.ap50,
            "AP25": precision.ap25,
            "recall50": found.recall50,
            "coverage": found.coverage,
        }
        names = [self.vocabulary.names[c] for c in classes]
        return {key: defined(value) for key, value in means.items()}, by_class(names, columns)


class _OfClasses(NamedTuple):
    instances: Judged
    covered: Float64[np.ndarray, "c 5"]
    counts: Int64[np.ndarray, "c c_plus_1"]


class JudgedScan(NamedTuple):
    """What figures take from a scan and does not depend on others: found once, however often scans are pooled."""

    kept: Kept
    objects: Judged
    by_class: _OfClasses | None
    """None where classes do not count."""


def _kept_of_plain(scan: Mapping[str, Any], *, num_classes: int) -> Kept:
    return Kept(
        overlaps_of_plain(scan["overlaps"]),
        overlaps_of_plain(scan["objects"]),
        table_of_plain(scan["confusion"], num_classes=num_classes),
    )
