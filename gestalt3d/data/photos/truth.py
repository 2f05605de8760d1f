"""Masks of a photo as the truth about it."""

from pathlib import Path

import numpy as np
import torch

from gestalt3d.coco.runs import Runs
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary


def view_of(image: np.ndarray, path: Path | None = None) -> View:
    """Of (h, w, 3) uint8 colours."""
    colors = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
    return View(colors, path=path)


def sets_of(runs: Runs, pixels: int) -> Sets:
    """Masks of one photo as sets of its elements."""
    return Sets.of([torch.from_numpy(runs.pixels(i)) for i in range(len(runs))], pixels)


def truth_of(
    visible: Runs, whole: Runs | None, classes: np.ndarray, pixels: int, vocabulary: Vocabulary
) -> Instances:
    """Objects, a row each; their boxes in the image are those of the whole masks where these are known."""
    known = visible if whole is None else whole
    return Instances(
        masks=sets_of(visible, pixels),
        whole=None if whole is None else sets_of(whole, pixels),
        classes=torch.from_numpy(classes.astype(np.int64)),
        scores=torch.ones(len(classes)),
        vocabulary=vocabulary,
        image_boxes=torch.from_numpy(known.boxes).float(),
    )
