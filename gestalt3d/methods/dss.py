"""Deep Sliding Shapes (Song and Xiao, "Deep Sliding Shapes for Amodal 3D Object Detection in RGB-D Images", CVPR 2016).

A frame becomes a volume of directional distances to its surface. A first network proposes boxes of whole objects, hidden parts
included, from anchors of nineteen sizes; a second decides on each box's class from the volume inside it and the photo, and
refines it. A3IS-CNN builds on it. Sections are this paper's.

Readings, where the paper is silent or the authors' code differs:
- The nineteen anchors, their two groups, thresholds and numbers of samples are the code's.
- The recognition network sees the scene's volume, sampled in its box, where the code computes distances anew in every box; so
  there is one volume, and one operator samples it here and in A3IS-CNN.
- Points of the floor do not keep an anchor from being empty; the code leaves out walls and ceiling, too.
- Better boxes of the recognition network are learnt as shifts in sizes and logarithms of growth, as those of the proposals; the
  code has metres over a deviation for each class. The linear support vector machines and the sizes' histograms after it are left
  out: classes are the softmax's.
- True boxes have any yaw, boxes here that of the room's walls (Sec. 3.1: a Manhattan world), so axes are matched and what is left
  of the yaw is ignored; `turn`, which is ours, learns it with the better box.
- `propose="clusters"`, ours, takes regions from geometry: a proposal network wants tens of thousands of frames.
- `geometry`, ours, tells the recognition network how large a region is and where it lies: clusters are of any size.
- `along_walls`, ours, turns the volume to the walls instead of the anchors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from gestalt3d.configs import Count, NotNegative, Share, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods.frames.answer import Detected, boxes_as_instances
from gestalt3d.methods.frames.clusters import (
    ClusterConfig,
    Clusters,
    clusters_of,
    imitated,
    no_clusters,
    pieces_of,
)
from gestalt3d.methods.frames.objects import (
    Truth,
    along,
    along_axes,
    owners_of_pixels,
    truth_of,
    turned_back,
)
from gestalt3d.methods.frames.recognition import Encoded, Recognised, Recognition, RecognitionConfig
from gestalt3d.methods.frames.regions import (
    Anchors,
    RegionConfig,
    Targets,
    aligned_truth,
    changed,
    deltas_to,
    occupied,
    proposed,
    shuffled,
    targets,
)
from gestalt3d.methods.frames.space import Frame, SpaceConfig, frame_of
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.suppression import best_of_each_class
from gestalt3d.nn.anchors import anchor_sizes
from gestalt3d.nn.image_backbone import ImageBackbone, Name, Start
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.scene_volume import (
    LargeBranch,
    SceneTrunk,
    Seen,
    SmallBranch,
    centers,
    corners,
)
from gestalt3d.ops.aligned_boxes import aligned_iou, paired_iou
from gestalt3d.ops.oriented_boxes_overlap import oriented_nms
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances, moved_boxes
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

_UNKNOWN = -100
"""Class of regions that do not count."""
_CELL = 0.1
"""Metres: of the counts of a frame."""
_REGIONS_AT_ONCE = 64
"""In `segment`, for memory."""
_TURN_UNIT = math.pi / 4
"""Yaws are learnt as shares of it."""


@dataclass(frozen=True)
class DSSConfig:
    """Defaults are the paper's or, where it gives none, those of the authors' code."""

    space: SpaceConfig = field(default_factory=SpaceConfig)
    """The volume around what the camera sees."""
    regions: RegionConfig = field(default_factory=RegionConfig)
    """Anchors and proposals."""
    # A proposal network wants tens of thousands of frames.
    propose: Literal["anchors", "clusters"] = "anchors"
    """Where regions come from: the network that proposes, or what hangs together in the frame, which needs no training."""
    clusters: ClusterConfig = field(default_factory=ClusterConfig)
    """What hangs together, where that proposes."""
    widths: tuple[Count, Count, Count] = (96, 192, 384)
    """Channels of the trunk's two layers and of the branch for large objects."""
    sizes: tuple[Count, Count] = (5, 3)
    """Voxels along the sides of the trunk's convolutions."""
    pools: tuple[Count, Count] = (2, 2)
    """Voxels that are pooled after each of them."""
    large_sizes: tuple[Count, ...] = (3, 5)
    """Cells along the sides of the convolutions of the branch for large objects."""
    large_stride: Annotated[int, Within(least=1, most=2)] = 1
    """Of its pooling."""
    norm: bool = False
    """Batch norm after the convolutions; the paper has none."""
    image: Name | None = "vgg16"
    """The network that the photo passes; None knows no more of colours than the volume."""
    image_learns: bool = True
    """Let it learn; else it stays what its initial weights make it."""
    image_start: Start = "nothing"
    """Its initial weights; those of ImageNet come with this package for mobilenetv2, others are downloaded by torchvision."""
    recognition: RecognitionConfig = field(default_factory=RecognitionConfig)
    """The network that decides on regions."""
    rois: Count = 192
    """Regions of a frame that training learns from; 384 for two frames in the code."""
    roi_positive_share: Share = 0.25
    """Of these, at most, those with an object."""
    roi_positive_iou: Share = 0.25
    """IoU with an object's box above which a region has one."""
    box_weight: NotNegative = 1.0
    """Of the losses of better boxes."""
    min_score: Share = 0.05
    """Least probability of the class, in `segment`."""
    max_iou: Share = 0.25
    """Of two instances of a class whose boxes overlap by more, the better one stays."""
    most: Count = 100
    """Most instances of a frame; the code has 300."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.large_sizes) < 2:
            raise UserError(f"large_sizes must be two at least, got {len(self.large_sizes)}")


class Batch(NamedTuple):
    """Frames, and what is true of them."""

    frame: Frame
    truth: Truth
    clusters: Clusters
    """Regions where no network proposes them; else none."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.frame.to(device), self.truth.to(device), self.clusters.to(device))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        frames, truths, clusters = zip(*parts, strict=True)
        joined = (map(torch.cat, zip(*each, strict=True)) for each in (frames, truths, clusters))
        return cls(Frame(*next(joined)), Truth(*next(joined)), Clusters(*next(joined)))


class Regions(NamedTuple):
    """Of all frames of a batch."""

    boxes: Float[Tensor, "r 7"]
    frame: Int[Tensor, "r"]
    """Row of the batch, ascending."""
    object: Int[Tensor, "r"]
    """Row of `Truth`, -1 for none."""

    def and_also(self, other: "Regions") -> "Regions":
        """Both."""
        both = Regions(*map(torch.cat, zip(self, other, strict=True)))
        order = both.frame.argsort(stable=True)
        return Regions(*(values[order] for values in both))


class Proposals(NamedTuple):
    """What is said of a frame's anchors: those that learn, and the boxes that the best become."""

    objectness: Float[Tensor, "k 2"]
    deltas: Float[Tensor, "k 6"]
    targets: Targets
    boxes: Float[Tensor, "p 7"]


class Prediction(NamedTuple):
    proposals: tuple[Proposals, ...]
    """Of each frame."""
    regions: Regions
    recognised: Recognised


class DSS(Learned[View, Batch, Prediction]):
    name = "dss"
    takes = View
    needs_depth = True
    not_trained = ("min_score", "max_iou", "most")
    config: DSSConfig

    def __init__(self, config: DSSConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        c = config
        self.config, self.vocabulary = config, vocabulary
        self.trunk = SceneTrunk(c.space.channels, c.widths[:2], c.sizes, c.pools, norm=c.norm)
        self.small: SmallBranch | None = None
        self.large: LargeBranch | None = None
        if c.propose == "anchors":
            small, large = (len(anchor_sizes(c.regions.anchors, small=small)) for small in (True, False))
            self.small = SmallBranch(c.widths[1], small, norm=c.norm)
            self.large = LargeBranch(
                c.widths[1], c.widths[2], c.large_sizes, c.large_stride, large, norm=c.norm
            )
        self.photo = (
            None if c.image is None else ImageBackbone(c.image, learns=c.image_learns, start=c.image_start)
        )
        photo = 0 if self.photo is None else self.photo.channels
        self.recognition = Recognition(
            c.recognition, c.space, self.trunk, photo=photo, classes=len(vocabulary), norm=c.norm
        )

    @classmethod
    def from_config(cls, config: DSSConfig, vocabulary: Vocabulary) -> "DSS":
        return cls(config, vocabulary)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    # --- from a view to a batch ---

    def prepare(self, sample: LabelledView, rng: np.random.Generator) -> Batch:
        """The frame and its objects, and its clusters where regions are theirs."""
        frame, grid_from_world = frame_of(sample.input, self.config.space)
        truth, rows = truth_of(sample.truth, grid_from_world)
        clusters = no_clusters()
        if self.config.propose == "clusters":
            clusters = self._clusters(sample, frame, grid_from_world, rows, rng)
        return Batch(frame, truth, clusters)

    def _clusters(
        self,
        sample: LabelledView,
        frame: Frame,
        grid_from_world: Float64[np.ndarray, "4 4"],
        rows: list[int],
        rng: np.random.Generator,
    ) -> Clusters:
        c, view = self.config.clusters, sample.input
        if rows and not bool((sample.truth.sizes[rows] > 0).any()):
            raise UserError(
                f"{sample.name}: clusters learn from visible masks, and its objects have none; set propose to anchors"
            )
        pieces = pieces_of(view, grid_from_world, float(frame.yaw[0]), c)
        height, width = view.image.shape[1:]
        owners = owners_of_pixels(sample.truth, rows, (height, width), (height, width))
        found = clusters_of(pieces, owners.reshape(-1)[view.pixels()], len(rows), c)
        small = owners_of_pixels(sample.truth, rows, (height, width), self.config.space.image)
        return found.and_also(imitated(frame, small, len(rows), c, rng))

    # --- the network ---

    def forward(self, batch: Batch) -> Prediction:
        return self.predicted(batch, self.encoded(batch.frame))

    def encoded(self, frame: Frame) -> Encoded:
        """What is known of frames whatever their regions."""
        return Encoded(self.trunk(frame.volume), None if self.photo is None else self.photo(frame.image))

    def predicted(self, batch: Batch, encoded: Encoded) -> Prediction:
        """What `forward` predicts, of frames that are `encoded`."""
        proposals: tuple[Proposals, ...] = ()
        if self.config.propose == "anchors":
            proposals = self._proposals(batch.frame, encoded.seen, batch.truth)
            regions = self._regions(batch.truth, batch.frame.yaw, proposals)
        else:
            regions = self._drawn(batch.truth, batch.clusters)
        said = self.recognition(batch.frame, encoded, regions.boxes, regions.frame)
        return Prediction(proposals, regions, said)

    @cached_property
    def anchors(self) -> tuple[Anchors, Anchors]:
        """Of the two branches."""
        c = self.config
        small, large = (anchor_sizes(c.regions.anchors, small=small) for small in (True, False))
        cell = c.space.voxel * c.pools[0] * c.pools[1]
        cells = [n // c.pools[0] // c.pools[1] for n in c.space.size]
        ends = [corners(n, cell, low) for n, low in zip(cells, c.space.low, strict=True)]
        if c.large_stride == 1:
            far = ends
        else:
            far = [centers(n // 2, 2 * cell, low) for n, low in zip(cells, c.space.low, strict=True)]
        return Anchors(small, (ends[0], ends[1], ends[2])), Anchors(large, (far[0], far[1], far[2]))

    def _proposals(self, frame: Frame, seen: Seen, truth: Truth | None) -> tuple[Proposals, ...]:
        """Of each frame; nothing is learnt from anchors where the truth is not told."""
        c, device = self.config, frame.volume.device
        assert self.small is not None and self.large is not None
        branches = self.small(seen.far), self.large(seen.far)
        boxes = torch.cat([anchors.boxes for anchors in self.anchors]).to(device)
        kinds = [torch.arange(a.count, device=device) % len(a.sizes) for a in self.anchors]
        small = len(self.anchors[0].sizes)
        kind = torch.cat([kinds[0], kinds[1] + small])
        own_truth = [None] * len(frame.yaw) if truth is None else truth.boxes.split(truth.objects.tolist())
        found = []
        for k, true in enumerate(own_truth):
            # A tenth of them; the rest says nothing.
            rows = self._there(frame, k).to(device).nonzero()[:, 0]
            first = self.anchors[0].count
            own = rows[rows < first], rows[rows >= first] - first
            said = [b.said[k].flatten(0, 3)[some] for b, some in zip(branches, own, strict=True)]
            objectness, deltas = torch.cat(said).split([2, 6], dim=1)
            yaw, kind_there = frame.yaw[k], kind[rows]
            upright = along_axes(boxes[rows], yaw.expand(len(rows)))
            wanted = Targets(rows[:0], rows[:0], deltas.new_zeros(0, 6))
            with torch.no_grad():
                if true is not None:
                    wanted = targets(upright, kind_there < small, aligned_truth(true, yaw), c.regions)
                score = objectness.detach().softmax(1)[:, 1]
                better, _ = proposed(upright, kind_there, score, deltas.detach(), c.regions)
                back = turned_back(better, yaw.expand(len(better)))
            found.append(Proposals(objectness[wanted.rows], deltas[wanted.rows], wanted, back))
        return tuple(found)

    def _there(self, frame: Frame, k: int) -> Tensor:
        """Which anchors have points in their middle."""
        counts, c = frame.counts[k].cpu(), self.config
        return torch.cat(
            [occupied(counts, anchors, c.space.low, _CELL, c.regions.density) for anchors in self.anchors]
        )

    @torch.no_grad()
    def _regions(self, truth: Truth, yaws: Float[Tensor, "b"], proposals: tuple[Proposals, ...]) -> Regions:
        """Random positive and negative ones out of the proposals and the true boxes."""
        c, first = self.config, 0
        boxes, frames, objects = [], [], []
        split = zip(proposals, yaws, truth.boxes.split(truth.objects.tolist()), strict=True)
        for k, (own, yaw, true) in enumerate(split):
            upright, _ = along(true, yaw.expand(len(true)))
            upright = torch.cat([upright[:, :6], yaw.expand(len(true), 1)], dim=1)
            every = torch.cat([upright, own.boxes])
            plain = along_axes(every, every[:, 6])
            overlap = torch.cat(
                [aligned_iou(plain, plain[: len(true)]), plain.new_zeros(len(plain), 1)], dim=1
            )
            best, nearest = overlap.max(1)
            positive = best > c.roi_positive_iou
            rows = self._some(positive)
            boxes.append(every[rows])
            frames.append(torch.full_like(rows, k))
            objects.append(torch.where(positive[rows], nearest[rows] + first, -1))
            first += len(true)
        return Regions(torch.cat(boxes), torch.cat(frames), torch.cat(objects))

    def _some(self, positive: Bool[Tensor, "n"]) -> Int[Tensor, "k"]:
        """Random rows, positive ones up to their share first."""
        c = self.config
        some = shuffled(positive.nonzero()[:, 0])[: round(c.rois * c.roi_positive_share)]
        return torch.cat([some, shuffled((~positive).nonzero()[:, 0])[: c.rois - len(some)]])

    @torch.no_grad()
    def _drawn(self, truth: Truth, clusters: Clusters) -> Regions:
        """Random clusters of each frame, each with its object; those of an object of no class would teach nothing."""
        boxes, frames, objects, first = [], [], [], 0
        counts = clusters.counts.tolist()
        split = zip(
            clusters.boxes.split(counts), clusters.owner.split(counts), truth.objects.tolist(), strict=True
        )
        for k, (own, owner, count) in enumerate(split):
            kinds = truth.classes[first : first + count]
            known = (owner < 0) | (kinds[owner.clamp(min=0)] >= 0) if count else owner < 0
            own, owner = own[known], owner[known]
            rows = self._some(owner >= 0)
            boxes.append(own[rows])
            frames.append(torch.full_like(rows, k))
            objects.append(torch.where(owner[rows] >= 0, owner[rows] + first, -1))
            first += count
        return Regions(torch.cat(boxes), torch.cat(frames), torch.cat(objects))

    # --- losses ---

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """L_cls and L_reg of proposals, where a network makes them, and of regions."""
        w = self.config.box_weight
        if not prediction.proposals:
            return self._region_losses(prediction, batch.truth)
        objectness = torch.cat([own.objectness for own in prediction.proposals])
        deltas = torch.cat([own.deltas for own in prediction.proposals])
        object = torch.cat([own.targets.object for own in prediction.proposals])
        wanted = torch.cat([own.targets.deltas for own in prediction.proposals])
        positive = object >= 0
        count = positive.sum().clamp(min=1)
        terms = {
            "objectness": F.cross_entropy(objectness, positive.long(), reduction="sum") / max(len(object), 1),
            "proposal_box": w * F.smooth_l1_loss(deltas[positive], wanted[positive], reduction="sum") / count,
        }
        return terms | self._region_losses(prediction, batch.truth)

    def _region_losses(self, prediction: Prediction, truth: Truth) -> dict[str, Float[Tensor, ""]]:
        regions, found, w = prediction.regions, prediction.recognised, self.config.box_weight
        has = regions.object >= 0
        own = regions.object[has]
        kind = truth.classes[own]
        target = torch.full_like(regions.object, found.classes.shape[1] - 1)
        target[has] = torch.where(kind >= 0, kind, _UNKNOWN)
        known = kind >= 0
        boxes, own, kind = regions.boxes[has][known], own[known], kind[known]
        true, turn = along(truth.boxes[own], boxes[:, 6])
        deltas = deltas_to(along_axes(boxes, boxes[:, 6]), along_axes(true, boxes[:, 6]))
        of_kind = found.deltas[has][known][torch.arange(len(kind), device=kind.device), kind]
        count = max(len(kind), 1)
        terms = {
            "class": F.cross_entropy(found.classes, target, ignore_index=_UNKNOWN, reduction="sum")
            / (target != _UNKNOWN).sum().clamp(min=1),
            "box": w * F.smooth_l1_loss(of_kind, deltas, reduction="sum") / count,
        }
        if self.config.recognition.turn:
            said = found.turn[has][known][torch.arange(len(kind), device=kind.device), kind]
            terms["turn"] = w * F.smooth_l1_loss(said, turn / _TURN_UNIT, reduction="sum") / count
        return terms

    # --- instances ---

    @torch.inference_mode()
    def segment(self, given: View, /) -> Instances:
        """Instances of the view's pixels, the surest first; they may overlap.

        `amodal_boxes` are of whole objects. A mask has the pixels of what lies in the box: this method says no more of it.
        `ValueError` without depth or camera.
        """
        with evaluating(self):
            frame, grid_from_world = frame_of(given, self.config.space)
            if not bool(frame.seen.any()):
                return Instances.empty(len(given), self.vocabulary, self.name)
            _, _, found = self.detected(frame, given, grid_from_world)
            return self.boxed(given, found, grid_from_world, self.name)

    def boxed(
        self, given: View, found: Detected, grid_from_world: Float64[np.ndarray, "4 4"], method: str
    ) -> Instances:
        """The answer of a method of that name that says nothing of objects but these boxes in the grid."""
        found = found._replace(boxes=moved_boxes(found.boxes, np.linalg.inv(grid_from_world)))
        with stage("masks"):
            return boxes_as_instances(given, found, self.vocabulary, method)

    def detected(
        self, frame: Frame, given: View, grid_from_world: Float64[np.ndarray, "4 4"]
    ) -> tuple[Frame, Encoded, Detected]:
        """The instances of one frame, their boxes in the grid on the CPU; and the frame where the network is, encoded."""
        c, frame = self.config, frame.to(self.device)
        with stage("trunk"):
            encoded = self.encoded(frame)
        with stage("proposals"):
            if c.propose == "anchors":
                boxes = self._proposals(frame, encoded.seen, None)[0].boxes
            else:
                boxes = pieces_of(given, grid_from_world, float(frame.yaw[0]), c.clusters).boxes.to(
                    self.device
                )
        with stage("recognition"):
            found = [self.recognition(frame, encoded, boxes[:0], boxes[:0, 0].long())]
            for some in counted(boxes.split(_REGIONS_AT_ONCE)):
                rows = torch.zeros(len(some), dtype=torch.int64, device=some.device)
                found.append(self.recognition(frame, encoded, some, rows))
            classes, deltas, turn = (torch.cat(values).cpu() for values in zip(*found, strict=True))
        score, kind = classes.softmax(1)[:, :-1].max(1)
        rows = (score >= c.min_score).nonzero()[:, 0]
        score, kind = score[rows], kind[rows]
        better = refined(boxes.cpu()[rows], deltas[rows, kind], turn[rows, kind])
        stay = best_of_each_class(oriented_nms, better, score, kind, max_iou=c.max_iou)[: c.most]
        return frame, encoded, Detected(better[stay], kind[stay], score[stay])


def overlap_with(boxes: Float[Tensor, "r 7"], truth: Float[Tensor, "r 7"]) -> Float[Tensor, "r"]:
    """IoU of each box with the true one beside it, whose axes are matched and whose rest of the yaw is ignored."""
    near, _ = along(truth, boxes[:, 6])
    own, true = along_axes(boxes, boxes[:, 6]), along_axes(near, boxes[:, 6])
    return paired_iou(own, true)


def refined(
    boxes: Float[Tensor, "r 7"], deltas: Float[Tensor, "r 6"], turn: Float[Tensor, "r"]
) -> Float[Tensor, "r 7"]:
    """The boxes that a recognition network means."""
    yaw = boxes[:, 6]
    better = turned_back(changed(along_axes(boxes, yaw), deltas), yaw)
    return torch.cat([better[:, :6], (yaw + turn.clamp(-1, 1) * _TURN_UNIT)[:, None]], dim=1)


METHOD = DSS
