"""R-PointNet: Region-based PointNet (Yi et al., "GSPN", CVPR 2019, Sec. 3.2), instances from shapes that are proposed first.

The shapes that GSPN generates become boxes. From each box some points are taken, with what two networks know of them: the
instance sensitive features f_c of GSPN and the semantic features f_sem of a PointNet++. Small PointNets decide on the
class, a better box and, in the better box, on the mask. Section, equation and table numbers are the paper's.

Readings, where the paper is silent or the authors' code differs:
- GSPN and the semantic network stay as they are, running statistics included (Sec. 3.3); `learn` lets the semantic network
  learn with the heads, the row "w/o pretraining" of Table 6, or all of it, which is not the paper's.
- Where GSPN stands behind a trained backbone, f_sem may come from that, too, and points vote for the centres themselves.
- Regions in training are the proposals and the true boxes, as in Mask R-CNN; three negative ones for each positive one, more
  where there are too few positive ones (the code takes two). A box whose IoU with no object's is above 1/2 is negative.
- Proposals in training are made as in `segment`, from the mean of the prior: GSPN is not told the object.
- A region's points are drawn with replacement, as in the code; the class and the box come from 256 points or, in
  `segment`, as many as the mask.
- Scores are the probability of the class times the mean probability of the mask's points; the code writes 1.0 and .97 only.
- A point of the cloud inside the refined box has the probability of the nearest point of the region, and belongs to the mask
  above `mask_threshold`; the code's is .4.
- With `superpoints`, which are ours, a mask is made of whole pieces of surface: the network sees points some centimetres apart,
  the surface itself shows an object's border to within its own.
- Scenes wider than `part_extent` are seen in parts that overlap, each with as many points and seeds; an instance counts in
  the part whose middle holds the middle of its box.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import Count, Positive, Seed, Share, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods import gspn, pointnet2
from gestalt3d.methods.gspn import GSPN, GSPNConfig
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.pointnet2 import PointNet2, PointNet2Config
from gestalt3d.methods.regions.box_deltas import box_deltas, changed_boxes
from gestalt3d.methods.regions.heads import (
    Backbone,
    ClassHead,
    KnownFeatures,
    MaskHead,
    SemanticFeatures,
    regions_of,
)
from gestalt3d.methods.regions.objects import objects_of
from gestalt3d.methods.regions.parts import parts_of
from gestalt3d.methods.regions.scene import Batch as SceneBatch
from gestalt3d.methods.regions.scene import order_of_places, random_order, thinned
from gestalt3d.methods.superpoints import SuperpointConfig, most_frequent, superpoints
from gestalt3d.methods.suppression import best_of_each_class
from gestalt3d.nn.modes import evaluating
from gestalt3d.ops.aligned_boxes import aligned_iou, suppressed
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.ops.gather import gather
from gestalt3d.ops.interpolate import interpolate
from gestalt3d.ops.knn import Neighbours, knn
from gestalt3d.ops.roi_align import points_in_boxes
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary

_POSITIVE = 0.5
"""IoU with an object's box above which a region is positive (Sec. 3.2)."""
_UNKNOWN = -100
"""Class of regions that do not count."""
_REGIONS_AT_ONCE = 64
"""In `segment`, for memory."""


@dataclass(frozen=True)
class RPointNetConfig:
    """Defaults are the paper's (Table 8)."""

    gspn: GSPNConfig = field(default_factory=GSPNConfig)
    """The network that proposes shapes."""
    semantics: PointNet2Config | None = field(default_factory=PointNet2Config)
    """The network that f_sem comes from; it sees the same points. None takes f_sem from the backbone that GSPN stands behind."""
    learn: Literal["heads", "semantics", "all"] = "heads"
    """What learns: the heads behind trained stages, the semantic network with them, or all from nothing."""
    context_features: bool = True
    """Give f_c to the heads; the ablation "w/o f_c" does not."""
    semantic_features: bool = True
    """Give f_sem to the heads; the ablation "w/o f_sem" does not."""
    width_scale: Annotated[float, Within(above=0, most=64)] = 1.0
    """Factor for the widths of the heads' layers."""
    before_suppression: Count = 192
    """Most proposals by objectness of a scene that training looks at for overlap; `segment` goes by those of GSPN."""
    proposals: Count = 128
    """Most that stay of these."""
    regions: Count = 64
    """Regions of a scene that training learns from."""
    positive_share: Share = 0.25
    """Of these regions, at most, those with an object."""
    region_points: Count = 256
    """Points of a region in training."""
    test_region_points: Count = 1024
    """Points of a region in `segment`."""
    min_score: Share = 0.5
    """Least probability of the class."""
    mask_threshold: Share = 0.5
    """A point with more belongs to the mask."""
    # A box that is a little too small cuts its object.
    mask_margin: Annotated[float, Within(least=1, most=4)] = 1.0
    """Masks are looked for in the refined boxes, widened by this factor."""
    superpoints: SuperpointConfig | None = None
    """Pieces whose points have one class and are in a mask as a whole, where most of them are; by default points decide."""
    max_iou: Share = 0.1
    """Of two instances of a class whose boxes overlap by more, the better one stays."""
    most: Count = 100
    """Most instances of a scene."""
    part_extent: Positive = 12.0
    """Metres along x and y above which a scene is seen in parts."""
    seed: Seed = 0
    """Seed of the points that `segment` draws."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.semantics is None:
            if self.gspn.backbone is None:
                raise UserError("semantics must be given where gspn has no backbone to take f_sem from")
            if self.learn == "semantics":
                raise UserError('learn must be "heads" or "all" without semantics, got "semantics"')
        elif self.gspn.points != self.semantics.points:
            raise UserError(
                f"gspn.points and semantics.points must be equal, got {self.gspn.points} and {self.semantics.points}"
            )
        if self.learn != "heads" and not self.semantic_features:
            raise UserError('learn must be "heads" without semantic_features, whose network would not learn')


class Batch(NamedTuple):
    """Scenes as both stages see them, and which object each point belongs to."""

    scene: SceneBatch
    features: Float[Tensor, "b n f"]
    """What the semantic network sees of each point."""
    classes: Int[Tensor, "b n"]
    """Semantic class of each point, -1 unknown."""
    kinds: Int[Tensor, "o"]
    """Class of each object, -1 unknown."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.scene.to(device), *(values.to(device) for values in self[1:]))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        scenes, *others = zip(*parts, strict=True)
        return cls(SceneBatch.cat(scenes), *map(torch.cat, others))


class Prediction(NamedTuple):
    """Of as many regions of every scene."""

    classes: Float[Tensor, "b r classes_plus_1"]
    """Logits, the last one of background."""
    deltas: Float[Tensor, "b r classes 6"]
    masks: Float[Tensor, "b r k classes"]
    """Logits."""
    points: Int[Tensor, "b r k"]
    """Rows of the scene's points that these are of; -1 in a region without points."""
    wanted: "Wanted"
    proposing: gspn.Prediction | None
    """What GSPN predicts, where it learns."""
    semantic: pointnet2.Prediction | None
    """What the semantic network predicts, where it learns."""


class Wanted(NamedTuple):
    """Regions to learn from, and what should be said of them."""

    boxes: Float[Tensor, "b r 6"]
    object: Int[Tensor, "b r"]
    """Row of `Batch.kinds`, -1 for background."""
    true_boxes: Float[Tensor, "b r 6"]
    """Of the object; of background, the region's own."""


class RPointNet(Learned[PointCloud, Batch, Prediction]):
    name = "rpointnet"
    takes = PointCloud
    not_trained = (
        "test_region_points", "min_score", "mask_threshold", "mask_margin", "superpoints", "max_iou", "most", "part_extent",
        "seed",
    )  # fmt: skip
    config: RPointNetConfig

    def __init__(self, config: RPointNetConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.gspn = GSPN.from_config(config.gspn, vocabulary)
        if config.learn != "all":
            self.gspn.requires_grad_(False)
        self.semantics: PointNet2 | None = None
        if config.semantics is not None:
            self.semantics = PointNet2(config.semantics, vocabulary).requires_grad_(config.learn != "heads")
        context = self.gspn.context.channels if config.context_features else 0
        self.f_sem: SemanticFeatures | KnownFeatures | None = None
        if config.semantic_features and self.semantics is not None:
            self.f_sem = SemanticFeatures(self.semantics.encoder.channels[1:], config.width_scale)
        elif config.semantic_features:
            assert self.gspn.backbone is not None
            self.f_sem = KnownFeatures(self.gspn.backbone.known_channels, config.width_scale)
        widths = context, self.f_sem.channels if self.f_sem is not None else 0, len(vocabulary)
        self.class_head = ClassHead(*widths, config.width_scale)
        self.mask_head = MaskHead(*widths, config.width_scale)

    def train(self, mode: bool = True) -> "RPointNet":
        """As ever, but stages that do not learn keep their running statistics."""
        super().train(mode)
        self.gspn.train(mode and self.config.learn == "all")
        if self.semantics is not None:
            self.semantics.train(mode and self.config.learn != "heads")
        return self

    def fit(self, samples: Scans) -> None:
        """What the semantic network needs to know of the training set, where it learns."""
        if self.semantics is not None and self.config.learn != "heads":
            self.semantics.fit(samples)

    # --- from a scene to a batch ---

    def prepare(self, sample: Scan, rng: np.random.Generator) -> Batch:
        """The scene and its objects, with random seeds."""
        cloud, truth = sample.input, sample.truth
        rows = thinned(cloud.points, random_order(cloud, rng), wanted=self.config.gspn.points)
        objects, _ = objects_of(truth, rows)
        return Batch(
            self.gspn.batch_of(sample, rows, rng),
            self._features(cloud, rows),
            truth.classes_of_elements()[rows][None],
            truth.classes[objects],
        )

    def _features(self, cloud: PointCloud, rows: Int[Tensor, "n"]) -> Float[Tensor, "1 n f"]:
        """What the semantic network sees of these points; no columns where there is none."""
        if self.semantics is None:
            return torch.zeros(1, len(rows), 0)
        return self.semantics.features(cloud, rows)[None]

    # --- the network ---

    def forward(self, batch: Batch) -> Prediction:
        scene, learn = batch.scene, self.config.learn
        proposing = self.gspn(scene) if learn == "all" else None
        encoded, proposed = self._proposed(scene)
        known, semantic = self._known(scene, batch.features, encoded, proposed.context)
        wanted = self._wanted(batch, proposed)
        centers = self._centers(encoded, proposed.center, known.near)
        draws = torch.rand(*wanted.object.shape, self.config.region_points, device=scene.points.device)
        regions = regions_of(wanted.boxes, draws, scene.points, centers)
        classes, deltas = self.class_head(regions, known)
        masks = self.mask_head(regions, known)
        return Prediction(classes, deltas, masks, regions.index, wanted, proposing, semantic)

    @torch.no_grad()
    def _proposed(self, scene: SceneBatch) -> tuple[gspn.Encoded, gspn.Prediction]:
        """What GSPN knows of the scene, and proposes when it is not told the objects."""
        with evaluating(self.gspn):
            encoded = self.gspn.encoded(scene)
            return encoded, self.gspn.at_seeds(scene.untold(), encoded)

    def _known(
        self,
        scene: SceneBatch,
        features: Float[Tensor, "b n f"],
        encoded: gspn.Encoded,
        context: Float[Tensor, "b s c"],
    ) -> tuple[Backbone, pointnet2.Prediction | None]:
        """The feature backbone of Sec. 3.2 and, where it learns, what the semantic network says."""
        near = knn(scene.points, gather(scene.points, scene.seeds), k=3)
        semantic, f_sem = None, None
        if isinstance(self.f_sem, SemanticFeatures):
            assert self.semantics is not None
            learns = self.config.learn != "heads"
            with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
                seen = self.semantics.encoded(scene.points, features)
                semantic = self.semantics.decided(seen) if learns else None
            f_sem = self.f_sem(seen, scene.points)
        elif self.f_sem is not None:
            assert encoded.known is not None
            f_sem = self.f_sem(encoded.known)
        return Backbone(context if self.config.context_features else None, near, f_sem), semantic

    @staticmethod
    def _centers(
        encoded: gspn.Encoded, of_seeds: Float[Tensor, "b s 3"], near: Neighbours
    ) -> Float[Tensor, "b n 3"]:
        """Where each point's object seems to have its centre: its vote or, without votes, what the nearest seeds predict."""
        return interpolate(of_seeds, near) if encoded.votes is None else encoded.votes.detach()

    @torch.no_grad()
    def _wanted(self, batch: Batch, proposed: gspn.Prediction) -> Wanted:
        """Regions of each scene out of the true boxes and the proposals that stay after suppression."""
        c, found, first = self.config, list[Wanted](), 0
        for k, truth in enumerate(batch.scene.boxes.split(batch.scene.objects.tolist())):
            proposals = self.gspn.proposals(proposed, k)
            kept = proposals.best(before=c.before_suppression, most=c.proposals, max_iou=c.gspn.max_iou)
            chosen = self._chosen(torch.cat([truth, proposals.boxes[kept].to(truth)]), truth)
            found.append(chosen._replace(object=torch.where(chosen.object < 0, -1, chosen.object + first)))
            first += len(truth)
        return Wanted(*map(torch.stack, zip(*found, strict=True)))

    def _chosen(self, boxes: Float[Tensor, "n 6"], truth: Float[Tensor, "o 6"]) -> Wanted:
        """`config.regions` of a scene's boxes, random positive and negative ones; some again where there are too few."""
        count = self.config.regions
        overlap = torch.cat([aligned_iou(boxes, truth), boxes.new_zeros(len(boxes), 1)], dim=1)
        best, nearest = overlap.max(1)
        positive = best > _POSITIVE
        some = _shuffled(positive.nonzero()[:, 0])[: round(count * self.config.positive_share)]
        others = _shuffled((~positive).nonzero()[:, 0])
        rows = torch.cat([some, others]) if len(some) + len(others) else some
        rows = rows[torch.arange(count, device=rows.device) % len(rows)]
        object = torch.where(positive, nearest, -1)[rows]
        own = boxes[rows]
        wanted = torch.cat([truth, own.new_zeros(1, 6)])[object]
        return Wanted(own, object, torch.where(object[:, None] < 0, own, wanted))

    # --- losses ---

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """L = L_cls + L_box + L_mask over the regions, and those of the stages that learn."""
        wanted = prediction.wanted
        positive = wanted.object >= 0
        own = wanted.object[positive]
        kind = batch.kinds[own]
        known = kind >= 0
        target = torch.full_like(wanted.object, prediction.classes.shape[-1] - 1)
        target[positive] = torch.where(known, kind, _UNKNOWN)
        terms = {
            "class": F.cross_entropy(
                prediction.classes.flatten(0, 1), target.flatten(), ignore_index=_UNKNOWN, reduction="sum"
            )
            / (target != _UNKNOWN).sum().clamp(min=1)  # L_cls
        }
        row = torch.arange(len(kind), device=kind.device)[known]
        kind = kind[known]
        deltas = box_deltas(wanted.boxes[positive], wanted.true_boxes[positive])
        of_kind = prediction.deltas[positive][row, kind]
        terms["box"] = F.smooth_l1_loss(of_kind, deltas[known], reduction="sum") / max(
            6 * len(kind), 1
        )  # L_box
        owners = batch.scene.object_of_point
        of_points = torch.stack(
            [row[index] for row, index in zip(owners, prediction.points.clamp(min=0), strict=True)]
        )
        inside = (of_points == wanted.object[..., None]).float()[positive][known]
        masks = prediction.masks[positive][row, :, kind]
        terms["mask"] = F.binary_cross_entropy_with_logits(masks, inside, reduction="sum") / max(
            masks.numel(), 1
        )
        if prediction.proposing is not None:
            terms |= self.gspn.losses(prediction.proposing, batch.scene, at)
        if prediction.semantic is not None:
            assert self.semantics is not None
            seen = pointnet2.Batch(batch.scene.points, batch.features, batch.classes)
            terms |= self.semantics.losses(prediction.semantic, seen, at)
        return terms

    # --- instances ---

    @torch.inference_mode()
    def segment(self, given: PointCloud, /) -> Instances:
        """Instances, the surest first; they may overlap.

        `boxes` are the refined ones, along the axes; `shapes` what GSPN has generated for each. Where GSPN has learnt whole
        objects, the boxes are `amodal_boxes`, too. `element_classes` are those of the semantic network.
        """
        if len(given) == 0:
            empty = Instances.empty(0, self.vocabulary, self.name)
            return replace(empty, element_classes=torch.zeros(0, dtype=torch.int64))
        c, found, classes = self.config, list[Instances](), torch.full((len(given),), -1)
        with evaluating(self):
            for part in counted(parts_of(given.points, extent=c.part_extent, overlap=2 * _reach(c.gspn))):
                own, of_points = self._part(given[part.elements])
                assert own.boxes is not None
                mine = part.holds(given.points[part.elements])
                classes[part.elements[mine]] = of_points[mine]
                own = own[part.holds(own.boxes)]
                found.append(replace(own, masks=own.masks.within(part.elements, len(given))))
        every = Instances.cat(found)
        best = torch.argsort(every.scores, descending=True, stable=True)[: c.most]
        return replace(every[best], element_classes=classes)

    def _part(self, cloud: PointCloud) -> tuple[Instances, Int[Tensor, "n"]]:
        """The instances of a scene that is seen at once, and the class of each point."""
        c, device = self.config, self.gspn.device
        with stage("points"):
            rows = thinned(cloud.points, order_of_places(cloud), wanted=c.gspn.points)
            scene, points = self.gspn.scene_of(cloud, rows), cloud.points[rows][None]
            seeds = farthest_points(points, min(c.gspn.test_seeds, len(torch.unique(rows))))
        with stage("features"):
            encoded = self.gspn.encoded(scene.to(device))
        with stage("proposals"):
            proposals = self.gspn.propose(scene, seeds, encoded)
        with stage("suppression"):
            kept = proposals.best(before=c.gspn.before_suppression, most=c.gspn.most, max_iou=c.gspn.max_iou)
        with stage("semantics"):
            of_rows, f_sem = self._semantics(cloud, rows, encoded)
            nearest = knn(cloud.points[None], points, k=1).index[0, :, 0]
        with stage("regions"):
            near = knn(points, gather(points, seeds), k=3)
            centers = self._centers(encoded, proposals.center[None], near).cpu()
            known = Backbone(
                proposals.context[None].to(device) if c.context_features else None,
                Neighbours(*(values.to(device) for values in near)),
                f_sem,
            )
            found = self._detected(points, centers, proposals.boxes[kept], known)
        with stage("masks"):
            masks, sure = self._masked(cloud, points, centers, known, found)
        of_points = of_rows[nearest]
        if c.superpoints is not None:
            with stage("superpoints"):
                pieces = superpoints(cloud, c.superpoints)
                masks = [of_whole_pieces(mask, pieces) for mask in masks]
                of_points = most_frequent(of_points, pieces)[pieces]
        boxes = torch.cat([found.boxes, torch.zeros(len(found.boxes), 1)], dim=1)
        every = Instances(
            masks=Sets.of(masks, len(cloud)),
            classes=found.kind,
            scores=found.score * sure,
            vocabulary=self.vocabulary,
            boxes=boxes,
            amodal_boxes=boxes if c.gspn.target == "whole" else None,
            shapes=tuple(PointCloud(proposals.points_of(i)) for i in kept[found.row].tolist()),
            method=self.name,
        )
        return every[every.sizes > 0], of_points

    def _semantics(
        self, cloud: PointCloud, rows: Int[Tensor, "n"], encoded: gspn.Encoded
    ) -> tuple[Int[Tensor, "n"], Float[Tensor, "1 n d"] | None]:
        """The class of these points, and f_sem where it is used."""
        device = self.gspn.device
        if self.semantics is None:
            assert encoded.known is not None
            f_sem = self.f_sem(encoded.known) if isinstance(self.f_sem, KnownFeatures) else None
            return encoded.known.classes[0].argmax(1).cpu(), f_sem
        seen = self.semantics.encoded(
            cloud.points[rows][None].to(device), self._features(cloud, rows).to(device)
        )
        f_sem = None
        if isinstance(self.f_sem, SemanticFeatures):
            f_sem = self.f_sem(seen, cloud.points[rows][None].to(device))
        return self.semantics.decided(seen).logits[0].argmax(1).cpu(), f_sem

    def _detected(
        self,
        points: Float[Tensor, "1 n 3"],
        centers: Float[Tensor, "1 n 3"],
        boxes: Float[Tensor, "r 6"],
        known: Backbone,
    ) -> "_Detected":
        """Regions with a sure enough class, refined; of those of a class that overlap, the best."""
        c = self.config
        classes, deltas = (
            [torch.zeros(0, len(self.vocabulary) + 1)],
            [torch.zeros(0, len(self.vocabulary), 6)],
        )
        for some in counted(boxes.split(_REGIONS_AT_ONCE)):
            regions = regions_of(some[None], self._draws(len(some)), points, centers)
            logits, changes = self.class_head(regions.to(self.gspn.device), known)
            classes.append(logits[0].softmax(1).cpu())
            deltas.append(changes[0].cpu())
        every = torch.cat(classes)[:, :-1]
        score, kind = every.max(1)
        rows = (score >= c.min_score).nonzero()[:, 0]
        refined = changed_boxes(boxes[rows], torch.cat(deltas)[rows, kind[rows]])
        kept = best_of_each_class(suppressed, refined, score[rows], kind[rows], max_iou=c.max_iou)[: c.most]
        return _Detected(rows[kept], kind[rows[kept]], score[rows[kept]], refined[kept])

    def _masked(
        self,
        cloud: PointCloud,
        points: Float[Tensor, "1 n 3"],
        centers: Float[Tensor, "1 n 3"],
        known: Backbone,
        found: "_Detected",
    ) -> tuple[list[Tensor], Float[Tensor, "r"]]:
        """The points of the cloud in each region's mask, and the mean probability of these."""
        masks: list[Tensor] = []
        sure: list[float] = []
        boxes = torch.cat([found.boxes[:, :3], found.boxes[:, 3:] * self.config.mask_margin], dim=1)
        inside = points_in_boxes(cloud.points, torch.cat([boxes, torch.zeros(len(boxes), 1)], dim=1))
        done = 0
        for some in counted(boxes.split(_REGIONS_AT_ONCE)):
            regions = regions_of(some[None], self._draws(len(some)), points, centers)
            logits = self.mask_head(regions.to(self.gspn.device), known)[0].cpu()
            for k, (index, of_class) in enumerate(zip(regions.index[0], logits, strict=True)):
                r = done + k
                own = inside.indices[inside.offsets[r] : inside.offsets[r + 1]]
                drawn, first = _distinct(index[index >= 0])
                if not len(drawn) or not len(own):
                    masks.append(own[:0])
                    sure.append(0.0)
                    continue
                probability = of_class[first, found.kind[r]].sigmoid()
                nearest = knn(cloud.points[own][None], points[:, drawn], k=1).index[0, :, 0]
                chosen = probability[nearest] > self.config.mask_threshold
                masks.append(own[chosen])
                # In float64 the order of the points does not matter.
                own_sure = probability[nearest[chosen]].double()
                sure.append(float(own_sure.mean().float()) if len(own_sure) else 0.0)
            done += len(some)
        return masks, torch.tensor(sure)

    def _draws(self, count: int) -> Float[Tensor, "1 r k"]:
        """The same for every region: evenly spaced, with as many random starts."""
        generator = torch.Generator().manual_seed(self.config.seed)
        k = self.config.test_region_points
        return (torch.arange(k) + torch.rand(1, count, 1, generator=generator)) / k


def of_whole_pieces(mask: Int[Tensor, "k"], pieces: Int[Tensor, "n"]) -> Int[Tensor, "j"]:
    """The points of all pieces that have more than half of their points in the mask; the mask itself where there are none."""
    sizes = torch.bincount(pieces)
    inside = torch.bincount(pieces[mask], minlength=len(sizes))
    kept = (2 * inside > sizes)[pieces].nonzero()[:, 0]
    return kept if len(kept) else mask


class _Detected(NamedTuple):
    """Regions that hold an object."""

    row: Int[Tensor, "r"]
    """Of the proposals that stayed after suppression."""
    kind: Int[Tensor, "r"]
    score: Float[Tensor, "r"]
    boxes: Float[Tensor, "r 6"]


def _shuffled(rows: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    return rows[torch.randperm(len(rows), device=rows.device)]


def _distinct(index: Int[Tensor, "k"]) -> tuple[Int[Tensor, "u"], Int[Tensor, "u"]]:
    """Every value once, ascending, and where it stands first."""
    values, inverse = torch.unique(index, return_inverse=True)
    first = torch.full((len(values),), len(index)).scatter_reduce(
        0, inverse, torch.arange(len(index)), "amin"
    )
    return values, first


def _reach(config: GSPNConfig) -> float:
    """How far a proposal sees."""
    if config.backbone is not None:
        return config.members.reach
    return max(context.radius for context in config.contexts)


METHOD = RPointNet
