"""How answers to labelled clouds are scored: what every data set of clouds shares."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gestalt3d.data import Evaluator, Official, Seen
from gestalt3d.errors import UserError
from gestalt3d.io.submission import PartSubmission
from gestalt3d.metrics.average_precision import MIN_REGION
from gestalt3d.metrics.evaluator import CloudEvaluator, JudgedScan
from gestalt3d.metrics.part_precision import part_precision
from gestalt3d.metrics.report import defined
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary


class LabelledClouds:
    """Base of the data sets of clouds; what they do not say of themselves stands here."""

    vocabulary: Vocabulary
    names: list[str]
    min_region: int = MIN_REGION
    """Regions and predictions of fewer points do not count in AP."""
    unreadable: dict[str, str] = {}  # noqa: RUF012
    """Name → what is wrong, of the scans that cannot be read."""
    label_hint: str = ""
    """In words, where labels were looked for."""

    def without_instances(self) -> list[str]:
        """Names of the scans that say nothing about instances, where some may be expected to."""
        return []

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of `CloudEvaluator`; for answers in that vocabulary."""
        return CloudScores(vocabulary, class_agnostic=class_agnostic, min_region=self.min_region)

    def official(self, folder: Path, vocabulary: Vocabulary) -> Official:
        """What writes answers as a benchmark takes them; `UserError` where there is no benchmark of this data."""
        raise UserError(
            f"{folder}: a submission is written for the data scannet:val, scannet:test, s3dis:area5, parts-chair:val, … only"
        )


class LabelledParts(LabelledClouds):
    """Base of the data sets of parts of objects: scored by PartNet's rule, too, and parts of any size count."""

    min_region = 1
    """A knob has some dozens of points: the 100 that ScanNet's benchmark asks of a region would drop it."""

    def evaluator(self, vocabulary: Vocabulary, *, class_agnostic: bool = False) -> Evaluator:
        """That of `CloudEvaluator` and `mAP`, `shape_mAP` and, by class, `partAP` beside it."""
        return PartScores(vocabulary, class_agnostic=class_agnostic, min_region=self.min_region)

    def official(self, folder: Path, vocabulary: Vocabulary) -> Official:
        """What was found and the truth, as `PartSubmission` writes them; figures are those of what was written."""
        return _Shapes(PartSubmission(folder, vocabulary, self.vocabulary))


class CloudScores(CloudEvaluator):
    """A `CloudEvaluator` of scans."""

    def see(self, scan: Scan, found: Instances) -> None:
        """Count what was found in a scan, beside the truth."""
        truth = scan.truth
        semantic, is_structure = truth.classes_of_elements(), truth.vocabulary.is_structure
        if self.class_agnostic and not bool((semantic >= 0).any()):
            # Labels that say nothing about classes: all are objects.
            semantic, is_structure = torch.zeros_like(semantic), np.array([False])
        masks = truth.masks.offsets.numpy(), truth.masks.indices.numpy(), truth.classes.numpy()
        self.add(
            scan.name,
            semantic.numpy(),
            truth.to_labels().numpy(),
            found.masks.offsets.numpy(),
            found.masks.indices.numpy(),
            found.classes.numpy(),
            found.scores.numpy(),
            found.classes_of_elements().numpy(),
            gt_structure=is_structure if self.class_agnostic else None,
            gt_masks=masks if truth.masks.overlap else None,
        )


class PartScores(CloudScores):
    """A `CloudScores` that adds the figures of PartNet's benchmark."""

    def _scores(self, judged: Sequence[JudgedScan]) -> dict[str, Any]:
        scores = super()._scores(judged)
        if self.class_agnostic:
            return scores
        found = part_precision([one.kept.overlaps for one in judged], num_classes=len(self.vocabulary))
        by_part = zip(scores["per_class"].items(), found.per_class.tolist(), strict=True)
        return {
            "mAP": defined(found.mean),
            "shape_mAP": defined(found.shape_mean),
            **scores,
            "per_class": {name: {"partAP": defined(area), **row} for (name, row), area in by_part},
        }


class _Shapes:
    """PartNet's benchmark asks for parts."""

    takes_unlabelled = False

    def __init__(self, submission: PartSubmission) -> None:
        self._submission = submission

    def add(self, found: Instances, seen: Seen) -> Seen:
        self._submission.add(seen.scan.name, truth=seen.scan.truth, found=found)
        return seen
