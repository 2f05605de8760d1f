"""How well masks are completed: of single objects, from viewpoints that training held out and from others, and in photos."""

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
PHOTO_MEANS = ("mIoU", "hidden mIoU", "mAP", "GFLOPs", "parameters (M)")
FINDER = "mask-rcnn-photos"
"""The shipped model whose visible masks all rows complete for mAP, and whose costs those that find nothing have as well."""
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


def measure_photos(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """`PHOTO_MEANS`: percent; the last two of the network as the row has it, with the finder where it finds nothing itself.

    For IoU every row is given what `measure` gives. For mAP it completes what one finder has found, the same for all: boxes,
    classes and scores are the finder's.
    """
    from gestalt3d.engine.model import load
    from gestalt3d.reproduce.network_costs import cost
    from gestalt3d.structures.view import View

    scores = _scored(model, scans, say)
    pooled, left_out = scores.results()["pooled"], scores.left_out()
    values = {name: number(pooled[key]) for name, key in _KEYS.items()}
    finder = load(FINDER)
    found = _scored(model, scans, say, finder)
    values["mAP"] = number(found.results()["pooled"]["AP"])
    view: object = scans[0].input
    assert isinstance(view, View)
    size = view.image.shape[2], view.image.shape[1]
    own = cost(model.method.config, model.vocabulary, size)
    if not model.finds:
        own = own + cost(finder.method.config, finder.vocabulary, size)
    values |= {"GFLOPs": own.flops / 1e9, "parameters (M)": own.parameters / 1e6}
    spread = {name: left_out[key] for name, key in _KEYS.items()} | {"mAP": found.left_out()["AP"]}
    return Figures(values, spread, list(scans.names), {})


def _scored(model: "Model", scans: "DataSet", say: Progress, finder: "Model | None" = None) -> "PhotoScores":
    """What it makes of the true visible masks in the boxes of whole objects, or of those that a finder has found."""
    from gestalt3d.data.photos.scores import PhotoScores
    from gestalt3d.methods.refiner import visible_part
    from gestalt3d.structures.view import View

    scores = PhotoScores(model.vocabulary)
    for i in range(len(scans)):
        say(f"complete {scans.names[i]}", i, len(scans))
        scan = scans[i]
        view: object = scan.input
        assert isinstance(view, View), "masks are completed in pictures"
        if finder is None:
            seen = visible_part(scan.truth, width=view.image.shape[2], whole_boxes=True)
        else:
            seen = finder.segment(view)
        scores.see(scan, model.refine(view, seen))
    return scores
