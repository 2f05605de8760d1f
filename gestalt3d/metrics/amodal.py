"""Scores of whole objects in frames: their boxes, their voxels, and the part of these that nobody sees.

The paper of A3IS-CNN names figures and defines none. This is how they are read:

AP, AP2, AP4  average precision (`metrics.detection`) of the objects' voxels: mean of the IoU thresholds .25, .30, … .75; at .25;
              at .50
APb, APb50    that of their boxes at .25, as for SUN RGB-D, and at .50
APr           that at .25 of the voxels that no object of the frame shows, of answers and truths alike. Objects that show more
              than 95 % of their voxels need not be found, and answers that are theirs (IoU .25, whole) or that hold no hidden
              voxel are neither right nor wrong.
APr full      the plain average precision of regions, at .50 and with nothing left out: AP4
APm           an answer is right whose box has an IoU of .25 or more and whose voxels have .50 or more with the true ones, both
              counted within the answer's box; of several truths the one with the higher IoU of voxels
recallb       share of the objects that a box of their class is found for, at .25

Beside them stands what does not depend on scores and classes. Every object gets the answer that its voxels share most with, one
to one, the largest IoU first and on a tie the lower answer, then the lower object; any overlap is enough. For objects that have
one, `invisible_iou` is the mean IoU of answer and object where both are without the object's own visible voxels (of objects with
invisible ones), `box_iou` that of the boxes; `…_all` counts 0 for objects without an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64

from gestalt3d.configs import Json
from gestalt3d.metrics.average_precision import nan_mean
from gestalt3d.metrics.boxes3d import BOX_IOU, box_iou, inside_box
from gestalt3d.metrics.counts import Counts, ScanCounts
from gestalt3d.metrics.detection import Pairs, precision_at
from gestalt3d.metrics.report import Results, defined, percent
from gestalt3d.metrics.voxel_masks import Voxels, VoxelSets, voxel_iou
from gestalt3d.structures.vocabulary import Vocabulary

MASK_IOU = tuple(k / 20 for k in range(5, 16))
"""Thresholds whose mean is AP."""
_LOOSE, _HALF = 0.25, 0.5
LEAST_HIDDEN = 0.05
"""Share of an object's voxels that must be invisible to count in APr."""
EDGES = (0.25, 0.5, 0.75)
"""Invisible shares between which objects are counted together; one on an edge counts to the range above."""
OF_MASKS = ("AP", "AP2", "AP4", "APr", "APr full")
OF_BOXES = ("APb", "APb50", "recallb")
FIGURES = ("AP", "AP2", "AP4", "APb", "APb50", "APr", "APr full", "APm", "recallb")


@dataclass(frozen=True)
class WholeTruth:
    """The `r` objects of a frame; None for what the data do not know."""

    classes: Int[np.ndarray, "r"]
    """-1: of no class that is asked for, but an object."""
    voxels: Sequence[Voxels] | None = None
    visible: Sequence[Bool[np.ndarray, "_v"]] | None = None
    """Which voxels of each the image shows; goes with `voxels`."""
    boxes: Float[np.ndarray, "r 7"] | None = None


@dataclass(frozen=True)
class WholeAnswer:
    """The `p` objects found in a frame; None for what the answer does not say. One that is empty may say nothing of all."""

    classes: Int[np.ndarray, "p"]
    scores: Float[np.ndarray, "p"]
    voxels: Sequence[Voxels] | None = None
    boxes: Float[np.ndarray, "p 7"] | None = None


@dataclass(frozen=True)
class _Masks:
    """What voxels of answers and truths share."""

    common: Int64[np.ndarray, "p r"]
    common_visible: Int64[np.ndarray, "p r"]
    """Voxels of the answer that the image shows of that truth."""
    common_hidden: Int64[np.ndarray, "p r"]
    """Without those that the image shows of any truth."""
    sizes: Int64[np.ndarray, "p"]
    hidden_sizes: Int64[np.ndarray, "p"]
    true_sizes: Int64[np.ndarray, "r"]
    true_visible: Int64[np.ndarray, "r"]
    true_hidden: Int64[np.ndarray, "r"]

    @classmethod
    def of(cls, answer: VoxelSets, truth: VoxelSets, is_visible: Bool[np.ndarray, "m"]) -> "_Masks":
        visible = truth.where(is_visible)
        hidden, true_hidden = (sets.where(~sets.within(visible)) for sets in (answer, truth))
        return cls(
            answer.common(truth), answer.common(visible), hidden.common(true_hidden), answer.sizes,
            hidden.sizes, truth.sizes, visible.sizes, true_hidden.sizes,
        )  # fmt: skip

    @property
    def iou(self) -> Float64[np.ndarray, "p r"]:
        return voxel_iou(self.common, self.sizes, self.true_sizes)

    @property
    def hidden_iou(self) -> Float64[np.ndarray, "p r"]:
        return voxel_iou(self.common_hidden, self.hidden_sizes, self.true_hidden)

    @property
    def hidden_share(self) -> Float64[np.ndarray, "r"]:
        """Of each truth's voxels those that the image does not show of it; of a truth without voxels 0."""
        return (self.true_sizes - self.true_visible) / np.maximum(self.true_sizes, 1)

    @property
    def invisible_iou(self) -> Float64[np.ndarray, "p r"]:
        """Of answer and truth without the truth's own visible voxels; NaN of a truth that is seen whole."""
        common = self.common - self.common_visible
        hidden = self.true_sizes - self.true_visible
        union = self.sizes[:, None] - self.common_visible + hidden - common
        return np.where(hidden > 0, common / np.maximum(union, 1), np.nan)


@dataclass(frozen=True)
class KeptFrame:
    """What remains of a frame: tables, and no voxels."""

    classes: Int[np.ndarray, "p"]
    scores: Float[np.ndarray, "p"]
    truth_classes: Int[np.ndarray, "r"]
    masks: _Masks | None
    boxes: Float64[np.ndarray, "p r"] | None
    """IoU."""
    within: Float64[np.ndarray, "p r"] | None
    """IoU of the voxels within the answer's box, 0 where boxes overlap too little to matter."""
    says_masks: bool
    """Whether the answer says anything; an empty one may not, and counts all the same."""
    says_boxes: bool

    def pairs(self, iou: Float64[np.ndarray, "p r"], *, any_class: bool) -> Pairs:
        pairs = Pairs(self.classes, self.scores, self.truth_classes, iou)
        return pairs.any_class() if any_class else pairs

    def hidden_pairs(self, masks: _Masks, *, any_class: bool) -> Pairs:
        """For APr. Answers that are those of a truth that shows nearly all of itself are silent."""
        pairs = self.pairs(masks.hidden_iou, any_class=any_class)
        is_void = masks.hidden_share < LEAST_HIDDEN
        same = pairs.classes[:, None] == pairs.truth_classes[None, :]
        theirs = (same & (masks.iou >= _LOOSE) & is_void).any(axis=1)
        return replace(pairs, is_void=is_void, is_silent=theirs | (masks.hidden_sizes == 0))


class AmodalEvaluator:
    """Collects frames with `add`; `results` gives the figures of each and of all pooled, in percent.

    Classes are those of the vocabulary that are no structure, of which neither answers nor truths are to be given. With
    `class_agnostic` classes do not count, and may be of several vocabularies.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, class_agnostic: bool = False, voxel_size: float = 0.05
    ) -> None:
        self.vocabulary = vocabulary
        self.class_agnostic = class_agnostic
        self.voxel_size = voxel_size
        self.classes = [
            c for c, is_structure in enumerate(vocabulary.is_structure.tolist()) if not is_structure
        ]
        self._kept: dict[str, KeptFrame] = {}

    def add(self, name: str, truth: WholeTruth, answer: WholeAnswer) -> None:
        """Count a frame. Boxes are metres in the frame of the lattice, whose voxels have the edge `voxel_size`."""
        if name in self._kept:
            raise ValueError(f"frame {name!r} was added before; give each frame its own name")
        if (truth.voxels is None) != (truth.visible is None):
            raise ValueError("the truth must have voxels and visible, or neither")
        is_empty = len(answer.classes) == 0
        said = () if answer.voxels is None and is_empty else answer.voxels
        said_boxes = np.zeros((0, 7)) if answer.boxes is None and is_empty else answer.boxes
        masks = boxes = within = None
        if truth.voxels is not None and truth.visible is not None and said is not None:
            sets = VoxelSets.of(truth.voxels)
            masks = _Masks.of(VoxelSets.of(said), sets, _in_order(truth.voxels, truth.visible, sets))
        if truth.boxes is not None and said_boxes is not None:
            boxes = box_iou(said_boxes, truth.boxes)
            if truth.voxels is not None and said is not None:
                within = self._within(said, said_boxes, truth.voxels, boxes)
        self._kept[name] = KeptFrame(
            np.asarray(answer.classes), np.asarray(answer.scores), np.asarray(truth.classes), masks, boxes, within,
            answer.voxels is not None, answer.boxes is not None,
        )  # fmt: skip

    def _within(
        self,
        answers: Sequence[Voxels],
        answer_boxes: Float[np.ndarray, "p 7"],
        truths: Sequence[Voxels],
        boxes: Float64[np.ndarray, "p r"],
    ) -> Float64[np.ndarray, "p r"]:
        out = np.zeros(boxes.shape)
        for p, own in enumerate(answers):
            near = np.flatnonzero(boxes[p] >= BOX_IOU)
            sets = (own, *(truths[r] for r in near.tolist()))
            cut = [v[inside_box((v + 0.5) * self.voxel_size, answer_boxes[p])] for v in sets]
            one, others = VoxelSets.of(cut[:1]), VoxelSets.of(cut[1:])
            out[p, near] = voxel_iou(one.common(others), one.sizes, others.sizes)[0]
        return out

    def results(self) -> Results:
        """`{"scans": {name: figures}, "pooled": figures, "skipped": []}`, percent, None where undefined.

        Figures are `FIGURES`, means over the classes with truth, and `n_gt`; unless class-agnostic also these as `class_agnostic`
        and `per_class`; and `whole`: objects, found ones and what is said of them, for all and as `hidden` for ranges of the
        invisible share in percent. Those of masks and boxes are None where no answer says any.
        """
        return {
            "scans": {name: percent(self._figures([frame])) for name, frame in self._kept.items()},
            "pooled": percent(self._figures([self._kept[name] for name in sorted(self._kept)])),
            "skipped": [],
        }

    def left_out(self) -> dict[str, list[float | None]]:
        """The pooled means of `results` with each frame left out in turn, by figure and in the frames' order, percent."""
        kept = list(self._kept.values())
        rows = [percent(self._means([*kept[:i], *kept[i + 1 :]])) for i in range(len(kept))]
        return {key: [row[key] for row in rows] for key in FIGURES}

    def whole_left_out(self) -> dict[str, list[float | None]]:
        """The pooled figures of `whole`, of all objects, with each frame left out in turn, in the frames' order, percent."""
        objects = _objects_of([*self._kept.values()])
        rows: list[dict[str, Any]] = []
        for i in range(len(objects)):
            others = [*chain.from_iterable(own for k, own in enumerate(objects) if k != i)]
            rows.append(percent(_summary(others)))
        names = ("invisible_iou", "invisible_iou_all", "box_iou", "box_iou_all")
        return {name: [row[name] for row in rows] for name in names}

    def _means(self, kept: Sequence[KeptFrame]) -> dict[str, float | None]:
        agnostic = self.class_agnostic
        areas = _areas(kept, [0] if agnostic else self.classes, any_class=agnostic)
        return {name: _mean(areas[name]) for name in FIGURES}

    def _figures(self, kept: Sequence[KeptFrame]) -> dict[str, Any]:
        all_objects = sum(len(frame.truth_classes) for frame in kept)
        agnostic = {name: _mean(area) for name, area in _areas(kept, [0], any_class=True).items()}
        agnostic |= {"n_gt": all_objects}
        whole = _whole(kept)
        if self.class_agnostic:
            return {**agnostic, "whole": whole}
        areas = _areas(kept, self.classes, any_class=False)
        counts = [sum(int((frame.truth_classes == c).sum()) for frame in kept) for c in self.classes]
        rows = {
            self.vocabulary.names[c]: {name: _at(area, i) for name, area in areas.items()}
            | {"n_gt": counts[i]}
            for i, c in enumerate(self.classes)
        }
        means = {name: _mean(area) for name, area in areas.items()}
        return {
            **means,
            "n_gt": all_objects,
            "class_agnostic": agnostic,
            "whole": whole,
            "per_class": rows,
        }

    def counts(self) -> Counts:
        """What `add_counts` takes: every frame's tables, and the settings that they depend on. Plain JSON."""
        scans: dict[str, ScanCounts] = {name: {"amodal": _plain(frame)} for name, frame in self._kept.items()}
        return {"settings": self._settings(), "skipped": [], "scans": scans}

    def add_counts(self, counts: Counts) -> None:
        """Add the frames that another evaluator has counted.

        `ValueError` with a sentence where its settings are others, where a frame is here already, or where these are no counts.
        """
        try:
            settings = {**counts["settings"]}
            frames = {
                str(name): _of_plain({**scan}["amodal"])
                for name, scan in counts["scans"].items()
                if settings == self._settings()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"holds no counts of whole objects ({error})") from None
        for key, value in self._settings().items():
            if settings.get(key) != value:
                raise ValueError(f"was counted with another {key}: {settings.get(key)}, not {value}")
        if twice := [name for name in frames if name in self._kept]:
            raise ValueError(f"holds {twice[0]} already; a frame counts once")
        self._kept |= frames

    def _settings(self) -> dict[str, Json]:
        """Plain JSON, as it comes back from a file."""
        return {
            "vocabulary": [self.vocabulary.title, *self.vocabulary.names],
            "structure": [*sorted(self.vocabulary.structure)],
            "class_agnostic": self.class_agnostic,
            "voxel_size": self.voxel_size,
        }


def _in_order(
    voxels: Sequence[Voxels], visible: Sequence[np.ndarray], sets: VoxelSets
) -> Bool[np.ndarray, "m"]:
    """`visible` in the order of the keys, in which a voxel that was named twice is visible if it is once."""
    if len(voxels) != len(visible) or any(len(v) != len(s) for v, s in zip(voxels, visible, strict=True)):
        raise ValueError("visible must say of every voxel of every object whether it is")
    seen = VoxelSets.of([v[s] for v, s in zip(voxels, visible, strict=True)])
    parts = [np.isin(sets[i], seen[i]) for i in range(len(sets))]
    return np.concatenate([np.zeros(0, bool), *parts])


def _areas(
    kept: Sequence[KeptFrame], classes: Sequence[int], *, any_class: bool
) -> dict[str, np.ndarray | None]:
    """Average precision of each class, a fraction or NaN, by the name of the figure; None where no answer says what it asks."""
    out: dict[str, np.ndarray | None] = dict.fromkeys(FIGURES)
    if any(frame.says_masks for frame in kept):
        known = [(frame, frame.masks) for frame in kept if frame.masks is not None]
        whole = [frame.pairs(masks.iou, any_class=any_class) for frame, masks in known]
        hidden = [frame.hidden_pairs(masks, any_class=any_class) for frame, masks in known]
        of_whole = [precision_at(whole, threshold, classes=classes).per_class for threshold in MASK_IOU]
        out["AP"] = np.mean(of_whole, axis=0)
        out["AP2"] = of_whole[MASK_IOU.index(_LOOSE)]
        out["AP4"] = out["APr full"] = of_whole[MASK_IOU.index(_HALF)]
        out["APr"] = precision_at(hidden, _LOOSE, classes=classes).per_class
    if any(frame.says_boxes for frame in kept):
        boxes = [frame.pairs(frame.boxes, any_class=any_class) for frame in kept if frame.boxes is not None]
        loose = precision_at(boxes, BOX_IOU, classes=classes)
        out["APb"], out["recallb"] = loose.per_class, loose.recall
        out["APb50"] = precision_at(boxes, _HALF, classes=classes).per_class
    if any(frame.says_boxes and frame.says_masks for frame in kept):
        both = [frame.pairs(frame.within, any_class=any_class) for frame in kept if frame.within is not None]
        out["APm"] = precision_at(both, _HALF, classes=classes).per_class
    return out


def _mean(area: np.ndarray | None) -> float | None:
    return None if area is None else defined(nan_mean(area))


def _at(area: np.ndarray | None, i: int) -> float | None:
    return None if area is None else defined(float(area[i]))


class _Object(NamedTuple):
    """A truth and the answer that it got."""

    hidden_share: float
    found: bool
    invisible_iou: float
    """NaN of an object that is seen whole."""
    box_iou: float
    """NaN where answers have no boxes."""


def _objects(frame: KeptFrame, masks: _Masks, boxes: Float64[np.ndarray, "p r"] | None) -> list[_Object]:
    """Those of a frame, each with its answer; the largest IoU of voxels first."""
    iou, invisible = masks.iou, masks.invisible_iou
    answer_of = np.full(len(frame.truth_classes), -1)
    p, r = np.nonzero(iou)
    taken: set[int] = set()
    for k in np.lexsort((r, p, -iou[p, r])).tolist():
        row, truth = int(p[k]), int(r[k])
        if row not in taken and answer_of[truth] < 0:
            answer_of[truth] = row
            taken.add(row)
    out = []
    for truth, (row, share) in enumerate(zip(answer_of.tolist(), masks.hidden_share.tolist(), strict=True)):
        hidden = 0.0 if share else np.nan  # of an object without an answer
        box = np.nan if boxes is None else 0.0
        if row >= 0:
            hidden = float(invisible[row, truth])
            box = np.nan if boxes is None else float(boxes[row, truth])
        out.append(_Object(share, row >= 0, hidden, box))
    return out


def _objects_of(kept: Sequence[KeptFrame]) -> list[list[_Object]]:
    """Of each frame; none where no answer says masks."""
    if not any(frame.says_masks for frame in kept):
        return [[] for _ in kept]
    has_boxes = any(frame.says_boxes for frame in kept)
    return [
        [] if frame.masks is None else _objects(frame, frame.masks, frame.boxes if has_boxes else None)
        for frame in kept
    ]


def _whole(kept: Sequence[KeptFrame]) -> dict[str, Any]:
    """What does not depend on scores and classes, for all objects and by their invisible share."""
    objects = [*chain.from_iterable(_objects_of(kept))]
    bounds = [0, *(round(100 * edge) for edge in EDGES), 100]
    bins = np.searchsorted(EDGES, [o.hidden_share for o in objects], side="right").tolist()
    by_range = {
        f"{low}-{high}": _summary([o for o, own in zip(objects, bins, strict=True) if own == k])
        for k, (low, high) in enumerate(pairwise(bounds))
    }
    return {**_summary(objects), "hidden": by_range}


def _summary(objects: Sequence[_Object]) -> dict[str, Any]:
    found = [o for o in objects if o.found]
    return {
        "objects": len(objects),
        "found": len(found),
        **{
            f"{name}{suffix}": defined(nan_mean(np.array([getattr(o, name) for o in those], np.float64)))
            for suffix, those in (("", found), ("_all", objects))
            for name in ("invisible_iou", "box_iou")
        },
    }


def _plain(frame: KeptFrame) -> dict[str, Json]:
    """Lists of numbers; of tables the cells that are not 0, as row, column and value in turn."""
    masks: dict[str, Json] | None = None
    if frame.masks is not None:
        masks = {f.name: _listed(getattr(frame.masks, f.name)) for f in fields(frame.masks)}
    return {
        "classes": _listed(frame.classes),
        "scores": _listed(frame.scores),
        "truth_classes": _listed(frame.truth_classes),
        "masks": masks,
        "boxes": None if frame.boxes is None else _listed(frame.boxes),
        "within": None if frame.within is None else _listed(frame.within),
        "says_masks": frame.says_masks,
        "says_boxes": frame.says_boxes,
    }


def _listed(values: np.ndarray) -> list[Json]:
    if values.ndim == 1:
        return [*values.tolist()]
    at = np.nonzero(values)
    cells = zip(*(part.tolist() for part in (*at, values[at])), strict=True)
    return [[row, column, value] for row, column, value in cells]


def _of_plain(plain: Any) -> KeptFrame:
    """What `_plain` took apart, number for number."""
    classes, truth_classes = (np.array(plain[k], np.int64) for k in ("classes", "truth_classes"))
    scores = np.array(plain["scores"], np.float64)
    if classes.ndim != 1 or truth_classes.ndim != 1 or scores.shape != classes.shape:
        raise ValueError("classes and scores are of others")
    shape = (len(classes), len(truth_classes))

    def table(cells: Any, kind: type) -> np.ndarray:
        out = np.zeros(shape, kind)
        for row, column, value in cells:
            if not (0 <= int(row) < shape[0] and 0 <= int(column) < shape[1]):
                raise ValueError("a table names rows that are not there")
            out[int(row), int(column)] = value
        return out

    masks = None
    if plain["masks"] is not None:
        given = plain["masks"]
        named = {
            f.name: table(given[f.name], np.int64)
            if f.name.startswith("common")
            else np.array(given[f.name], np.int64)
            for f in fields(_Masks)
        }
        if any(len(v) != shape[k.startswith("true")] for k, v in named.items() if not k.startswith("common")):
            raise ValueError("sizes of masks are of others")
        masks = _Masks(**named)
    boxes, within = (
        None if plain[name] is None else table(plain[name], np.float64) for name in ("boxes", "within")
    )
    return KeptFrame(
        classes, scores, truth_classes, masks, boxes, within,
        bool(plain["says_masks"]), bool(plain["says_boxes"]),
    )  # fmt: skip
