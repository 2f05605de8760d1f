"""GSPN: Generative Shape Proposal Network for 3D Instance Segmentation in Point Cloud (Yi et al., CVPR 2019), Sec. 3.1.

An object is proposed by generating it. For a seed point s the network sees the scene in spheres of three sizes, the context c;
it predicts the centre of the object that s belongs to, a distribution p(z|c) of shapes, and decodes a draw of it into 512 points,
each with the confidence e that something is there. While it learns, a recognition network q(z|x, c), which sees the object x,
says what z should have been (a conditional variational auto-encoder, Eq. 1). Section, equation and table numbers are the
paper's.

Readings, where the paper is silent or the authors' code differs:
- Spheres stand about the predicted centre, through which no gradient flows, as in the code. A sphere without points sees the
  seed alone.
- The centre network is the PointNet++ of Table 7, without colours, as in the code, or by option the K PointNets of the text,
  which see the contexts about the seed, with colours: `center`.
- The decoder sees the context's features and z only, never coordinates: with these it would copy instead of generate.
- All losses of an object are in units of half the diagonal of its box, as in the code, so that small objects count like large
  ones. Chamfer distances are squared.
- Eq. 2 as printed is KL(p || q), the bound of Eq. 1 wants KL(q || p): `kl` chooses. Its weight grows from 0 with the samples
  seen (KL annealing), as in the code.
- e, which the code lacks: a generated point is right within `confident` of the object (epsilon, which the paper does not
  give), and boxes are made of points with e > .5, of all where there are none.
- z is drawn from q while learning and is the mean of p in `segment`; log variances are kept within -10 and 1, as in the code.
- Seeds of no object, and those on the building, teach objectness only.
- Used alone, a proposal's mask is the points in its box that lie within `reach` of the shape; it has no class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, Positive, Share, Width, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.losses.variational import Gaussian, kl_divergence
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.regions.scene import about_grey, order_of_places, random_order, thinned
from gestalt3d.methods.voxels.labelled import is_object
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.point_decoder import PointSetDecoder
from gestalt3d.nn.pointnet import point_layers, scaled
from gestalt3d.nn.pointnet2 import (
    PointNet2Decoder,
    PointNet2Encoder,
    PointNet2Features,
    SetAbstraction,
    filled_up,
)
from gestalt3d.ops.aligned_boxes import aligned_iou, suppressed
from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.chamfer import nearest_both_ways
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.ops.gather import gather
from gestalt3d.ops.knn import knn
from gestalt3d.ops.neighbour_max import group_max
from gestalt3d.ops.roi_align import points_in_boxes
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class Context:
    """A sphere about the predicted centre."""

    radius: Positive
    """Metres."""
    points: Count
    """Most points that are seen in it."""

    def __post_init__(self) -> None:
        check_ranges(self)


PAPER_CONTEXTS = (Context(0.5, 256), Context(1.0, 256), Context(1.5, 512))


@dataclass(frozen=True)
class GSPNConfig:
    """Defaults are the paper's (Sec. 3.3, Tables 7 and 8) or, where it gives none, the authors' code's."""

    points: Count = 18_000
    """Points of a scene that the network sees, farthest from each other."""
    seeds: Count = 512
    """Seeds of a scene in training, random ones."""
    seeds_on_objects: Share = 0.0
    """At least this share of the seeds in training lies on objects, where there are any; the paper's are random alone."""
    test_seeds: Count = 2048
    """Seeds of a scene in `segment`, farthest from each other."""
    contexts: tuple[Context, ...] = PAPER_CONTEXTS
    """From the smallest object to the largest; the ablation "1-Context" has the largest alone."""
    center: Literal["pointnet2", "contexts", "none"] = "pointnet2"
    """What predicts the object's centre: the PointNet++ of Table 7, or PointNets on the contexts about the seed (Sec. 3.1); with
    "none", the ablation "No Center Pred", shapes and contexts stand about the seed.
    """
    variational: bool = True
    """Off, the ablation "E-D": the code is decoded as it is, and nothing recognises the object."""
    latent: Width = 256
    """Channels of z."""
    width_scale: Annotated[float, Within(above=0, most=64)] = 1.0
    """Factor for the widths of all layers."""
    center_points: tuple[Count, Count, Count, Count] = (2048, 512, 128, 32)
    """Points of the levels of the PointNet++ that predicts centres."""
    center_radii: tuple[Positive, Positive, Positive, Positive] = (0.2, 0.4, 0.8, 1.6)
    """Radii of its balls, in metres."""
    target: Literal["scanned", "whole"] = "scanned"
    """What the generator learns: the object's points in the scan, or its whole shape, which only `Instances.shapes` know."""
    confident: Positive = 0.1
    """A generated point this near to the object is right, in half diagonals of the object's box: epsilon of L_e."""
    least_radius: Positive = 0.05
    """In metres: smaller objects, such as what a crop leaves of one, count as if half their diagonal were this."""
    kl: Literal["printed", "bound"] = "printed"
    """Direction of the KL loss: that of Eq. 2 as printed, or that of the bound in Eq. 1."""
    kl_decay: Share = 0.7
    """After each `kl_every` samples what is missing to the full weight of the KL loss is this share of what it was."""
    kl_every: Count = 55_000
    """Samples, scenes, between rises of the weight of the KL loss."""
    positive_iou: Share = 0.5
    """A proposal whose box overlaps its nearest object's by more is one."""
    max_iou: Share = 0.5
    """In `segment` proposals that overlap a better one by more are dropped."""
    before_suppression: Count = 1536
    """Most proposals by objectness that are looked at for overlap."""
    most: Count = 384
    """Most proposals that stay."""
    reach: Positive = 0.06
    """Metres within which a point of the scan belongs to a shape."""
    seeds_at_once: Count = 256
    """In `segment`, for memory."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.contexts:
            raise UserError("contexts must be one at least, got none")


class Batch(NamedTuple):
    """Scenes, each with as many points and seeds; objects of all scenes one after the other."""

    points: Float[Tensor, "b n 3"]
    """Metres, farthest first, so that the first points of a sphere are spread over it."""
    colors: Float[Tensor, "b n 3"]
    """About grey; zeros where there are none."""
    seeds: Int[Tensor, "b s"]
    """Rows of `points`."""
    owner: Int[Tensor, "b s"]
    """Object of each seed, counted from 0 in its scene; -1: none, -2: not known, which takes no part in any loss."""
    shapes: Float[Tensor, "o t 3"]
    """Points of each object, from the centre of its box."""
    boxes: Float[Tensor, "o 6"]
    """Centre and size along the axes."""
    objects: Int[Tensor, "b"]
    """Of each scene."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))

    @property
    def object_of_seed(self) -> Int[Tensor, "b s"]:
        """Row of `boxes` and `shapes`; negative as in `owner`."""
        first = self.objects.cumsum(0) - self.objects
        return torch.where(self.owner >= 0, self.owner + first[:, None], self.owner)


class Prediction(NamedTuple):
    """Of every seed."""

    direction: Float[Tensor, "b s 3"]
    """Towards the centre, of any length."""
    distance: Float[Tensor, "b s"]
    """To the centre, metres."""
    center: Float[Tensor, "b s 3"]
    context: Float[Tensor, "b s f"]
    """The instance sensitive features f_c of Sec. 3.1, without the centre."""
    objectness: Float[Tensor, "b s"]
    """Logit."""
    shape: Float[Tensor, "b s p 3"]
    """Generated points, from the predicted centre."""
    confidence: Float[Tensor, "b s p"]
    """Logit of e."""
    prior: Gaussian
    proposal: Gaussian
    """Of the recognition network; the prior where there is no object to recognise."""


class ContextEncoder(nn.Module):
    """A PointNet for each sphere, MLP(64, 128, 256) and maximum (Table 7); their features side by side."""

    def __init__(self, contexts: tuple[Context, ...], width_scale: float) -> None:
        super().__init__()
        self.contexts = contexts
        widths = [scaled(width, width_scale) for width in (64, 128, 256)]
        self.each = nn.ModuleList([SetAbstraction(3, widths) for _ in contexts])
        self.channels = widths[-1] * len(contexts)

    def forward(
        self,
        points: Float[Tensor, "b n 3"],
        colors: Float[Tensor, "b n 3"],
        centers: Float[Tensor, "b s 3"],
        seeds: Int[Tensor, "b s"],
    ) -> Float[Tensor, "b s f"]:
        found = []
        for context, net in zip(self.contexts, self.each, strict=True):
            group = filled_up(ball_query(centers, points, radius=context.radius, k=context.points))
            found.append(net(points, colors, centers, torch.where(group < 0, seeds[..., None], group)))
        return torch.cat(found, dim=-1)


class Head(nn.Module):
    """Layers shared by all seeds, the last one linear."""

    def __init__(self, inputs: int, widths: list[int], outputs: int) -> None:
        super().__init__()
        self.hidden = point_layers([inputs, *widths])
        self.out = nn.Linear(widths[-1], outputs)

    def forward(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n d"]:
        return self.out(self.hidden(x)).float()


class SceneCenters(nn.Module):
    """PointNet++ of Table 7: the direction and the distance from each seed to the centre of its object."""

    def __init__(self, config: GSPNConfig) -> None:
        super().__init__()
        self.encoder = PointNet2Encoder(
            3, radii=config.center_radii, width_scale=config.width_scale, counts=config.center_points
        )
        width = scaled(128, config.width_scale)
        self.decoder = PointNet2Decoder(self.encoder, width, width_scale=config.width_scale)
        self.out = nn.Linear(width, 4)

    def forward(
        self, batch: Batch, places: Float[Tensor, "b s 3"], scene: PointNet2Features | None
    ) -> Float[Tensor, "b s 4"]:
        nothing = places.new_zeros(*places.shape[:2], 0)
        scene = self.encoder(batch.points) if scene is None else scene
        return self.out(self.decoder.at(scene, places, nothing)).float()


class ContextCenters(nn.Module):
    """The same from the contexts about the seed, each through a PointNet (Sec. 3.1)."""

    def __init__(self, config: GSPNConfig) -> None:
        super().__init__()
        self.context = ContextEncoder(config.contexts, config.width_scale)
        width = scaled(256, config.width_scale)
        self.out = Head(self.context.channels, [width, width], 4)

    def forward(
        self, batch: Batch, places: Float[Tensor, "b s 3"], scene: PointNet2Features | None
    ) -> Float[Tensor, "b s 4"]:
        return self.out(self.context(batch.points, batch.colors, places, batch.seeds))


_CENTERS: dict[str, type[SceneCenters] | type[ContextCenters]] = {
    "pointnet2": SceneCenters,
    "contexts": ContextCenters,
}


class GSPN(Learned[PointCloud, Batch, Prediction]):
    name = "gspn"
    takes = PointCloud
    not_trained = ("test_seeds", "max_iou", "before_suppression", "most", "reach", "seeds_at_once")
    config: GSPNConfig

    def __init__(self, config: GSPNConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        widths = [scaled(width, config.width_scale) for width in (256, 512)]
        self.center_net = _CENTERS[config.center](config) if config.center != "none" else None
        self.context = ContextEncoder(config.contexts, config.width_scale)
        features, z = self.context.channels, config.latent
        self.objectness = Head(features, [widths[0], scaled(64, config.width_scale)], 1)
        self.prior = Head(features, widths, 2 * z)
        if config.variational:
            seen = [scaled(width, config.width_scale) for width in (64, 256, 512)]
            self.recognise_points = point_layers([3, *seen])
            self.recognise_shape = point_layers([seen[-1], widths[0]])
            self.recognise = Head(features + widths[0], widths, 2 * z)
        self.condition = point_layers([features, widths[0]])
        self.decoder = PointSetDecoder(widths[0] + z, 4, width_scale=config.width_scale)

    @classmethod
    def from_config(cls, config: GSPNConfig, vocabulary: Vocabulary) -> "GSPN":
        return cls(config, vocabulary)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    # --- from a scene to a batch ---

    def prepare(self, sample: Scan, rng: np.random.Generator) -> Batch:
        """The scene and its objects, with random seeds."""
        rows = thinned(sample.input.points, random_order(sample.input, rng), wanted=self.config.points)
        return self.batch_of(sample, rows, rng)

    def batch_of(self, sample: Scan, rows: Int[Tensor, "n"], rng: np.random.Generator) -> Batch:
        """These points of the scene and all its objects, with random seeds."""
        cloud, truth, c = sample.input, sample.truth, self.config
        objects, owner = objects_of(truth, rows)
        seeds = self._seeds(owner >= 0, rng)
        shapes, boxes = [], []
        for i in objects.nonzero().flatten().tolist():
            own = _target(cloud, truth, i, rng, whole=c.target == "whole")
            low, high = own.amin(0), own.amax(0)
            drawn = own[torch.from_numpy(_drawn(len(own), PointSetDecoder.points, rng))]
            shapes.append(drawn - (low + high) / 2)
            boxes.append(torch.cat([(low + high) / 2, high - low]))
        none = torch.zeros(0, PointSetDecoder.points, 3), torch.zeros(0, 6)
        return Batch(
            cloud.points[rows][None],
            about_grey(cloud, rows)[None],
            seeds[None],
            owner[seeds][None],
            torch.stack(shapes) if shapes else none[0],
            torch.stack(boxes) if boxes else none[1],
            torch.tensor([len(shapes)]),
        )

    def _seeds(self, on_object: Bool[Tensor, "n"], rng: np.random.Generator) -> Int[Tensor, "s"]:
        """`config.seeds` rows in random order."""
        wanted = self.config.seeds
        objects = on_object.nonzero()[:, 0].numpy()
        chosen = rng.choice(objects, int(wanted * self.config.seeds_on_objects) if len(objects) else 0)
        count = wanted - len(chosen)
        anywhere = rng.choice(len(on_object), count, replace=len(on_object) < count)
        return torch.from_numpy(rng.permutation(np.concatenate([chosen, anywhere])))

    # --- the network ---

    def forward(self, batch: Batch) -> Prediction:
        return self.at_seeds(batch, self.encoded(batch.points))

    def encoded(self, points: Float[Tensor, "b n 3"]) -> PointNet2Features | None:
        """What the centre network sees of scenes whatever their seeds; None where that is nothing."""
        return self.center_net.encoder(points) if isinstance(self.center_net, SceneCenters) else None

    def at_seeds(self, batch: Batch, scene: PointNet2Features | None) -> Prediction:
        """What `forward` predicts, of a scene that is `encoded`."""
        places = gather(batch.points, batch.seeds)
        direction, distance, center = self._centers(batch, places, scene)
        f_c = self.context(batch.points, batch.colors, center.detach(), batch.seeds)
        prior = self._gaussian(self.prior(f_c))
        proposal = self._recognised(f_c, batch, prior)
        z = prior.mean
        known = (batch.owner >= 0)[..., None]
        if self.config.variational and bool(known.any()):
            z = torch.where(known, proposal.sample(torch.randn_like(proposal.mean)), prior.mean)
        # The decoder knows context and z only.
        codes = torch.cat([self.condition(f_c).float(), z], dim=-1)
        made = self.decoder(codes.flatten(0, 1)).float().unflatten(0, codes.shape[:2])
        objectness = self.objectness(f_c)[..., 0]
        return Prediction(
            direction, distance, center, f_c.float(), objectness, made[..., :3], made[..., 3], prior, proposal
        )

    def _centers(
        self, batch: Batch, places: Float[Tensor, "b s 3"], scene: PointNet2Features | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.center_net is None:
            return torch.zeros_like(places), places.new_zeros(places.shape[:2]), places
        direction, distance = self.center_net(batch, places, scene).split([3, 1], dim=-1)
        return direction, distance[..., 0], places + F.normalize(direction, dim=-1) * distance

    def _gaussian(self, values: Float[Tensor, "b s zz"]) -> Gaussian:
        mean, log_variance = values.chunk(2, dim=-1)
        return Gaussian(mean, log_variance.clamp(-10, 1))

    def _recognised(self, f_c: Float[Tensor, "b s f"], batch: Batch, prior: Gaussian) -> Gaussian:
        """q(z|x, c) of seeds on an object, the prior of all others."""
        if not self.config.variational or not len(batch.shapes):
            return prior
        f_x = self.recognise_shape(group_max(self.recognise_points(batch.shapes)))
        owner = batch.object_of_seed
        seen = torch.cat([f_c, f_x[owner.clamp(min=0)].to(f_c.dtype)], dim=-1)
        found = self._gaussian(self.recognise(seen))
        known = (owner >= 0)[..., None]
        return Gaussian(*(torch.where(known, q, p) for q, p in zip(found, prior, strict=True)))

    # --- losses ---

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """The five terms of L_GSPN, each the mean over its seeds: those on objects, for objectness all that are known."""
        c = self.config
        owner = batch.object_of_seed
        known = owner >= 0
        own = owner[known]
        count = max(len(own), 1)
        radius = (batch.boxes[own, 3:].norm(dim=1) / 2).clamp(min=c.least_radius)
        terms: dict[str, Tensor] = {}
        if len(own):
            # Truth and generated points in the frame of the predicted centre, in units of the object.
            shift = batch.boxes[own, :3] - prediction.center[known]
            truth = (batch.shapes[own] + shift[:, None]) / radius[:, None, None]
            made = prediction.shape[known] / radius[:, None, None]
            near = nearest_both_ways(made, truth)
            terms["generation"] = (near.dist2_a.mean(1) + near.dist2_b.mean(1)).mean()  # L_gen
            right = (near.dist2_a.detach() < c.confident**2).float()
            terms["confidence"] = F.binary_cross_entropy_with_logits(
                prediction.confidence[known], right
            )  # L_e
        else:
            terms["generation"] = prediction.shape.sum() * 0
            terms["confidence"] = prediction.confidence.sum() * 0
        if c.variational:
            weight = 1 - c.kl_decay ** (at.samples // c.kl_every)
            apart = kl_divergence(
                Gaussian(*(value[known] for value in prediction.proposal)),
                Gaussian(*(value[known] for value in prediction.prior)),
                direction=c.kl,
            )
            terms["kl"] = weight * apart.sum() / count  # L_KL, Eq. 2
        if self.center_net is not None:
            places = gather(batch.points, batch.seeds)[known]
            to_center = batch.boxes[own, :3] - places
            distance = to_center.norm(dim=1)
            unit = to_center / distance.clamp(min=1e-6)[:, None]
            off = F.smooth_l1_loss(prediction.direction[known], unit, reduction="sum")
            off = off + F.smooth_l1_loss(
                prediction.distance[known] / radius, distance / radius, reduction="sum"
            )
            terms["center"] = off / count  # L_center
        labelled = batch.owner > -2
        positive = (self._overlap(prediction, batch) > c.positive_iou)[labelled].float()
        terms["objectness"] = F.binary_cross_entropy_with_logits(
            prediction.objectness[labelled], positive, reduction="sum"
        ) / labelled.sum().clamp(min=1)  # L_obj
        return terms

    @torch.no_grad()
    def _overlap(self, prediction: Prediction, batch: Batch) -> Float[Tensor, "b s"]:
        """Largest IoU of each proposal's box with any object of its scene; 0 for seeds of no object."""
        boxes = boxes_of(prediction)
        best = boxes.new_zeros(batch.owner.shape)
        for k, truth in enumerate(batch.boxes.split(batch.objects.tolist())):
            if len(truth):
                best[k] = aligned_iou(boxes[k], truth).amax(1)
        return best.masked_fill(batch.owner < 0, 0)

    # --- proposals ---

    @torch.inference_mode()
    def segment(self, given: PointCloud, /) -> Instances:
        """Generated shapes as instances without a class, the most object-like first; they may overlap.

        `shapes` are their confident points, `boxes` the boxes of these along the axes. A score is the objectness, 0 to 1. Points
        near a shape are its mask; a shape near no point is dropped.
        """
        empty = Instances.empty(len(given), self.vocabulary, self.name)
        if len(given) == 0:
            return empty
        with evaluating(self):
            return self._segment(given)

    def _segment(self, cloud: PointCloud) -> Instances:
        c = self.config
        with stage("seeds"):
            rows = thinned(cloud.points, order_of_places(cloud), wanted=c.points)
            points, colors = cloud.points[rows][None], about_grey(cloud, rows)[None]
            count = min(c.test_seeds, len(torch.unique(rows)))
            seeds = farthest_points(points, count)
        with stage("proposals"):
            proposals = self.propose(points, colors, seeds)
        with stage("suppression"):
            kept = proposals.best(before=c.before_suppression, most=c.most, max_iou=c.max_iou)
        with stage("masks"):
            return self._instances(cloud, proposals, kept)

    def propose(
        self, points: Float[Tensor, "1 n 3"], colors: Float[Tensor, "1 n 3"], seeds: Int[Tensor, "1 s"]
    ) -> "Proposals":
        """A shape for each seed of one scene, some at a time; on the CPU."""
        device = self.device
        none = torch.zeros(0, PointSetDecoder.points, 3), torch.zeros(0, 6), torch.zeros(1, dtype=torch.int64)
        found: list[Proposals] = []
        scene = self.encoded(points.to(device))
        for some in counted(seeds.split(self.config.seeds_at_once, dim=1)):
            unknown = torch.full_like(some, -2)
            batch = Batch(points, colors, some, unknown, *none).to(device)
            made = self.at_seeds(batch, scene)
            found.append(Proposals(*(values.cpu() for values in Proposals.of(made, 0))))
        return Proposals(*map(torch.cat, zip(*found, strict=True)))

    def _instances(self, cloud: PointCloud, proposals: "Proposals", kept: Int[Tensor, "k"]) -> Instances:
        upright = torch.cat([proposals.boxes[kept], torch.zeros(len(kept), 1)], dim=1)
        wide = upright.clone()
        wide[:, 3:6] += 2 * self.config.reach
        inside = points_in_boxes(cloud.points, wide)
        members, shapes, stays = [], [], []
        for k, i in enumerate(kept.tolist()):
            near = inside.indices[inside.offsets[k] : inside.offsets[k + 1]]
            shape = proposals.points_of(i)
            own = near[knn(cloud.points[near][None], shape[None], k=1).dist2[0, :, 0] < self.config.reach**2]
            if len(own):
                members.append(own)
                shapes.append(PointCloud(shape))
                stays.append(k)
        rows = kept[torch.tensor(stays, dtype=torch.int64)]
        sizes = torch.tensor([len(own) for own in members], dtype=torch.int64)
        nothing = torch.zeros(0, dtype=torch.int64)
        return Instances(
            masks=Sets.from_sizes(sizes, torch.cat([nothing, *members]), len(cloud)),
            classes=torch.full((len(rows),), -1, dtype=torch.int64),
            scores=proposals.objectness[rows],
            vocabulary=self.vocabulary,
            boxes=upright[torch.tensor(stays, dtype=torch.int64)],
            shapes=tuple(shapes),
            method=self.name,
        )


class Proposals(NamedTuple):
    """What was generated for each seed of a scene."""

    center: Float[Tensor, "s 3"]
    shape: Float[Tensor, "s p 3"]
    """From the centre."""
    confidence: Float[Tensor, "s p"]
    """e, 0 to 1."""
    objectness: Float[Tensor, "s"]
    """0 to 1."""
    context: Float[Tensor, "s f"]
    """f_c."""
    boxes: Float[Tensor, "s 6"]
    """Of the confident points: centre and size."""

    @classmethod
    def of(cls, made: Prediction, k: int) -> "Proposals":
        """Those of scene `k`."""
        return cls(
            made.center[k],
            made.shape[k],
            made.confidence[k].sigmoid(),
            made.objectness[k].sigmoid(),
            made.context[k],
            boxes_of(made)[k],
        )

    def points_of(self, i: int) -> Float[Tensor, "k 3"]:
        """The confident points of a shape, all where there are none, in the scene's frame."""
        return self.shape[i][_counted(self.confidence[i])] + self.center[i]

    def best(self, *, before: int, most: int, max_iou: float) -> Int[Tensor, "k"]:
        """At most `most` that do not overlap by more than `max_iou`, of the `before` most object-like, best first."""
        first = torch.argsort(self.objectness, descending=True, stable=True)[:before]
        return first[suppressed(self.boxes[first], self.objectness[first], max_iou=max_iou)][:most]


def _counted(confidence: Float[Tensor, "*s p"]) -> Tensor:
    """The points that count: those with e > .5, all where there are none."""
    sure = confidence > 0.5
    return sure | ~sure.any(-1, keepdim=True)


def boxes_of(prediction: Prediction) -> Float[Tensor, "b s 6"]:
    """Centre and size of the boxes along the axes around the points that count."""
    counts = _counted(prediction.confidence.sigmoid())[..., None]
    low = prediction.shape.masked_fill(~counts, torch.inf).amin(2)
    high = prediction.shape.masked_fill(~counts, -torch.inf).amax(2)
    return torch.cat([prediction.center + (low + high) / 2, high - low], dim=-1)


def objects_of(truth: Instances, rows: Int[Tensor, "n"]) -> tuple[Bool[Tensor, "i"], Int[Tensor, "n"]]:
    """Which instances are objects, not the building, and the object that some elements belong to, counted from 0; -1: none."""
    objects = is_object(truth.classes, truth.vocabulary, structure=False) & (truth.sizes > 0)
    number = torch.cat([torch.where(objects, objects.cumsum(0) - 1, -1), torch.tensor([-1])])
    return objects, number[truth.to_labels()[rows]]


def _drawn(have: int, want: int, rng: np.random.Generator) -> np.ndarray:
    """`want` of so many, none twice where there are enough; else every one, some of them again."""
    return rng.permutation(have)[:want] if have >= want else np.resize(rng.permutation(have), want)


def _target(
    cloud: PointCloud, truth: Instances, i: int, rng: np.random.Generator, *, whole: bool
) -> Float[Tensor, "k 3"]:
    """What the generator should make of object `i`."""
    if not whole:
        return cloud.points[truth.elements_of(i)]
    shape = None if truth.shapes is None else truth.shapes[i]
    if isinstance(shape, Mesh):
        return shape.sampled(PointSetDecoder.points, rng)
    if not isinstance(shape, PointCloud):
        raise UserError(
            'target "whole" learns whole shapes, and these scans know none; train on synthetic rooms, or with '
            "--model.target scanned"
        )
    return shape.points


METHOD = GSPN
