"""A3IS-CNN, amodal 3D instance segmentation: Deep Sliding Shapes with a branch that says which part of its box an object fills.

The branch takes each region's bins from the trunk's maps and the volume (3D RoIAlign), with what the photo shows behind each bin,
and says for every class which of twice as many bins the object fills, hidden ones included. Section and equation numbers are the
paper's, whose formulas are lost in its text; the words around them say what they were.

Readings, where the paper is silent or contradicts itself:
- L_ins (2)-(4): binary cross-entropy of a sigmoid on the channel of the true class, the mean over the bins, over positive regions
  only, as in Mask R-CNN. With "softmax" it is the cross-entropy of all classes and the empty one. Formula (5): all weights are 1.
- 3D RoIAlign: bins at continuous places, the maximum of trilinear samples. "quantization of proposals" would make it the RoIPool
  that it is compared with. Colour is aligned bin by bin: the middle of each is projected into the photo's features, which are
  interpolated there and join the bin, with whether it is in the photo at all.
- The Gaussian quantizer (6)-(9) is that of half-wave Gaussian quantization (Cai et al., CVPR 2017), for features, not for
  places; `quantizer` switches it on.
- The network: "an FCN that shares its layers with the proposals" is 4 convolutions, an up-convolution and a last layer.
- "ResNet-16" and "ResNet-8" are ResNet-18 and one with one block a stage.
- Boxes are those of the recognition network; masks are made for the best `most` of them (the paper: 1,000).
- Behind clusters, ours, which show the visible part alone, masks are learnt in the boxes that recognition makes of them and in
  true ones a little off; `learn="branch"`, ours, trains the branch behind boxes that were trained before.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, NotNegative, Positive, Share, Within, check_ranges
from gestalt3d.methods import dss
from gestalt3d.methods.dss import DSS, Batch, DSSConfig
from gestalt3d.methods.frames.answer import masks_as_instances
from gestalt3d.methods.frames.objects import SIDE, Truth, in_frame, widened
from gestalt3d.methods.frames.recognition import Encoded, Place, Reduce, RegionFeatures
from gestalt3d.methods.frames.space import Frame, frame_of
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.nn.gaussian_quantizer import GaussianQuantizer
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.scene_volume import LAYOUT, SceneTrunk, volume_layer
from gestalt3d.ops.roi_align_3d import roi_bin_centers
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances, moved_boxes
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

_REGIONS_AT_ONCE = 32
"""In `segment`, for memory."""


@dataclass(frozen=True)
class A3ISConfig:
    """Defaults are the paper's or, where it gives none, those of our reading."""

    dss: DSSConfig = field(default_factory=DSSConfig)
    """The network that finds boxes."""
    learn: Literal["branch", "all"] = "all"
    """What learns: the branch behind a trained network for boxes, or both."""
    bins: Count = 14
    """Of a region along each side; its mask has twice as many."""
    samples: Count = 2
    """Of a bin along each side."""
    place: Place = "align"
    """How bins lie: RoIAlign, or for comparison RoIWarp or RoIPool."""
    reduce: Reduce = "max"
    """Of a bin's samples."""
    margin: Annotated[float, Within(least=1, most=4)] = 1.0
    """Of what the branch looks at, in sizes of the region."""
    color: bool = True
    """Let bins see the photo's features, where there is a network for photos."""
    color_width: Annotated[int, Within(least=1, most=4096, off=0)] = 0
    """Channels to which these features are reduced before; 0 leaves them as they are."""
    quantizer: Annotated[int, Within(least=1, most=255, off=0)] = 0
    """Positive levels to which a Gaussian quantizer brings the features of bins; 0 leaves them as they are."""
    mask_width: Count = 64
    """Channels of the branch."""
    mask_layers: Count = 4
    """Its convolutions before the up-convolution."""
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    """Every class on its own, or all of them in competition."""
    mask_positive_iou: Share = 0.35
    """IoU of a region and an object's box from which the branch learns the object's mask."""
    mask_rois: Count = 64
    """Most regions of a batch that it learns from."""
    mask_weight: NotNegative = 1.0
    """Of L_ins."""
    mask_threshold: Share = 0.5
    """What is filled with more probability belongs to the object, or with more than half of its largest where that is less."""
    visible_threshold: Share = 0.5
    """A pixel whose point has more, in its bin or one beside it, is part of what is visible."""
    voxel: Positive = 0.05
    """Edge of the voxels of an answer's shapes, in metres."""
    answer: Literal["masks", "boxes"] = "masks"
    """What `segment` says of an object: what the branch does, or its box alone, as Deep Sliding Shapes."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Masks(NamedTuple):
    logits: Float[Tensor, "m k s s s"]
    """With "softmax" the last channel is of what is empty."""
    rounded: Float[Tensor, ""]
    """Mean square of what the quantizer takes off the features of bins, or adds (9); 0 without one."""


class Prediction(NamedTuple):
    boxes: dss.Prediction | None
    """Where they learn."""
    regions: dss.Regions
    """Those whose masks are learnt."""
    masks: Masks


class MaskBranch(nn.Module):
    """Which part of each region's box an object fills, for every class (Fig. 2)."""

    def __init__(self, config: A3ISConfig, trunk: SceneTrunk, photo: int, classes: int) -> None:
        super().__init__()
        c = config
        self.features = RegionFeatures(
            c.dss.space, trunk, c.bins, shared=True, samples=c.samples, reduce=c.reduce, place=c.place
        )
        seen = c.color_width or photo
        self.reduce = nn.Conv2d(photo, seen, 1) if photo and c.color_width else nn.Identity()
        channels = self.features.channels + (seen + 1 if photo else 0)
        self.has_photo, self.bins, self.margin = bool(photo), c.bins, c.margin
        self.quantizer = GaussianQuantizer(c.quantizer) if c.quantizer else None
        self.before = nn.BatchNorm3d(channels, affine=False) if c.quantizer else None
        layers = [
            volume_layer(channels if i == 0 else c.mask_width, c.mask_width, 3, norm=c.dss.norm)
            for i in range(c.mask_layers)
        ]
        self.convs = nn.Sequential(*layers)
        up = nn.ConvTranspose3d(c.mask_width, c.mask_width, 2, stride=2)
        self.up = nn.Sequential(up, nn.ReLU(inplace=True)).to(memory_format=LAYOUT)
        self.decide = nn.Conv3d(c.mask_width, classes + (c.activation == "softmax"), 1)

    def forward(
        self, frame: Frame, encoded: Encoded, boxes: Float[Tensor, "r 7"], rows: Int[Tensor, "r"]
    ) -> Masks:
        wide = widened(boxes, self.margin)
        x = self.features(frame, encoded.seen, wide, rows)
        if self.has_photo:
            assert encoded.image is not None
            centers = roi_bin_centers(wide, size=self.bins)
            x = torch.cat([x, photo_at(frame, self.reduce(encoded.image), centers, rows).to(x.dtype)], dim=1)
            x = x.contiguous(memory_format=LAYOUT)
        rounded = boxes.new_zeros(())
        if self.quantizer is not None and self.before is not None:
            normal = self.before(x).float()
            x, rounded = self.quantizer(normal), self.quantizer.error(normal)
        return Masks(self.decide(self.up(self.convs(x))).float(), rounded)


def photo_at(
    frame: Frame,
    features: Float[Tensor, "b c i j"],
    centers: Float[Tensor, "r s s s 3"],
    rows: Int[Tensor, "r"],
) -> Float[Tensor, "r d s s s"]:
    """The photo's features where each place of the grid is seen, and 1; 0 in all channels where it is not in the photo."""
    camera, flat = frame.camera_from_grid[rows], centers.flatten(1, 3)
    # Eight bits would not tell one pixel from the next.
    with torch.autocast(flat.device.type, enabled=False):
        in_camera = flat @ camera[:, :3, :3].transpose(1, 2) + camera[:, None, :3, 3]
        depth = in_camera[..., 2:].clamp(min=1e-3)
        pixel = (in_camera / depth) @ frame.intrinsics[rows].transpose(1, 2)
    height, width = frame.image.shape[-2:]
    # From centres of pixels at whole numbers to -1 and 1 at the edges of the image.
    at = (pixel[..., :2] + 0.5) / torch.tensor([width, height], device=pixel.device) * 2 - 1
    inside = (at.abs() <= 1).all(-1) & (in_camera[..., 2] > 0)
    found = at.new_zeros(len(centers), features.shape[1], flat.shape[1])
    for k in range(len(features)):
        own = (rows == k).nonzero()[:, 0]
        if len(own):
            seen = F.grid_sample(
                features[k : k + 1].to(at.dtype),
                at[own].reshape(1, 1, -1, 2),
                padding_mode="border",
                align_corners=False,
            )
            found[own] = seen[0, :, 0].unflatten(1, (len(own), -1)).transpose(0, 1)
    joined = torch.cat([found * inside[:, None], inside[:, None].to(found)], dim=1)
    return joined.unflatten(2, tuple(centers.shape[1:4]))


def mask_targets(
    truth: Truth, object: Int[Tensor, "m"], boxes: Float[Tensor, "m 7"], side: int
) -> Float[Tensor, "m s s s"]:
    """Whether the true object fills the middle of each bin of a box."""
    local = in_frame(roi_bin_centers(boxes, size=side), truth.boxes[object][:, None, None, None])
    inside = ((local >= 0) & (local < 1)).all(-1)
    at = (local * SIDE).long().clamp(0, SIDE - 1)
    x, y, z = at.unbind(-1)
    return (truth.shapes[object[:, None, None, None], x, y, z] & inside).float()


class A3IS(Learned[View, Batch, Prediction]):
    name = "a3is"
    takes = View
    needs_depth = True
    not_trained = ("mask_threshold", "visible_threshold", "voxel", "answer")
    config: A3ISConfig

    def __init__(self, config: A3ISConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.dss = DSS.from_config(config.dss, vocabulary)
        if config.learn == "branch":
            self.dss.requires_grad_(False)
        photo = self.dss.photo.channels if self.dss.photo is not None and config.color else 0
        self.branch = MaskBranch(config, self.dss.trunk, photo, len(vocabulary))

    @classmethod
    def from_config(cls, config: A3ISConfig, vocabulary: Vocabulary) -> "A3IS":
        return cls(config, vocabulary)

    def train(self, mode: bool = True) -> "A3IS":
        """As ever, but a network for boxes that does not learn keeps its running statistics."""
        super().train(mode)
        self.dss.train(mode and self.config.learn == "all")
        return self

    def prepare(self, sample: LabelledView, rng: np.random.Generator) -> Batch:
        """The frame and its objects."""
        return self.dss.prepare(sample, rng)

    # --- the network ---

    def forward(self, batch: Batch) -> Prediction:
        learns = self.config.learn == "all"
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            encoded = self.dss.encoded(batch.frame)
            boxes = self.dss.predicted(batch, encoded)
        regions = boxes.regions
        if self.config.dss.propose == "clusters":
            regions = self._refined(boxes, batch.truth).and_also(self._jittered(batch.truth))
        chosen = self._chosen(regions, batch.truth)
        regions = dss.Regions(*(values[chosen] for values in regions))
        masks = self.branch(batch.frame, encoded, regions.boxes, regions.frame)
        return Prediction(boxes if learns else None, regions, masks)

    @torch.no_grad()
    def _refined(self, found: dss.Prediction, truth: Truth) -> dss.Regions:
        """Those with an object, as recognition refines them for its class: clusters themselves show the visible part alone."""
        own, said = found.regions.object, found.recognised
        rows = (own >= 0).nonzero()[:, 0]
        rows = rows[truth.classes[own[rows]] >= 0]
        kind = truth.classes[own[rows]]
        boxes = dss.refined(found.regions.boxes[rows], said.deltas[rows, kind], said.turn[rows, kind])
        return dss.Regions(boxes, found.regions.frame[rows], own[rows])

    @torch.no_grad()
    def _jittered(self, truth: Truth) -> dss.Regions:
        """The true boxes, a little off."""
        boxes, count = truth.boxes, len(truth.boxes)
        size = boxes[:, 3:6]
        off = (torch.rand(count, 3, device=boxes.device) - 0.5) * 0.3 * size
        grown = size * (1 + 0.5 * (torch.rand(count, 3, device=boxes.device) - 0.4))
        yaw = boxes[:, 6:] + 0.2 * (torch.rand(count, 1, device=boxes.device) - 0.5)
        every = torch.arange(count, device=boxes.device)
        return dss.Regions(torch.cat([boxes[:, :3] + off, grown, yaw], dim=1), truth.frame, every)

    @torch.no_grad()
    def _chosen(self, regions: dss.Regions, truth: Truth) -> Int[Tensor, "m"]:
        """Regions with an object of known class and shape that they overlap enough."""
        own = regions.object.clamp(min=0)
        known = regions.object >= 0
        if len(truth.boxes):
            known = known & truth.shaped[own] & (truth.classes[own] >= 0)
        rows = known.nonzero()[:, 0]
        enough = (
            dss.overlap_with(regions.boxes[rows], truth.boxes[own[rows]]) >= self.config.mask_positive_iou
        )
        rows = rows[enough]
        drawn = torch.randperm(len(rows), device=rows.device)[: self.config.mask_rois]
        return rows[drawn.sort().values]

    # --- losses ---

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """L = L_cls + L_reg + L_ins (1)."""
        terms = {} if prediction.boxes is None else self.dss.losses(prediction.boxes, batch, at)
        boxes, object = prediction.regions.boxes, prediction.regions.object
        kind = batch.truth.classes[object]
        masks = prediction.masks.logits
        side = masks.shape[-1]
        filled = mask_targets(batch.truth, object, widened(boxes, self.config.margin), side)
        if self.config.activation == "sigmoid":
            of_kind = masks[torch.arange(len(kind), device=kind.device), kind]
            cost = F.binary_cross_entropy_with_logits(of_kind, filled, reduction="sum")
        else:
            empty = masks.shape[1] - 1
            wanted = torch.where(filled > 0, kind[:, None, None, None], empty)
            cost = F.cross_entropy(masks, wanted, reduction="sum")
        return terms | {"mask": self.config.mask_weight * cost / max(filled.numel(), 1)}  # L_ins

    def watched(self, prediction: Prediction, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The error of the quantizer, where there is one."""
        return {"quantizer_error": prediction.masks.rounded} if self.config.quantizer else {}

    # --- instances ---

    @torch.inference_mode()
    def segment(self, given: View, /) -> Instances:
        """Instances of the view's pixels, the surest first; they may overlap.

        `masks` are visible pixels; `amodal_boxes` and `shapes`, of voxels, are of whole objects, in the frame of `given.cloud()`.
        A score is the probability of the class. `ValueError` without depth or camera.
        """
        c = self.config
        with evaluating(self):
            frame, grid_from_world = frame_of(given, c.dss.space)
            if not bool(frame.seen.any()):
                return Instances.empty(len(given), self.vocabulary, self.name)
            frame, encoded, found = self.dss.detected(frame, given, grid_from_world)
            if c.answer == "boxes":
                return self.dss.boxed(given, found, grid_from_world, self.name)
            with stage("whole shapes"):
                filled = self._filled(frame, encoded, found.boxes.to(frame.volume.device), found.kind)
        back = np.linalg.inv(grid_from_world)
        wide = moved_boxes(widened(found.boxes, c.margin), back)
        with stage("masks"):
            answer = masks_as_instances(
                given, found._replace(boxes=wide), filled, self.vocabulary, self.name,
                voxel=c.voxel, threshold=c.mask_threshold, visible_threshold=c.visible_threshold,
            )  # fmt: skip
        return replace(answer, amodal_boxes=moved_boxes(found.boxes, back))

    def _filled(
        self, frame: Frame, encoded: Encoded, boxes: Float[Tensor, "r 7"], kind: Int[Tensor, "r"]
    ) -> Float[Tensor, "r m m m"]:
        """How probably each object fills each bin of its box, on the CPU."""
        side = 2 * self.config.bins
        found = [torch.zeros(0, side, side, side)]
        for first in counted(range(0, len(boxes), _REGIONS_AT_ONCE)):
            some = boxes[first : first + _REGIONS_AT_ONCE]
            rows = torch.zeros(len(some), dtype=torch.int64, device=some.device)
            logits = self.branch(frame, encoded, some, rows).logits
            own = kind[first : first + _REGIONS_AT_ONCE].to(some.device)
            pick = torch.arange(len(some), device=some.device)
            filled = logits.sigmoid() if self.config.activation == "sigmoid" else logits.softmax(1)
            found.append(filled[pick, own].cpu())
        return torch.cat(found)


METHOD = A3IS
