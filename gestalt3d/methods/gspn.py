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
- With a `backbone` the network stands behind a trained MTML, whose features say more of a point than its colour does: centres
  and contexts are those of `regions.voting`, and shapes are generated in the frame of the members. This is ours.
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

from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, NotNegative, Positive, Share, Width, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.losses.variational import Gaussian, kl_divergence
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.regions.alternatives import AnchorBoxes, ContextSegments
from gestalt3d.methods.regions.proposals import Made, Proposals, boxes_of
from gestalt3d.methods.regions.scene import (
    Batch,
    bare_scene,
    batch_of,
    order_of_places,
    random_order,
    thinned,
)
from gestalt3d.methods.regions.voting import (
    MemberContext,
    MembersConfig,
    Votes,
    at_points,
    near_loss,
    vote_loss,
)
from gestalt3d.methods.staged import Known, Staged, StagedConfig
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
from gestalt3d.ops.aligned_boxes import aligned_iou
from gestalt3d.ops.ball_query import ball_query
from gestalt3d.ops.chamfer import nearest_both_ways
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.ops.gather import gather
from gestalt3d.ops.knn import knn
from gestalt3d.ops.neighbour_max import group_max
from gestalt3d.ops.roi_align import points_in_boxes
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
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
    # With "none", the ablation "No Center Pred", shapes and contexts stand about the seed.
    center: Literal["pointnet2", "contexts", "none"] = "pointnet2"
    """What predicts centres: Table 7's PointNet++, PointNets on the contexts (Sec. 3.1), or, as in an ablation, nothing."""
    # It takes the place of `center` and of the contexts.
    backbone: StagedConfig | None = None
    """A trained MTML with its semantic stage, from whose features points vote for centres; none in the paper."""
    members: MembersConfig = field(default_factory=MembersConfig)
    """Behind a backbone: which points seem to be of a seed's object."""
    proposes: Literal["shapes", "boxes", "segments"] = "shapes"
    """What a seed gives: a generated shape or, for comparison (Table 4), one of 27 anchor boxes or a segment of its context."""
    anchor_scales: tuple[Positive, Positive, Positive] = (0.5, 1.0, 1.5)
    """Of "boxes": widths of cubes, in metres, whose volumes the anchors have."""
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
    # Frames behind a backbone are no smaller, either.
    least_radius: Positive = 0.05
    """In metres: smaller objects, such as what a crop leaves of one, count as if half their diagonal were this."""
    # Chamfer distances hardly feel a single point, but a single point decides on a box.
    extent_weight: NotNegative = 0.0
    """Weight of a loss of the box around the confident points, in half diagonals; the paper has none."""
    kl: Literal["printed", "bound"] = "printed"
    """Direction of the KL loss: that of Eq. 2 as printed, or that of the bound in Eq. 1."""
    kl_weight: NotNegative = 1.0
    """Full weight of the KL loss, to which it grows."""
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
    """Seeds that `segment` works on at once; fewer take less memory."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.contexts:
            raise UserError("contexts must be one at least, got none")
        if self.backbone is not None and self.proposes != "shapes":
            raise UserError(f'proposes must be "shapes" behind a backbone, got {self.proposes!r}')


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
    made: Made


class Encoded(NamedTuple):
    """What is known of scenes whatever their seeds."""

    scene: PointNet2Features | None
    """Of the centre network, where that is a PointNet++."""
    known: Known | None
    """What the backbone says of the points, where there is one."""
    votes: Float[Tensor, "b n 3"] | None
    """Where the points see the centre of their object, where there is a backbone."""


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
        seen: PointNet2Features = self.encoder(batch.points) if scene is None else scene
        return self.out(self.decoder.at(seen, places, nothing)).float()


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


class ShapeGenerator(nn.Module):
    """Prior, recognition and generation networks of Sec. 3.1: a shape for each seed."""

    def __init__(self, config: GSPNConfig, features: int) -> None:
        super().__init__()
        self.variational = config.variational
        scale, z = config.width_scale, config.latent
        widths = [scaled(width, scale) for width in (256, 512)]
        self.prior = Head(features, widths, 2 * z)
        if config.variational:
            seen = [scaled(width, scale) for width in (64, 256, 512)]
            self.recognise_points = point_layers([3, *seen])
            self.recognise_shape = point_layers([seen[-1], widths[0]])
            self.recognise = Head(features + widths[0], widths, 2 * z)
        self.condition = point_layers([features, widths[0]])
        self.decoder = PointSetDecoder(widths[0] + z, 4, width_scale=scale)

    def forward(self, f_c: Float[Tensor, "b s f"], batch: Batch) -> Made:
        prior = self._gaussian(self.prior(f_c))
        proposal = self._recognised(f_c, batch, prior)
        z = prior.mean
        known = (batch.owner >= 0)[..., None]
        if self.variational and bool(known.any()):
            z = torch.where(known, proposal.sample(torch.randn_like(proposal.mean)), prior.mean)
        # The decoder knows context and z only.
        codes = torch.cat([self.condition(f_c).float(), z], dim=-1)
        made = self.decoder(codes.flatten(0, 1)).float().unflatten(0, codes.shape[:2])
        return Made(made[..., :3], made[..., 3], prior, proposal)

    def _gaussian(self, values: Float[Tensor, "b s zz"]) -> Gaussian:
        mean, log_variance = values.chunk(2, dim=-1)
        return Gaussian(mean, log_variance.clamp(-10, 1))

    def _recognised(self, f_c: Float[Tensor, "b s f"], batch: Batch, prior: Gaussian) -> Gaussian:
        """q(z|x, c) of seeds on an object, the prior of all others."""
        if not self.variational or not len(batch.shapes):
            return prior
        f_x = self.recognise_shape(group_max(self.recognise_points(batch.shapes)))
        owner = batch.object_of_seed
        seen = torch.cat([f_c, f_x[owner.clamp(min=0)].to(f_c.dtype)], dim=-1)
        found = self._gaussian(self.recognise(seen))
        known = (owner >= 0)[..., None]
        return Gaussian(*(torch.where(known, q, p) for q, p in zip(found, prior, strict=True)))


def _sides(boxes: Float[Tensor, "k 6"]) -> Float[Tensor, "k 6"]:
    """Lower and upper corners of boxes."""
    center, size = boxes.split(3, dim=1)
    return torch.cat([center - size / 2, center + size / 2], dim=1)


def _maker(config: GSPNConfig, features: int) -> ShapeGenerator | AnchorBoxes | ContextSegments:
    if config.proposes == "boxes":
        return AnchorBoxes(features, config.anchor_scales, config.width_scale)
    if config.proposes == "segments":
        largest = max(config.contexts, key=lambda context: context.radius)
        return ContextSegments(largest.radius, largest.points, config.width_scale)
    return ShapeGenerator(config, features)


class GSPN(Learned[PointCloud, Batch, Prediction]):
    name = "gspn"
    takes = PointCloud
    not_trained = ("test_seeds", "max_iou", "before_suppression", "most", "reach", "seeds_at_once")
    config: GSPNConfig

    def __init__(self, config: GSPNConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        widths = [scaled(width, config.width_scale) for width in (256, 512)]
        self.backbone: Staged | None = None
        self.votes: Votes | None = None
        self.center_net: SceneCenters | ContextCenters | None = None
        if config.backbone is not None:
            self.backbone = Staged.from_config(config.backbone, vocabulary).eval().requires_grad_(False)
            self.votes = Votes(self.backbone.known_channels, config.width_scale)
            self.context: MemberContext | ContextEncoder = MemberContext(
                config.members, len(vocabulary), config.width_scale, least_radius=config.least_radius
            )
        else:
            self.center_net = _CENTERS[config.center](config) if config.center != "none" else None
            self.context = ContextEncoder(config.contexts, config.width_scale)
        features = self.context.channels
        self.objectness = Head(features, [widths[0], scaled(64, config.width_scale)], 1)
        self.make = _maker(config, features)

    @classmethod
    def from_config(cls, config: GSPNConfig, vocabulary: Vocabulary) -> "GSPN":
        return cls(config, vocabulary)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    def train(self, mode: bool = True) -> "GSPN":
        """As ever, but a backbone learns nothing."""
        super().train(mode)
        if self.backbone is not None:
            self.backbone.eval()
        return self

    # --- from a scene to a batch ---

    def prepare(self, sample: Scan, rng: np.random.Generator) -> Batch:
        """The scene and its objects, with random seeds."""
        rows = thinned(sample.input.points, random_order(sample.input, rng), wanted=self.config.points)
        return self.batch_of(sample, rows, rng)

    def batch_of(self, sample: Scan, rows: Int[Tensor, "n"], rng: np.random.Generator) -> Batch:
        """These points of the scene and all its objects, with random seeds."""
        c = self.config
        return batch_of(
            sample, rows, rng, seeds=c.seeds, on_objects=c.seeds_on_objects, shape_points=PointSetDecoder.points,
            whole=c.target == "whole", backbone=self.backbone,
        )  # fmt: skip

    def scene_of(self, cloud: PointCloud, rows: Int[Tensor, "n"]) -> Batch:
        """These points of a scene of which nothing is known, without seeds, for `propose`."""
        return bare_scene(cloud, rows, shape_points=PointSetDecoder.points, backbone=self.backbone)

    # --- the network ---

    def forward(self, batch: Batch) -> Prediction:
        return self.at_seeds(batch, self.encoded(batch))

    def encoded(self, batch: Batch) -> Encoded:
        """What is known of scenes whatever their seeds."""
        if self.backbone is not None:
            assert self.votes is not None
            sizes = batch.voxels.seen.sizes
            known = at_points(self.backbone.known(batch.voxels), batch.voxel_of_point, sizes)
            return Encoded(None, known, self.votes(batch.points, known))
        if isinstance(self.center_net, SceneCenters):
            return Encoded(self.center_net.encoder(batch.points), None, None)
        return Encoded(None, None, None)

    def at_seeds(self, batch: Batch, encoded: Encoded) -> Prediction:
        """What `forward` predicts, of a scene that is `encoded`."""
        places = gather(batch.points, batch.seeds)
        scale = None
        if isinstance(self.context, MemberContext):
            known, votes = encoded.known, encoded.votes
            assert known is not None and votes is not None
            seen = self.context(batch.points, batch.colors, known, votes.detach(), batch.seeds)
            (center, scale), f_c = seen
            direction = gather(votes, batch.seeds) - places
            distance = direction.norm(dim=-1)
        else:
            direction, distance, center = self._centers(batch, places, encoded.scene)
            f_c = self.context(batch.points, batch.colors, center.detach(), batch.seeds)
        objectness = self.objectness(f_c)[..., 0]
        if isinstance(self.make, ContextSegments):
            made = self.make(batch.points, batch.colors, places, center.detach())
        elif isinstance(self.make, AnchorBoxes):
            made = self.make(f_c)
        else:
            made = self.make(f_c, batch)
        if scale is not None:
            made = made._replace(shape=made.shape * scale[..., None, :])
        return Prediction(direction, distance, center, f_c.float(), objectness, made)

    def _centers(
        self, batch: Batch, places: Float[Tensor, "b s 3"], scene: PointNet2Features | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.center_net is None:
            return torch.zeros_like(places), places.new_zeros(places.shape[:2]), places
        direction, distance = self.center_net(batch, places, scene).split([3, 1], dim=-1)
        return direction, distance[..., 0], places + F.normalize(direction, dim=-1) * distance

    # --- losses ---

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """The five terms of L_GSPN, each the mean over its seeds: those on objects, for objectness all that are known."""
        c = self.config
        owner = batch.object_of_seed
        known = owner >= 0
        own = owner[known]
        radius = (batch.boxes[own, 3:].norm(dim=1) / 2).clamp(min=c.least_radius)
        terms = self._losses_of_made(prediction, batch, at, radius)
        if self.backbone is not None:
            votes = gather(batch.points, batch.seeds)[known] + prediction.direction[known]
            terms["center"] = vote_loss(votes, batch.boxes[own, :3], radius)
        elif self.center_net is not None:
            places = gather(batch.points, batch.seeds)[known]
            to_center = batch.boxes[own, :3] - places
            distance = to_center.norm(dim=1)
            unit = to_center / distance.clamp(min=1e-6)[:, None]
            off = F.smooth_l1_loss(prediction.direction[known], unit, reduction="sum")
            off = off + F.smooth_l1_loss(
                prediction.distance[known] / radius, distance / radius, reduction="sum"
            )
            terms["center"] = off / max(len(own), 1)  # L_center
        labelled = batch.owner > -2
        positive = (self._overlap(prediction, batch) > c.positive_iou)[labelled].float()
        terms["objectness"] = F.binary_cross_entropy_with_logits(
            prediction.objectness[labelled], positive, reduction="sum"
        ) / labelled.sum().clamp(min=1)  # L_obj
        return terms

    def _losses_of_made(
        self, prediction: Prediction, batch: Batch, at: Moment, radius: Float[Tensor, "k"]
    ) -> dict[str, Float[Tensor, ""]]:
        """Of the seeds on objects of these half diagonals: L_gen, L_e and L_KL, or those of other proposals."""
        c, made = self.config, prediction.made
        owner = batch.object_of_seed
        known = owner >= 0
        own = owner[known]
        center = batch.boxes[own, :3] - prediction.center[known]
        if isinstance(self.make, AnchorBoxes):
            assert made.anchors is not None
            return self.make.losses(
                made.anchors[known], torch.cat([center.detach(), batch.boxes[own, 3:]], 1)
            )
        if isinstance(self.make, ContextSegments):
            assert made.members is not None
            rows = torch.arange(len(owner), device=owner.device)[:, None].expand_as(owner)[known]
            of_members = batch.object_of_point[rows[:, None], made.members[known].clamp(min=0)]
            inside = (of_members == own[:, None]).float()
            return self.make.losses(made.confidence[known], inside, (made.members[known] >= 0).float())
        terms: dict[str, Tensor] = {}
        if len(own):
            # Truth and generated points in the frame of the predicted centre, in units of the object.
            truth = (batch.shapes[own] + center[:, None]) / radius[:, None, None]
            near = nearest_both_ways(made.shape[known] / radius[:, None, None], truth)
            terms["generation"] = (near.dist2_a.mean(1) + near.dist2_b.mean(1)).mean()  # L_gen
            right = (near.dist2_a.detach() < c.confident**2).float()
            terms["confidence"] = F.binary_cross_entropy_with_logits(made.confidence[known], right)  # L_e
            if c.extent_weight:
                found = boxes_of(
                    prediction.center[known], made.shape[known], made.confidence[known].detach().sigmoid()
                )
                off = (_sides(found) - _sides(batch.boxes[own])) / radius[:, None]
                terms["extent"] = c.extent_weight * near_loss(off)
        else:
            terms["generation"], terms["confidence"] = made.shape.sum() * 0, made.confidence.sum() * 0
        if made.proposal is not None and made.prior is not None and c.variational:
            weight = c.kl_weight * (1 - c.kl_decay ** (at.samples // c.kl_every))
            apart = kl_divergence(
                Gaussian(*(value[known] for value in made.proposal)),
                Gaussian(*(value[known] for value in made.prior)),
                direction=c.kl,
            )
            terms["kl"] = weight * apart.sum() / max(len(own), 1)  # L_KL, Eq. 2
        return terms

    @torch.no_grad()
    def _overlap(self, prediction: Prediction, batch: Batch) -> Float[Tensor, "b s"]:
        """Largest IoU of each proposal's box with any object of its scene; 0 for seeds of no object."""
        boxes = boxes_of(prediction.center, prediction.made.shape, prediction.made.confidence.sigmoid())
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
            scene = self.scene_of(cloud, rows)
            count = min(c.test_seeds, len(torch.unique(rows)))
            seeds = farthest_points(scene.points, count)
        with stage("proposals"):
            proposals = self.propose(scene, seeds)
        with stage("suppression"):
            kept = proposals.best(before=c.before_suppression, most=c.most, max_iou=c.max_iou)
        with stage("masks"):
            return self._instances(cloud, proposals, kept)

    @staticmethod
    def proposals(prediction: Prediction, k: int) -> Proposals:
        """Those of scene `k`."""
        center, shape = prediction.center[k], prediction.made.shape[k]
        sure = prediction.made.confidence[k].sigmoid()
        context = prediction.context[k]
        boxes = boxes_of(center, shape, sure)
        return Proposals(center, shape, sure, prediction.objectness[k].sigmoid(), context, boxes)

    def propose(self, scene: Batch, seeds: Int[Tensor, "1 s"], encoded: Encoded | None = None) -> Proposals:
        """A shape for each seed of one scene, some at a time; on the CPU. `encoded` where it is there already."""
        scene = scene.to(self.device)
        encoded = self.encoded(scene) if encoded is None else encoded
        found: list[Proposals] = []
        for some in counted(seeds.split(self.config.seeds_at_once, dim=1)):
            unknown = torch.full_like(some, -2)
            batch = scene._replace(seeds=some.to(self.device), owner=unknown.to(self.device))
            made = self.at_seeds(batch, encoded)
            found.append(Proposals(*(values.cpu() for values in self.proposals(made, 0))))
        return Proposals(*map(torch.cat, zip(*found, strict=True)))

    def _instances(self, cloud: PointCloud, proposals: Proposals, kept: Int[Tensor, "k"]) -> Instances:
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
        return Instances(
            masks=Sets.of(members, len(cloud)),
            classes=torch.full((len(rows),), -1, dtype=torch.int64),
            scores=proposals.objectness[rows],
            vocabulary=self.vocabulary,
            boxes=upright[torch.tensor(stays, dtype=torch.int64)],
            shapes=tuple(shapes),
            method=self.name,
        )


METHOD = GSPN
