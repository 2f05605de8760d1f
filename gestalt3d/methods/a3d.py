"""A3D, amodal instance segmentation guided by a 3D shape prior (Li, Ye, Jiang and Huang, "2D Amodal Instance Segmentation Guided
by 3D Shape Prior", ECCV 2022).

A network makes a mesh of each object from what is visible of it, another guesses where the camera stood, and the silhouette of
the mesh from there is the whole object's mask; a third corrects its edge by the photo. Nothing but masks of whole objects
supervises them, neither meshes nor cameras. Section and equation numbers are the paper's.

Readings, where the paper is silent:
- Sizes are those that give its number of parameters: convolutions of 3 x 3, their mean over the crop, 1,024, 1,024 and 512
  features, 642 vertices.
- "Class-specific": the decoder is told the class, in training the true one, then that of who found the object, or else how
  probable the network finds each. `class_forcing` below 1, ours, has it live with its own in training, too.
- The branch for the class learns by cross-entropy, for which the paper has no term.
- Offsets of vertices are bounded, and regularised as in SoftRas, whose renderer it is (Liu et al., ICCV 2019): "1 - IoU" alone
  lets the mesh collapse.
- The edge is refined by three convolutions and, since they end in a ReLU, a last one that gives logits; they are added to those
  of the silhouette. (2) is a sum over pixels, here their mean, or it would outweigh (1) by thousands.
- Azimuth is arctan2(a_x, a_y) of a pair brought to length 1.
- Crops keep their proportions; a shape that is squeezed to a square has no sides to tell from each other.

Ours, and off where a field says nothing else: `around="visible"` cuts around what is visible, for masks whose whole box nobody
knows, with `shift`, by which the object need not stand in the middle; `azimuths` asks for several guesses of the camera, which
learn by how probable they are, since one guess is often wrong by half a turn and cannot get out (Monnier et al., "Share With Thy
Neighbors", ECCV 2022); `beside` shows the other masks of the photo as well, as PCNet-M's input does (Zhan et al., CVPR 2020), and
`behind` lets nothing else hide an object, and `front` one object of two be in front; `unet` draws the mask anew by a network that
sees the silhouette, and not its edge alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, Lengths, NotNegative, Positive, Share, Width, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.losses.silhouette import flatten_loss, laplacian_loss, soft_iou
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.photos.crops import (
    Around,
    boxes_to_cut,
    cut_image,
    cut_masks,
    in_order,
    only_behind,
    others_in_crops,
    pasted,
    squares,
    stretched,
    united,
)
from gestalt3d.methods.refiner import by_name, visible_part
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.unet_2d import UNet2D
from gestalt3d.ops.look_at import look_at, project
from gestalt3d.ops.mesh_edges import MeshEdges, mesh_edges
from gestalt3d.ops.silhouette import soft_silhouette
from gestalt3d.stages import counted, stage
from gestalt3d.structures.icosphere import icosphere
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.samples import LabelledView
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

_AT_ONCE = 64
"""Objects in `refine`, for memory."""
_SURE = 1e-3
"""How near a silhouette comes to 0 and 1 before it becomes a logit."""


@dataclass(frozen=True)
class A3DConfig:
    """Defaults are the paper's or, where it gives none, those of our reading."""

    side: Annotated[int, Within(least=32, most=1024)] = 64
    """Pixels along the sides of a crop."""
    around: Around = "amodal"
    """What is cut out: the whole object's box, or the box of what is visible."""
    margin: Annotated[float, Within(least=1, most=8)] = 1.0
    """Of a crop, in lengths of the box's longer side."""
    stretch: bool = False
    """Bring both sides of a box to the crop's, whatever they are."""
    widths: tuple[Width, ...] = (32, 64, 128, 256, 512)
    """Channels of the convolutions of both encoders, each of which halves the resolution."""
    kernel: Annotated[int, Within(least=1, most=9)] = 3
    """Pixels along the sides of these convolutions."""
    pool: bool = True
    """Take the mean of their features over the crop, instead of those of each place."""
    hidden: tuple[Width, Width, Width] = (1024, 1024, 512)
    """Features after them: of the shape's encoder all three, of the viewpoint's the first two."""
    decoder: tuple[Width, Width] = (1024, 2048)
    """Features on the way from the encoder to the vertices."""
    subdivisions: Annotated[int, Within(least=0, most=5)] = 3
    """Of an icosahedron, for the sphere that is changed: 3 for 642 vertices."""
    radius: Positive = 0.5
    """Of the sphere."""
    most_offset: Positive = 0.5
    """Farthest that a vertex is moved along each axis."""
    class_forcing: Share = 1.0
    """How often, in training, the decoder is told the true class instead of what the network finds."""
    distance: Lengths = (2.0, 4.0)
    """Range of the camera's distance, in the units of the sphere."""
    most_above: Annotated[float, Within(least=0, most=89)] = 60.0
    """Farthest that it looks down from, in degrees."""
    most_below: Annotated[float, Within(least=0, most=89)] = 10.0
    """Farthest that it looks up from, in degrees."""
    field_of_view: Annotated[float, Within(above=1, below=179)] = 30.0
    """Of the crop, in degrees."""
    azimuths: Count = 1
    """Guesses of the camera's azimuth, each in a sector of its own; with 1 there are no sectors."""
    shift: bool = False
    """Let the object stand beside the middle of its crop."""
    sigma: Positive = 1e-4
    """Softness of the silhouette, in squares of half a crop's side."""
    refine_widths: tuple[Width, ...] = (64, 64, 64)
    """Channels of the convolutions that correct the edge; none leave the silhouette as it is."""
    unet: tuple[Width, ...] = ()
    """Channels of a U-Net that draws the mask anew instead, from its finest level on; none for the convolutions."""
    beside: bool = False
    """Show the networks what else is visible: all other masks, among which is what hides the object."""
    behind: bool = False
    """Believe in hidden parts only where another mask is, for photos all of whose objects are given."""
    front: Share = 0.0
    """Of two objects that reach behind each other, one is in front that does so by less than this share of the other's pixels."""
    cross_view: bool = False
    """Take two views of each object, where the data have them, and see the shape of each from the camera of the other."""
    mirror: Share = 0.5
    """How often, in training, left becomes right, in both views of an object."""
    hidden_weight: Share = 0.5
    """Of pixels where the object is not visible, in (2): the paper's lambda."""
    behind_weight: NotNegative = 0.5
    """Of those among them where another object is visible, which alone can hide it."""
    edge_weight: NotNegative = 1.0
    """Of (2)."""
    class_weight: NotNegative = 0.1
    """Of the loss of the class."""
    laplacian_weight: NotNegative = 5e-3
    """Of vertices that are not where their neighbours are."""
    flatten_weight: NotNegative = 5e-4
    """Of edges between faces that lie in no plane."""
    even_weight: NotNegative = 0.02
    """Of sectors of the azimuth that are used more than others."""
    threshold: Share = 0.5
    """A pixel with more belongs to the whole object."""
    keep_visible: bool = True
    """What is visible belongs to the whole object, whatever the network says."""

    def __post_init__(self) -> None:
        check_ranges(self)
        halved = max(len(self.widths), len(self.unet) - 1)
        if self.side % 2**halved:
            raise UserError(
                f"side {self.side}: must be a multiple of {2**halved}, as {halved} convolutions halve it"
            )
        if self.shift and self.around == "amodal":
            raise UserError(
                "shift: objects stand in the middle of amodal boxes; leave it, or set around to visible"
            )


class Batch(NamedTuple):
    """Crops of objects, and what is true of them."""

    image: Float[Tensor, "b 3 s s"]
    visible: Float[Tensor, "b s s"]
    """How much of a pixel shows the object."""
    whole: Float[Tensor, "b s s"]
    """How much of it would if nothing stood in front."""
    beside: Float[Tensor, "b s s"]
    """How much of it shows other objects."""
    classes: Int[Tensor, "b"]
    """-1 unknown."""
    twin: Int[Tensor, "b"]
    """Row of another view of the same object, -1 for none."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        image, visible, whole, beside, classes, twins = zip(*parts, strict=True)
        first = np.cumsum([0, *(len(twin) for twin in twins[:-1])]).tolist()
        twins = [torch.where(twin < 0, -1, twin + at) for twin, at in zip(twins, first, strict=True)]
        return cls(*map(torch.cat, (image, visible, whole, beside, classes, twins)))


class Viewpoints(NamedTuple):
    """Where the cameras of `b` crops may stand, as `ops.look_at` says, in radians and units of the sphere."""

    elevation: Float[Tensor, "b"]
    distance: Float[Tensor, "b"]
    azimuth: Float[Tensor, "b k"]
    """Of each guess."""
    logits: Float[Tensor, "b k"]
    """How probable each is."""
    shift: Float[Tensor, "b 2"]
    """Where the object stands, in half sides of the crop, right and up."""

    def take(self, rows: Int[Tensor, "j"]) -> "Viewpoints":
        return Viewpoints(*(values[rows] for values in self))

    def likeliest(self) -> "Viewpoints":
        """The one guess of each."""
        best = self.logits.argmax(1, keepdim=True)
        return self._replace(azimuth=self.azimuth.gather(1, best), logits=self.logits.gather(1, best))


class Prediction(NamedTuple):
    classes: Float[Tensor, "b c"]
    """Logits."""
    vertices: Float[Tensor, "b v 3"]
    cameras: Viewpoints
    silhouettes: Float[Tensor, "b k s s"]
    """The coarse amodal mask from each guess of the camera."""
    crossed: Float[Tensor, "p s s"]
    """Shapes with a twin, from the camera of the twin."""
    refined: Float[Tensor, "b s s"]
    """Logits of the amodal mask."""


class Encoder(nn.Module):
    """Convolutions with batch norm that halve the resolution, and fully connected layers, all but a linear last one with ReLU."""

    def __init__(self, config: A3DConfig, features: Sequence[int], *, last: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 4
        for width in config.widths:
            conv = nn.Conv2d(channels, width, config.kernel, stride=2, padding=config.kernel // 2, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.convs = nn.Sequential(*layers)
        self.beside = None
        if config.beside:
            # Apart, and nothing at first, so that weights that were trained without it begin as they are.
            first = config.widths[0]
            self.beside = nn.Conv2d(1, first, config.kernel, stride=2, padding=config.kernel // 2, bias=False)
            nn.init.zeros_(self.beside.weight)
        self.pool = nn.AdaptiveAvgPool2d(1) if config.pool else nn.Identity()
        size = channels * (1 if config.pool else (config.side // 2 ** len(config.widths)) ** 2)
        full: list[nn.Module] = []
        for width in features:
            full += [nn.Linear(size, width), nn.ReLU(inplace=True)]
            size = width
        self.full = nn.Sequential(*full, *([nn.Linear(size, last)] if last else []))

    def forward(self, x: Float[Tensor, "b f s s"]) -> Float[Tensor, "b o"]:
        found = self.convs[0](x[:, :4])
        if self.beside is not None:
            found = found + self.beside(x[:, 4:])
        return self.full(self.pool(self.convs[1:](found)).flatten(1))


class ShapeNetwork(nn.Module):
    """Category-specific 3D modeling (Sec. 3.3): from a crop and its visible mask to the vertices of a mesh."""

    base: Float[Tensor, "v 3"]
    """V^0, the sphere."""
    faces: Int[Tensor, "f 3"]
    ends: Int[Tensor, "e 2"]
    opposite: Int[Tensor, "e 2"]

    def __init__(self, config: A3DConfig, classes: int) -> None:
        super().__init__()
        self.most_offset = config.most_offset
        self.encoder = Encoder(config, config.hidden)
        self.classify = nn.Linear(config.hidden[2], classes)
        # A file's network is built without memory first, and edges are counted.
        with torch.device("cpu"):
            sphere = icosphere(config.subdivisions, radius=config.radius)
            edges = mesh_edges(sphere.faces)
        self.register_buffer("base", sphere.vertices, persistent=False)
        self.register_buffer("faces", sphere.faces, persistent=False)
        self.register_buffer("ends", edges.ends, persistent=False)
        self.register_buffer("opposite", edges.opposite, persistent=False)
        first, second = config.decoder
        self.decoder = nn.Sequential(
            nn.Linear(config.hidden[2] + classes, first),
            nn.ReLU(inplace=True),
            nn.Linear(first, second),
            nn.ReLU(inplace=True),
        )
        self.offset = nn.Linear(second, 3 * len(self.base))
        nn.init.normal_(self.offset.weight, std=1e-3)
        nn.init.zeros_(self.offset.bias)

    @property
    def edges(self) -> MeshEdges:
        """Of every mesh."""
        return MeshEdges(self.ends, self.opposite)

    def forward(
        self, x: Float[Tensor, "b f s s"], known: Int[Tensor, "b"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b v 3"]]:
        """Logits of the class, and V^r = V^0 + ΔV; `known` are classes to be told, -1 where the network's own are taken."""
        features = self.encoder(x)
        logits = self.classify(features)
        told = F.one_hot(known.clamp(min=0), logits.shape[1]).to(logits)
        own = logits.softmax(1)
        kind = torch.where((known >= 0)[:, None], told, own)
        offset = self.offset(self.decoder(torch.cat([features, kind], dim=1))).float()
        return logits.float(), self.base + self.most_offset * offset.tanh().unflatten(1, (-1, 3))


class ViewpointEstimator(nn.Module):
    """The camera's elevation, distance and azimuth (Sec. 3.4), which no truth of cameras supervises."""

    def __init__(self, config: A3DConfig) -> None:
        super().__init__()
        self.config = config
        own = 2 if config.azimuths == 1 else 2 * config.azimuths
        self.encoder = Encoder(config, config.hidden[:2], last=2 + own + 2 * config.shift)
        last = self.encoder.full[-1]
        assert isinstance(last, nn.Linear)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)
        if config.azimuths == 1:
            nn.init.constant_(
                last.bias[3:4], 1.0
            )  # a direction to begin with: of none arctan2 has no gradient

    def forward(self, x: Float[Tensor, "b f s s"]) -> Viewpoints:
        c, said = self.config, self.encoder(x).float()
        elevation, distance = said[:, :2].sigmoid().unbind(1)
        elevation = torch.deg2rad(elevation * (c.most_above + c.most_below) - c.most_below)
        distance = c.distance[0] + distance * (c.distance[1] - c.distance[0])
        azimuth, logits = _azimuths(said[:, 2 : len(said[0]) - 2 * c.shift], c.azimuths)
        shift = said[:, -2:].tanh() if c.shift else said.new_zeros(len(said), 2)
        return Viewpoints(elevation, distance, azimuth, logits, shift)


def _azimuths(said: Float[Tensor, "b s"], count: int) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k"]]:
    """Radians and logits of the guesses."""
    if count == 1:
        x, y = F.normalize(said, dim=1, eps=1e-6).unbind(1)
        return torch.atan2(x, y)[:, None], said.new_zeros(len(said), 1)
    within, logits = said.chunk(2, dim=1)
    sector = 2 * math.pi / count
    # A little more than its own half, so that no azimuth is hard to reach.
    return sector * (torch.arange(count, device=said.device) + 0.52 * within.tanh()), logits


class EdgeRefine(nn.Module):
    """Region-specific edge refinement (Sec. 3.5): logits of the amodal mask from silhouette, crop and visible mask."""

    def __init__(self, config: A3DConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 5 + config.beside
        for width in config.refine_widths:
            conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.convs = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1)) if layers else None

    def forward(self, coarse: Float[Tensor, "b s s"], x: Float[Tensor, "b f s s"]) -> Float[Tensor, "b s s"]:
        logits = coarse.clamp(_SURE, 1 - _SURE).logit()
        if self.convs is None:
            return logits
        return logits + self.convs(torch.cat([coarse[:, None], x], dim=1))[:, 0].float()


class Redrawn(nn.Module):
    """The mask anew by a U-Net from the same, for which the silhouette is one sign among others."""

    def __init__(self, config: A3DConfig) -> None:
        super().__init__()
        self.convs = UNet2D(5 + config.beside, config.unet, 1)

    def forward(self, coarse: Float[Tensor, "b s s"], x: Float[Tensor, "b f s s"]) -> Float[Tensor, "b s s"]:
        return self.convs(torch.cat([coarse[:, None], x], dim=1))[:, 0].float()


class A3D(Learned[View, Batch, Prediction]):
    name = "a3d"
    takes = View
    not_trained = ("threshold", "keep_visible", "behind", "front")
    config: A3DConfig

    def __init__(self, config: A3DConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.shape = ShapeNetwork(config, len(vocabulary))
        self.viewpoint = ViewpointEstimator(config)
        self.refinement = Redrawn(config) if config.unet else EdgeRefine(config)

    @classmethod
    def from_config(cls, config: A3DConfig, vocabulary: Vocabulary) -> "A3D":
        return cls(config, vocabulary)

    @property
    def wants_whole_boxes(self) -> bool:
        """Whether crops are those of whole objects."""
        return self.config.around == "amodal"

    # --- from a photo to crops ---

    def prepare(self, sample: LabelledView, rng: np.random.Generator) -> Batch:
        """The objects of a photo of which something is visible; with `cross_view` each of another view of it, too."""
        batch = self._crops(sample)
        other = getattr(sample, "another", None)
        if self.config.cross_view and other is not None:
            twin = self._crops(other(rng))
            if len(batch.twin) == len(twin.twin) == 1:
                batch = Batch.cat([batch, twin])._replace(twin=torch.tensor([1, 0]))
        if rng.random() < self.config.mirror:
            flipped = {
                name: getattr(batch, name).flip(-1) for name in ("image", "visible", "whole", "beside")
            }
            batch = batch._replace(**flipped)
        return batch

    def _crops(self, sample: LabelledView) -> Batch:
        truth = sample.truth
        if truth.whole is None:
            raise UserError(
                f"{sample.name}: says nothing of whole objects; train on data with amodal masks, such as objects:train"
            )
        truth = truth[truth.sizes > 0]
        assert truth.whole is not None
        seen = visible_part(truth, width=sample.input.image.shape[2], whole_boxes=True)
        boxes = self._boxes(sample.input, seen)
        image, visible, others = self._seen(sample.input, seen.masks, seen.masks, boxes)
        whole = cut_masks(truth.whole, _size(sample.input), boxes, self.config.side)
        return Batch(image, visible, whole, others, truth.classes.clone(), torch.full_like(truth.classes, -1))

    def _boxes(self, view: View, seen: Instances) -> Float[Tensor, "i 4"]:
        """What is cut out of the photo for each instance."""
        c = self.config
        boxes = boxes_to_cut(seen, view, c.around)
        return (stretched if c.stretch else squares)(boxes, c.margin)

    def _seen(
        self, view: View, masks: Sets, every: Sets, boxes: Float[Tensor, "i 4"]
    ) -> tuple[Float[Tensor, "i 3 s s"], Float[Tensor, "i s s"], Float[Tensor, "i s s"]]:
        """Crops of the photo, of some of its masks and, for each, of all others."""
        side, size = self.config.side, _size(view)
        image = cut_image(view.image.cpu(), boxes, side)
        return image, cut_masks(masks, size, boxes, side), others_in_crops(masks, every, size, boxes, side)

    # --- the network ---

    def forward(self, batch: Batch) -> Prediction:
        x = self._shown(batch.image, batch.visible, batch.beside)
        forced = torch.rand(len(x), device=x.device) < self.config.class_forcing
        return self._predicted(x, torch.where(forced, batch.classes, -1), batch.twin)

    def _shown(
        self, image: Float[Tensor, "b 3 s s"], visible: Float[Tensor, "b s s"], beside: Float[Tensor, "b s s"]
    ) -> Float[Tensor, "b f s s"]:
        """A_i = [I_i^a, M_i^v], and with `beside` what else is visible."""
        shown = [image, visible[:, None], *([beside[:, None]] if self.config.beside else [])]
        return torch.cat(shown, dim=1)

    def _predicted(
        self, x: Float[Tensor, "b f s s"], known: Int[Tensor, "b"], twin: Int[Tensor, "b"]
    ) -> Prediction:
        classes, vertices = self.shape(x, known)
        cameras = self.viewpoint(x)
        silhouettes = self._rendered(vertices, cameras)
        paired = (twin >= 0).nonzero()[:, 0]
        crossed = self._rendered(vertices[paired], cameras.take(twin[paired]).likeliest())[:, 0]
        best = cameras.logits.argmax(1)
        coarse = silhouettes[torch.arange(len(x), device=x.device), best]
        return Prediction(classes, vertices, cameras, silhouettes, crossed, self.refinement(coarse, x))

    def _rendered(self, vertices: Float[Tensor, "b v 3"], cameras: Viewpoints) -> Float[Tensor, "b k s s"]:
        """Silhouettes from each guess of the camera."""
        c, (count, guesses) = self.config, cameras.azimuth.shape
        each = torch.arange(count, device=vertices.device).repeat_interleave(guesses)
        with torch.autocast(vertices.device.type, enabled=False):
            pose = look_at(cameras.elevation[each], cameras.azimuth.flatten(), cameras.distance[each])
            seen = project(vertices[each], pose, field_of_view=math.radians(c.field_of_view))
            seen = torch.cat([seen[..., :2] + cameras.shift[each][:, None], seen[..., 2:]], dim=-1)
            found = soft_silhouette(seen, self.shape.faces, size=(c.side, c.side), sigma=c.sigma)
        return found.unflatten(0, (count, guesses))

    # --- losses ---

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        c, whole = self.config, batch.whole
        count = max(len(whole), 1)
        apart = 1 - soft_iou(prediction.silhouettes, whole[:, None].expand_as(prediction.silhouettes))
        share = prediction.cameras.logits.softmax(1)
        costs = (share * apart).sum(1)
        paired = (batch.twin >= 0).nonzero()[:, 0]
        if len(paired):
            # The shape of each from the camera of the other, whose mask it should have.
            costs = costs.index_add(0, paired, 1 - soft_iou(prediction.crossed, whole[batch.twin[paired]]))
            costs = costs / torch.where(batch.twin >= 0, 2, 1)
        terms = {"shape": costs.sum() / count}  # L_R (1)
        if self.refinement.convs is not None:
            each = F.binary_cross_entropy_with_logits(prediction.refined, whole, reduction="none")
            weight = torch.where(batch.beside > 0.5, c.behind_weight, c.hidden_weight)
            weight = torch.where(batch.visible > 0.5, 1.0, weight)
            terms["edge"] = c.edge_weight * (weight * each).mean((1, 2)).sum() / count  # L_E (2)
        known = batch.classes >= 0
        of_class = F.cross_entropy(prediction.classes[known], batch.classes[known], reduction="sum")
        edges = self.shape.edges
        terms |= {
            "class": c.class_weight * of_class / max(int(known.sum()), 1),
            "laplacian": c.laplacian_weight * laplacian_loss(prediction.vertices, edges),
            "flatten": c.flatten_weight * flatten_loss(prediction.vertices, edges),
        }
        if c.azimuths > 1:
            terms["even"] = c.even_weight * (share.mean(0) - 1 / c.azimuths).abs().sum()
        return terms

    def watched(self, prediction: Prediction, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """Signs of how learning without cameras goes wrong: one shape or one camera for all, a distance at its limit."""
        cameras = prediction.cameras.likeliest()
        angle = cameras.azimuth[:, 0]
        toward = torch.stack([angle.cos(), angle.sin()], dim=1).mean(0).norm()
        spread = prediction.vertices.std(0).mean() if len(angle) > 1 else prediction.vertices.new_zeros(())
        return {
            "azimuths_alike": toward,
            "elevation": torch.rad2deg(cameras.elevation).mean(),
            "distance": cameras.distance.mean(),
            "shapes_differ": spread,
        }

    # --- instances ---

    def segment(self, given: View, /) -> Instances:
        """`ValueError`: it completes masks that others find."""
        raise ValueError("a3d completes visible masks and finds none itself; call refine(view, seen)")

    @torch.inference_mode()
    def refine(self, view: View, seen: Instances, /) -> Instances:
        """The objects with `whole` and `shapes`, meshes as `methods.refiner` says; empty ones of which nothing is visible.

        A class that is -1, in this network's vocabulary, becomes the likeliest.
        """
        with evaluating(self):
            device = next(self.parameters()).device
            boxes = self._boxes(view, seen)
            known = by_name(seen, self.vocabulary)
            rows = (seen.sizes > 0).nonzero()[:, 0].cpu()
            found: list[Prediction] = []
            with stage("whole shapes"):
                for first in counted(range(0, len(rows), _AT_ONCE)):
                    some = rows[first : first + _AT_ONCE]
                    crops = self._seen(view, seen.masks.take(some), seen.masks, boxes[some])
                    x = self._shown(*crops).to(device)
                    found.append(
                        self._predicted(
                            x, known[some].to(device), torch.full((len(some),), -1, device=device)
                        )
                    )
        with stage("masks"):
            return self._answer(view, seen, boxes, rows, found)

    def _answer(
        self,
        view: View,
        seen: Instances,
        boxes: Float[Tensor, "i 4"],
        rows: Int[Tensor, "j"],
        found: Sequence[Prediction],
    ) -> Instances:
        c, side = self.config, self.config.side
        filled = torch.zeros(len(seen), side, side)
        shapes = [Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))] * len(seen)
        classes = seen.classes.clone()
        faces = self.shape.faces.cpu()
        names_are_ours = seen.vocabulary == self.vocabulary
        at = iter(rows.tolist())
        for one in found:
            meshes = _in_pixels(one.vertices, one.cameras.likeliest(), c.field_of_view)
            for mask, mesh, logits in zip(
                one.refined.sigmoid().cpu(), meshes.cpu(), one.classes.cpu(), strict=True
            ):
                i = next(at)
                filled[i] = mask
                shapes[i] = Mesh(_placed(mesh, boxes[i], view.image.shape[1]), faces)
                if names_are_ours and classes[i] < 0:
                    classes[i] = logits.argmax()
        whole = pasted(filled, boxes, _size(view), c.threshold)
        if c.keep_visible:
            whole = united(whole, seen.masks)
        if c.behind:
            whole = only_behind(whole, seen.masks)
        if c.front > 0:
            whole = in_order(whole, seen.masks, c.front)
        return replace(seen, whole=whole, shapes=tuple(shapes), classes=classes, method=self.name)


def _size(view: View) -> tuple[int, int]:
    """Width and height."""
    return view.image.shape[2], view.image.shape[1]


def _in_pixels(
    vertices: Float[Tensor, "b v 3"], cameras: Viewpoints, field_of_view: float
) -> Float[Tensor, "b v 3"]:
    """Vertices before the camera, in half sides of the crop where the object stands: right, away from it, up."""
    pose = look_at(cameras.elevation, cameras.azimuth[:, 0], cameras.distance)
    x, y, z = (vertices @ pose[:, :3, :3].transpose(1, 2)).unbind(-1)
    scale = 1 / (cameras.distance * math.tan(math.radians(field_of_view / 2)))
    out = torch.stack([x, z, -y], dim=-1) * scale[:, None, None]
    return (
        out
        + torch.stack([cameras.shift[:, 0], torch.zeros_like(scale), cameras.shift[:, 1]], dim=-1)[:, None]
    )


def _placed(mesh: Float[Tensor, "v 3"], box: Float[Tensor, "4"], height: int) -> Float[Tensor, "v 3"]:
    """From a crop to the photo, whose lower left corner is the origin."""
    half = (box[2:] - box[:2]) / 2
    middle = (box[:2] + box[2:]) / 2
    scale = torch.stack([half[0], half.mean(), half[1]])
    return mesh * scale + torch.stack([middle[0], middle.new_zeros(()), height - middle[1]])


METHOD = A3D
