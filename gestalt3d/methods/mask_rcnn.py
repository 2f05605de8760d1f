"""Mask R-CNN for whole objects in photos (He et al., "Mask R-CNN", ICCV 2017), from torchvision's parts.

Boxes are those of whole objects, hidden parts included, and masks are amodal, visible or both, as the head says (`mask_heads`):
so it is A3D's first stage (visible masks in amodal boxes) and, with amodal masks, its baselines Mask R-CNN, ORCNN, BCNet and
ShapeDict.

Readings: the occluder of an object (BCNet) are the visible parts of all others in its region, where they hide it; a boundary is a
mask's pixels that have a neighbour outside of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign, roi_align

from gestalt3d.configs import Count, Share, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.photos.crops import boxes_to_cut, cut_masks, pasted, united
from gestalt3d.methods.photos.mask_heads import (
    BCNetHead,
    Kind,
    MaskHead,
    OrcnnHead,
    Part,
    edges,
    mask_losses,
    parts_of,
)
from gestalt3d.methods.photos.shape_dictionary import ShapeDictHead
from gestalt3d.methods.refiner import by_name
from gestalt3d.nn.image_backbone import Start
from gestalt3d.nn.image_pyramid import ImagePyramid, Levels
from gestalt3d.nn.modes import evaluating
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pixels import dense_mask, pixel_boxes
from gestalt3d.structures.samples import LabelledView, Sample, evenly_spaced
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

_STRIDE = 32
"""Photos are padded to multiples of it."""
_FITTED = 2000
"""Photos whose masks ShapeDict's dictionary is made of."""


@dataclass(frozen=True)
class MaskRCNNConfig:
    """Defaults are those of the paper's network in torchvision."""

    levels: Levels = "resnet50"
    """The network whose levels make the pyramid of features."""
    start: Start = "nothing"
    """Its initial weights; those of ImageNet come with this package for mobilenetv2, others are downloaded by torchvision."""
    width: Count = 256
    """Channels of the pyramid."""
    shorter: Annotated[int, Within(least=32, most=4096)] = 800
    """Pixels to which the shorter side of a photo is brought."""
    longer: Annotated[int, Within(least=32, most=8192)] = 1333
    """Most pixels of its longer side then."""
    anchors: tuple[Count, ...] = (32, 64, 128, 256, 512)
    """Pixels along the sides of boxes that proposals start from, one for each level, of which the last is made by pooling."""
    proposals: Count = 1000
    """Kept of a photo before and after suppression."""
    rois: Count = 512
    """Proposals of a photo that training learns from."""
    box_hidden: Count = 1024
    """Features of the head for boxes and classes."""
    head: Kind = "mask"
    """What is said of a region: one mask, or what ORCNN, BCNet or ShapeDict say."""
    masks: Literal["amodal", "visible"] = "amodal"
    """What one mask is of."""
    bins: Count = 14
    """Of a region along each side; its masks have twice as many."""
    mask_width: Count = 256
    """Channels of its convolutions."""
    mask_layers: Count = 4
    """How many there are before the up-convolution."""
    centres: Count = 1024
    """Shapes of each class in ShapeDict's dictionary."""
    priors: Count = 16
    """How many of them it looks at for a region."""
    min_score: Share = 0.05
    """Least probability of the class, in `segment`."""
    max_iou: Share = 0.5
    """Of two instances of a class whose boxes overlap by more, the better one stays."""
    most: Count = 100
    """Most instances of a photo."""
    threshold: Share = 0.5
    """A pixel with more belongs to a mask."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.longer < self.shorter:
            raise UserError(f"longer {self.longer}: must be at least shorter, {self.shorter}")


class Batch(NamedTuple):
    """Photos, and the objects in them, of which something is visible."""

    image: Float[Tensor, "b 3 h w"]
    size: Int[Tensor, "b 2"]
    """Height and width of each; 0 beyond."""
    photo: Int[Tensor, "m"]
    """Row of each object's photo, ascending."""
    boxes: Float[Tensor, "m 4"]
    classes: Int[Tensor, "m"]
    visible: Bool[Tensor, "m h w"]
    whole: Bool[Tensor, "m h w"]

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        height, width = (max(part.image.shape[axis] for part in parts) for axis in (2, 3))
        first = np.cumsum([0, *(len(part.image) for part in parts[:-1])]).tolist()

        def grown(values: Tensor) -> Tensor:
            return F.pad(values, (0, width - values.shape[-1], 0, height - values.shape[-2]))

        return cls(
            torch.cat([grown(part.image) for part in parts]),
            torch.cat([part.size for part in parts]),
            torch.cat([part.photo + at for part, at in zip(parts, first, strict=True)]),
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.classes for part in parts]),
            torch.cat([grown(part.visible) for part in parts]),
            torch.cat([grown(part.whole) for part in parts]),
        )


class Prediction(NamedTuple):
    """Losses, which torchvision's parts compute where they predict."""

    objectness: Float[Tensor, ""]
    proposal_box: Float[Tensor, ""]
    classifier: Float[Tensor, ""]
    box: Float[Tensor, ""]
    masks: Float[Tensor, "p"]
    """Of each mask that the head has, and of ShapeDict's auto-encoder."""


class MaskRCNN(Learned[View, Batch, Prediction]):
    name = "mask-rcnn"
    takes = View
    finds_masks = True
    wants_whole_boxes = True
    not_trained = ("min_score", "max_iou", "most", "threshold", "proposals")
    config: MaskRCNNConfig

    def __init__(self, config: MaskRCNNConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        c = config
        self.config, self.vocabulary = config, vocabulary
        classes = len(vocabulary) + 1  # and nothing
        self.pyramid = ImagePyramid(c.levels, c.width, start=c.start)
        count = self.pyramid.count
        if len(c.anchors) != count:
            raise UserError(f"anchors {c.anchors}: must be {count} sizes, one for each level of {c.levels}")
        anchors = AnchorGenerator(tuple((size,) for size in c.anchors), ((0.5, 1.0, 2.0),) * count)
        kept = {"training": 2 * c.proposals, "testing": c.proposals}
        self.propose = RegionProposalNetwork(
            anchors, RPNHead(c.width, 3), 0.7, 0.3, 256, 0.5, kept, kept, 0.7
        )  # fmt: skip
        names = [str(i) for i in range(count - 1)]  # the coarsest level proposes only
        self.regions = RoIHeads(
            MultiScaleRoIAlign(names, 7, 2), TwoMLPHead(c.width * 49, c.box_hidden),
            FastRCNNPredictor(c.box_hidden, classes), 0.5, 0.5, c.rois, 0.25, None, c.min_score, c.max_iou, c.most,
        )  # fmt: skip
        self.mask_pool = MultiScaleRoIAlign(names, c.bins, 2)
        self.mask_head = _head(c, len(vocabulary))

    @classmethod
    def from_config(cls, config: MaskRCNNConfig, vocabulary: Vocabulary) -> "MaskRCNN":
        return cls(config, vocabulary)

    def fit(self, samples: Any) -> None:
        """ShapeDict's dictionary, from the whole masks of the photos, at most `_FITTED` of them."""
        if isinstance(self.mask_head, ShapeDictHead):
            self.mask_head.learn_dictionary(
                _masks_in_boxes(evenly_spaced(samples, _FITTED), self.mask_head.side)
            )

    # --- from a photo to a batch ---

    def prepare(self, sample: LabelledView, rng: np.random.Generator) -> Batch:
        """The photo, brought to its size, and its objects of known class of which something is visible."""
        truth = sample.truth
        if truth.whole is None:
            raise UserError(
                f"{sample.name}: says nothing of whole objects; train on data with amodal masks, such as photos:train"
            )
        truth = truth[(truth.sizes > 0) & (truth.classes >= 0)]
        assert truth.whole is not None
        width, height = sample.input.image.shape[2], sample.input.image.shape[1]
        image, scale = self._scaled(sample.input.image.cpu())
        masks = [
            torch.stack([dense_mask(pixels, width=width, height=height) for pixels in sets])
            if len(sets)
            else torch.zeros(0, height, width, dtype=torch.bool)
            for sets in (truth.masks, truth.whole)
        ]
        size = image.shape[1:]
        visible, whole = (
            F.interpolate(mask[:, None].float(), size, mode="nearest-exact")[:, 0] > 0 for mask in masks
        )
        boxes = pixel_boxes(truth.whole, width=width) * scale
        count = len(truth)
        return Batch(
            image[None], torch.tensor([[*size]]), torch.zeros(count, dtype=torch.int64), boxes,
            truth.classes.clone(), visible, whole,
        )  # fmt: skip

    def _scaled(self, image: Float[Tensor, "3 h w"]) -> tuple[Float[Tensor, "3 i j"], Float[Tensor, "4"]]:
        """A photo of the size that the network wants, and by what boxes are multiplied."""
        c, (height, width) = self.config, image.shape[1:]
        factor = min(c.shorter / min(height, width), c.longer / max(height, width))
        size = [max(round(side * factor), 1) for side in (height, width)]
        if size != [height, width]:
            image = F.interpolate(
                image[None], size, mode="bilinear", align_corners=False, antialias=factor < 1
            )[0]
        scale = [size[1] / width, size[0] / height]
        return image, torch.tensor([*scale, *scale])

    # --- the network ---

    def _features(self, image: Float[Tensor, "b 3 h w"]) -> dict[str, Tensor]:
        down, right = (-side % _STRIDE for side in image.shape[2:])
        return self.pyramid(F.pad(image, (0, right, 0, down)))

    def forward(self, batch: Batch) -> Prediction:
        features = self._features(batch.image)
        sizes = [(int(h), int(w)) for h, w in batch.size.tolist()]
        images = ImageList(batch.image, sizes)
        own = [(batch.photo == k).nonzero()[:, 0] for k in range(len(sizes))]
        targets = [{"boxes": batch.boxes[rows], "labels": batch.classes[rows] + 1} for rows in own]
        with _in_training(self.propose):
            proposals, of_proposals = self.propose(images, features, targets)
        chosen, matched, labels, wanted = self.regions.select_training_samples(proposals, targets)
        logits, deltas = self.regions.box_predictor(
            self.regions.box_head(self.regions.box_roi_pool(features, chosen, sizes))
        )
        classifier, box = fastrcnn_loss(logits.float(), deltas.float(), labels, wanted)
        shown = [label > 0 for label in labels]
        boxes = [one[rows] for one, rows in zip(chosen, shown, strict=True)]
        object = torch.cat(
            [
                rows[one[some]] if len(rows) else one[some]
                for rows, one, some in zip(own, matched, shown, strict=True)
            ]
        )
        kind = batch.classes[object]
        said = self.mask_head(self.mask_pool(features, boxes, sizes), kind)
        wanted_masks = self._targets(batch, object, torch.cat(boxes))
        costs = [*mask_losses(said, wanted_masks, kind).values()]
        if isinstance(self.mask_head, ShapeDictHead):
            costs.append(self.mask_head.reconstruction_loss(wanted_masks["amodal"]))
        return Prediction(
            of_proposals["loss_objectness"], of_proposals["loss_rpn_box_reg"], classifier, box,
            torch.stack(costs),
        )  # fmt: skip

    @torch.no_grad()
    def _targets(
        self, batch: Batch, object: Int[Tensor, "r"], boxes: Float[Tensor, "r 4"]
    ) -> dict[Part, Float[Tensor, "r t t"]]:
        """What each region's masks should be."""
        side, wanted = 2 * self.config.bins, parts_of(self.config.head, self.config.masks)

        def within(masks: Bool[Tensor, "m h w"]) -> Float[Tensor, "r t t"]:
            if not len(object):
                return boxes.new_zeros(0, side, side)
            rois = torch.cat([object[:, None].to(boxes), boxes], dim=1)
            return (roi_align(masks[:, None].to(boxes), rois, side, aligned=True)[:, 0] > 0.5).to(boxes)

        amodal, visible = within(batch.whole), within(batch.visible)
        found: dict[Part, Float[Tensor, "r t t"]] = {
            "amodal": amodal,
            "visible": visible,
            "invisible": amodal * (1 - visible),
            "coarse amodal": amodal,
            "coarse visible": visible,
        }
        if self.config.head == "bcnet":
            occluder = within(_hiding(batch))
            found["occluder"], found["occluder edge"] = occluder, edges(occluder)
            found["amodal edge"] = edges(amodal)
        return {part: found[part] for part in wanted}

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """Those of Faster R-CNN and of each mask."""
        names: list[str] = [*parts_of(self.config.head, self.config.masks)]
        p, names = prediction, names + ["codes"] * (self.config.head == "shapedict")
        boxes = {
            "objectness": p.objectness,
            "proposal_box": p.proposal_box,
            "classifier": p.classifier,
            "box": p.box,
        }
        return boxes | {name.replace(" ", "_"): cost for name, cost in zip(names, p.masks, strict=True)}

    # --- instances ---

    @torch.inference_mode()
    def segment(self, given: View, /) -> Instances:
        """Instances of the photo's pixels, the surest first; they may overlap.

        `image_boxes` are of whole objects; `masks` are visible and `whole` amodal, as far as the head says either: one that says
        amodal masks alone says them as both. A score is the probability of the class.
        """
        c = self.config
        width, height = given.image.shape[2], given.image.shape[1]
        device = next(self.parameters()).device
        with evaluating(self):
            image, scale = self._scaled(given.image.to(device))
            sizes = [(image.shape[1], image.shape[2])]
            with stage("features"):
                features = self._features(image[None])
            with stage("boxes"):
                proposals, _ = self.propose(ImageList(image[None], sizes), features)
                (found,), _ = self.regions(features, proposals, sizes)
            kind, boxes = found["labels"] - 1, found["boxes"]
            with stage("masks"):
                said = self.mask_head(self.mask_pool(features, [boxes], sizes), kind)
                rows = torch.arange(len(kind), device=device)
                masks = {
                    part: pasted(
                        logits[rows, kind].float().sigmoid().cpu(),
                        boxes.cpu() / scale,
                        (width, height),
                        c.threshold,
                    )
                    for part, logits in said.items()
                    if part in ("amodal", "visible")
                }
        whole = masks.get("amodal")
        visible = masks.get("visible", whole)
        assert visible is not None
        return Instances(
            masks=visible,
            classes=kind.cpu(),
            scores=found["scores"].float().cpu(),
            vocabulary=self.vocabulary,
            whole=whole,
            image_boxes=boxes.float().cpu() / scale,
            method=self.name,
        )

    @torch.inference_mode()
    def refine(self, view: View, seen: Instances, /) -> Instances:
        """Objects that somebody has found, with `whole` masks in their boxes: `image_boxes`, else those of the visible masks.

        What is visible is not looked at, but belongs to the whole. A class that is -1 becomes the likeliest of this vocabulary.
        Objects of which nothing is visible get no pixels. `UserError` for a head that says no amodal masks.
        """
        if "amodal" not in parts_of(self.config.head, self.config.masks):
            raise UserError(
                "this network says what is visible and nothing of what is whole; choose another refiner"
            )
        width, height = view.image.shape[2], view.image.shape[1]
        device = next(self.parameters()).device
        rows = (seen.sizes > 0).nonzero()[:, 0].cpu()
        boxes = boxes_to_cut(seen, view, "amodal")
        classes = by_name(seen, self.vocabulary)
        with evaluating(self):
            image, scale = self._scaled(view.image.to(device))
            sizes = [(image.shape[1], image.shape[2])]
            with stage("features"):
                features = self._features(image[None])
            own = (boxes[rows] * scale).to(device)
            with stage("masks"):
                pooled = self.regions.box_head(self.regions.box_roi_pool(features, [own], sizes))
                likeliest = self.regions.box_predictor(pooled)[0][:, 1:].argmax(1)
                known = classes[rows].to(device)
                kind = torch.where(known >= 0, known, likeliest)
                logits = self.mask_head(self.mask_pool(features, [own], sizes), kind)["amodal"]
                filled = torch.zeros(len(seen), *logits.shape[2:])
                filled[rows] = logits[torch.arange(len(rows), device=device), kind].float().sigmoid().cpu()
                whole = united(pasted(filled, boxes, (width, height), self.config.threshold), seen.masks)
        found = seen.classes.clone()
        if seen.vocabulary == self.vocabulary:
            found[rows] = kind.cpu()
        return replace(seen, whole=whole, classes=found, method=self.name)


def _head(config: MaskRCNNConfig, classes: int) -> nn.Module:
    c = config
    sizes = c.width, c.mask_width, c.mask_layers, classes
    if c.head == "shapedict":
        return ShapeDictHead(*sizes, side=2 * c.bins, priors=c.priors, centres=c.centres)
    if c.head == "mask":
        return MaskHead(c.masks, *sizes)
    return (OrcnnHead if c.head == "orcnn" else BCNetHead)(*sizes)


def _masks_in_boxes(
    samples: Iterable[Sample[Any]], side: int
) -> Iterator[tuple[int, Float[np.ndarray, "side side"]]]:
    """The class and the whole mask of each object of known class, in its box."""
    for sample in samples:
        truth = sample.truth
        truth = truth[truth.classes >= 0]
        if truth.whole is None:
            continue
        size = sample.input.image.shape[2], sample.input.image.shape[1]
        masks = cut_masks(truth.whole, size, pixel_boxes(truth.whole, width=size[0]), side)
        yield from zip(truth.classes.tolist(), (masks > 0.5).float().numpy(), strict=True)


def _hiding(batch: Batch) -> Bool[Tensor, "m h w"]:
    """Of each object, what is visible of others of its photo where it would be seen itself."""
    if not len(batch.photo):
        return batch.visible
    hiding = []
    for i, photo in enumerate(batch.photo.tolist()):
        others = batch.visible[batch.photo == photo].any(0) & ~batch.visible[i]
        hiding.append(others & batch.whole[i])
    return torch.stack(hiding)


class _in_training:
    """torchvision's parts say losses in training mode only; batch norm there is none in them."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.before = module, module.training

    def __enter__(self) -> None:
        self.module.train()

    def __exit__(self, *_: object) -> None:
        self.module.train(self.before)


METHOD = MaskRCNN
