"""How answers to photos with masks are scored."""

from typing import Any

import numpy as np

from gestalt3d.io.whole_masks import runs_of
from gestalt3d.metrics.mask_evaluator import MaskEvaluator, Masks
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.view import View


class PhotoScores(MaskEvaluator):
    """A `MaskEvaluator` of views. Where instances say nothing of what is whole, their masks are compared as both."""

    def see(self, scan: Scan, found: Instances) -> None:
        """Count what was found in a photo, beside the truth."""
        view: Any = scan.input
        assert isinstance(view, View), "masks in photos are scored in views"
        size = view.image.shape[1], view.image.shape[2]
        self.add(scan.name, _masks(scan.truth, size), _masks(found, size))


def _masks(given: Instances, size: tuple[int, int]) -> Masks:
    height, width = size
    whole = runs_of(given.masks if given.whole is None else given.whole, width=width, height=height)
    visible = None if given.whole is None else runs_of(given.masks, width=width, height=height)
    classes, scores = given.classes.cpu().numpy(), given.scores.cpu().numpy()
    return Masks(classes.astype(np.int64), whole, visible, scores.astype(np.float64))
