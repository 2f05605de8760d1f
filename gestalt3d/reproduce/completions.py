"""How well masks are completed in pictures of single objects, from viewpoints that training held out and from others."""

from typing import TYPE_CHECKING

from gestalt3d.reproduce.measure import number
from gestalt3d.reproduce.table import Figures, Progress

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.data.photos.scores import PhotoScores
    from gestalt3d.engine.model import Model

SEEN: str = "objects:new-objects"
"""The same objects as those of the test, from the viewpoints of training."""
MEANS = ("mIoU", "hidden mIoU", "mIoU seen viewpoints", "lost by new viewpoints")
_KEYS = {"mIoU": "mIoU", "hidden mIoU": "hidden_mIoU"}


def measure(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """`MEANS` and the IoU of each class, percent.

    Every row is given the true boxes of whole objects and the true visible masks, which belong to every answer, and no classes.
    """
    from gestalt3d.data import open_data

    scores = _scored(model, scans, say)
    pooled, left_out = scores.results()["pooled"], scores.left_out()
    values = {name: number(pooled[key]) for name, key in _KEYS.items()}
    others = open_data(SEEN, vocabulary=model.vocabulary, limit=len(scans))
    seen = number(_scored(model, others, say).results()["pooled"]["mIoU"])
    values["mIoU seen viewpoints"] = seen
    own = values["mIoU"]
    values["lost by new viewpoints"] = None if seen is None or own is None else seen - own
    classes = scores.by_class()
    values |= {name: number(row["IoU"]) for name, row in classes.items()}
    return Figures(
        values,
        {name: left_out[key] for name, key in _KEYS.items()},
        list(scans.names),
        {name: int(row["n_gt"] or 0) for name, row in classes.items()},
    )


def _scored(model: "Model", scans: "DataSet", say: Progress) -> "PhotoScores":
    from gestalt3d.data.photos.scores import PhotoScores
    from gestalt3d.methods.refiner import visible_part
    from gestalt3d.structures.view import View

    scores = PhotoScores(model.vocabulary)
    for i in range(len(scans)):
        say(f"complete {scans.names[i]}", i, len(scans))
        scan = scans[i]
        view: object = scan.input
        assert isinstance(view, View), "masks are completed in pictures"
        seen = visible_part(scan.truth, width=view.image.shape[2], whole_boxes=True)
        scores.see(scan, model.refine(view, seen))
    return scores
