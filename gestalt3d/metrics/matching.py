"""Overlaps of predicted and true instances of a scan: all that the instance metrics need to know of it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overlaps:
    """Sizes, classes and common points of `p` predictions and `r` true regions; both may overlap."""

    prediction_classes: np.ndarray
    """(p,) int64."""
    prediction_scores: np.ndarray
    """(p,) float64."""
    prediction_sizes: np.ndarray
    """(p,) int64: points of the prediction, unlabelled ones included."""
    unlabelled: np.ndarray
    """(p,) int64: points of the prediction that have no true class."""
    region_classes: np.ndarray
    """(r,) int64."""
    region_sizes: np.ndarray
    """(r,) int64."""
    common: np.ndarray
    """(p, r) int64: points in both."""

    def __post_init__(self) -> None:
        p, r = len(self.prediction_classes), len(self.region_classes)
        for name, shape in (
            ("prediction_scores", (p,)),
            ("prediction_sizes", (p,)),
            ("unlabelled", (p,)),
            ("region_sizes", (r,)),
            ("common", (p, r)),
        ):
            if (got := getattr(self, name).shape) != shape:
                raise ValueError(f"{name} must be {shape} for {p} predictions and {r} regions, got {got}")

    def iou(self, *, labelled_only: bool = False) -> np.ndarray:
        """(p, r) float64. `labelled_only` takes unlabelled points out of the predictions first."""
        sizes = self.prediction_sizes - self.unlabelled if labelled_only else self.prediction_sizes
        union = sizes[:, None] + self.region_sizes[None, :] - self.common
        return self.common / np.maximum(union, 1)

    def keep(self, predictions: np.ndarray, regions: np.ndarray) -> "Overlaps":
        """The chosen predictions and regions (masks or positions)."""
        return Overlaps(
            prediction_classes=self.prediction_classes[predictions],
            prediction_scores=self.prediction_scores[predictions],
            prediction_sizes=self.prediction_sizes[predictions],
            unlabelled=self.unlabelled[predictions],
            region_classes=self.region_classes[regions],
            region_sizes=self.region_sizes[regions],
            common=self.common[predictions][:, regions],
        )


@dataclass(frozen=True)
class Regions:
    """The true instances of one scan. They may overlap, as whole objects do in a view: a point counts for each that it is in."""

    offsets: np.ndarray
    """(n + 1,) int64: point `k` is in the regions `members[offsets[k]:offsets[k + 1]]`."""
    members: np.ndarray
    """(m,) int64."""
    classes: np.ndarray
    """(r,) int64."""
    labelled: np.ndarray
    """(n,) bool: has a true class."""

    @property
    def sizes(self) -> np.ndarray:
        """(r,) int64: points of each."""
        return sizes_of(self.members, len(self.classes))

    @classmethod
    def from_labels(cls, semantic: np.ndarray, instance: np.ndarray) -> "Regions":
        """One region per instance id, ids ascending; its class is the commonest, the smallest on a tie.

        Points whose class or id is negative belong to no region.
        """
        semantic, instance = _labels(semantic, "semantic"), _labels(instance, "instance")
        if len(semantic) != len(instance):
            raise ValueError(f"semantic has {len(semantic)} points and instance {len(instance)}")
        labelled = semantic >= 0
        ids, of_point = compact(np.where(labelled, instance, -1))
        return cls.of_points(of_point, majority(of_point, semantic, len(ids)), labelled)

    @classmethod
    def of_points(cls, of_point: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> "Regions":
        """From the region of each point, -1 none."""
        inside = of_point >= 0
        return cls(np.append(0, np.cumsum(inside)), of_point[inside], classes, labelled)

    @classmethod
    def from_masks(
        cls, offsets: np.ndarray, indices: np.ndarray, classes: np.ndarray, labelled: np.ndarray
    ) -> "Regions":
        """Region `i` has the points `indices[offsets[i]:offsets[i + 1]]`, each once, and class `classes[i]`.

        Points that are not `labelled` belong to no region; a region without points is none.
        """
        offsets, indices = np.asarray(offsets, dtype=np.int64), np.asarray(indices, dtype=np.int64)
        if len(offsets) != len(classes) + 1 or offsets[0] != 0 or offsets[-1] != len(indices):
            raise ValueError(f"{len(classes)} classes need offsets from 0 to {len(indices)}, got {offsets}")
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < len(labelled):
            raise ValueError(f"indices of regions must lie in [0, {len(labelled)})")
        owners = np.repeat(np.arange(len(classes)), np.diff(offsets))
        counts = labelled[indices]
        owners, indices = owners[counts], indices[counts]
        present, owners = compact(owners)
        order = np.argsort(indices, kind="stable")
        points = np.bincount(indices, minlength=len(labelled))
        return cls(
            np.append(0, np.cumsum(points)),
            owners[order],
            np.asarray(classes, dtype=np.int64)[present],
            labelled,
        )

    def of(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every pair of one of `points` (positions) and a region that it is in: position in `points`, region."""
        first, count = self.offsets[points], self.offsets[np.asarray(points) + 1] - self.offsets[points]
        if count.max(initial=0) <= 1:  # nothing overlaps here
            which = np.flatnonzero(count)
            return which, self.members[first[which]]
        which = np.repeat(np.arange(len(count)), count)
        within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
        return which, self.members[first[which] + within]

    def common(self, points: np.ndarray) -> np.ndarray:
        """(r,) int64: how many of `points` (positions) lie in each region."""
        return sizes_of(self.of(points)[1], len(self.classes))

    def unlabelled(self, points: np.ndarray) -> int:
        """How many of `points` (positions) have no true class."""
        return len(points) - int(np.count_nonzero(self.labelled[points]))


def overlaps_of_masks(
    regions: Regions, offsets: np.ndarray, indices: np.ndarray, classes: np.ndarray, scores: np.ndarray
) -> Overlaps:
    """Overlaps of masks `indices[offsets[i]:offsets[i + 1]]`, each point at most once, with the regions."""
    count = len(classes)
    if len(offsets) != count + 1 or len(scores) != count:
        raise ValueError(
            f"{count} classes need {count + 1} offsets and {count} scores, got {len(offsets)}, {len(scores)}"
        )
    common = np.zeros((count, len(regions.classes)), dtype=np.int64)
    unlabelled = np.zeros(count, dtype=np.int64)
    for i in range(count):
        points = indices[offsets[i] : offsets[i + 1]]
        common[i], unlabelled[i] = regions.common(points), regions.unlabelled(points)
    return Overlaps(
        prediction_classes=np.asarray(classes, dtype=np.int64),
        prediction_scores=np.asarray(scores, dtype=np.float64),
        prediction_sizes=np.diff(np.asarray(offsets, dtype=np.int64)),
        unlabelled=unlabelled,
        region_classes=regions.classes,
        region_sizes=regions.sizes,
        common=common,
    )


def overlaps_of_labels(regions: Regions, semantic: np.ndarray, instance: np.ndarray) -> Overlaps:
    """Overlaps of a labelling: one prediction per id ≥ 0, of the commonest class, the smallest on a tie."""
    semantic, instance = _labels(semantic, "semantic"), _labels(instance, "instance")
    if not len(semantic) == len(instance) == len(regions.labelled):
        raise ValueError(
            f"{len(regions.labelled)} points, but {len(semantic)} predicted classes and {len(instance)} ids"
        )
    ids, of_point = compact(instance)
    r = len(regions.classes)
    inside = np.flatnonzero(of_point >= 0)
    which, region = regions.of(inside)
    cell = of_point[inside[which]] * r + region
    unlabelled = np.where(regions.labelled, -1, of_point)
    return Overlaps(
        prediction_classes=majority(of_point, semantic, len(ids)),
        prediction_scores=np.ones(len(ids)),
        prediction_sizes=sizes_of(of_point, len(ids)),
        unlabelled=sizes_of(unlabelled, len(ids)),
        region_classes=regions.classes,
        region_sizes=regions.sizes,
        common=np.bincount(cell, minlength=len(ids) * r).reshape(len(ids), r),
    )


def compact(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids ≥ 0, ascending, and each point's position among them, -1 for negative ids."""
    highest = int(ids.max(initial=-1))
    if highest <= 4 * len(ids) + 1_000_000:  # a table is ten times as fast as sorting
        present = np.bincount(ids[ids >= 0], minlength=1) > 0
        table = np.append(np.where(present, np.cumsum(present) - 1, -1), -1)
        return np.flatnonzero(present), table[np.maximum(ids, -1)]
    distinct, position = np.unique(ids, return_inverse=True)
    negative = int(np.searchsorted(distinct, 0))
    return distinct[negative:], np.maximum(position.reshape(-1) - negative, -1)


def majority(groups: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64: the commonest value of each group, the smallest on a tie, -1 for an empty group.

    Negative groups are left out.
    """
    inside = groups >= 0
    groups, values = groups[inside], values[inside]
    if not len(values):
        return np.full(count, -1, dtype=np.int64)
    lowest = int(values.min())
    width = int(values.max()) - lowest + 1
    table = np.bincount(groups * width + (values - lowest), minlength=count * width).reshape(count, width)
    return np.where(table.any(axis=1), table.argmax(axis=1) + lowest, -1)


def sizes_of(groups: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64: points of each group. Negative groups are left out."""
    return np.bincount(groups + 1, minlength=count + 1)[1:]


def _labels(values: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} must be integers (n,), got {values.dtype} {values.shape}")
    return values.astype(np.int64, copy=False)
