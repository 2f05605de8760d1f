"""MTML: 3D Instance Segmentation via Multi-task Metric Learning (Lahoud et al., ICCV 2019).

A labelled voxel grid goes in. A network gives every voxel a feature that is alike within an instance (Eq. 1-4) and a vector
towards its instance's centre (Eq. 5); clusters of the features are proposals, scored by both (`voxels.grouping`). Section and
equation numbers are the paper's.

What goes in is a cloud that carries its semantics, `PointCloud.semantic` (one-hot in the network) or `PointCloud.features`
(scores of the classes, or features of the semantic network). They are input of the task: the true ones on toy boxes (Sec. 4.1),
those that a semantic stage predicts on scans (`staged`). Only `prepare` falls back on the true classes of a scan whose cloud
carries none, the paper's pre-training (Sec. 3.3); `segment` takes a cloud and so can not.

Readings, where the paper is silent or the authors' code differs:
- The target of Eq. 5 points towards the centre, as in the text and the code; the printed sign is opposite.
- Every pair of instances is pushed apart; the code leaves the first instance out.
- alpha_FE and alpha_dir are 0.5 and 1, as in the code. Vectors and features share the trunk and both hidden layers.
- Layers, widths and the order of the trunk are the code's (half of SSCNet's widths), with dilations of 7 and 7 in place of
  its 5 and 5: they give the paper's receptive field, 142 voxels. Weights start as He's, without the code's bias of 0.1.
- "sparse" computes the same layers on occupied voxels only, at every level; a weight file works in either space.
- Batch norm is none in the paper; `norm` puts it behind every layer but the outputs.
- Floors and walls (the vocabulary's structure) are input, but no instances, unless `structure` says so.
- Flips and quarter turns about the vertical, and shifts against the pooling's cells, happen in `prepare`, on voxels, where
  they are exact. Turns by other angles tear holes into solid voxels; clouds get them from `data.augment`.
- A voxel has the most frequent label of its points (the lowest class on ties), or their mean features. From a semantic stage
  it has the mean probabilities of the finer voxels in it, and the class with the highest one.
- `turns`: the network sees the voxels turned by quarters, too. Clusters of each look's features are proposals; coherency of
  features is the mean over looks.
- Where a semantic stage goes by superpoints, so does one labelling: each goes to the instance that more of its points are in
  than in any other, or to none. MTML itself sees the classes of voxels, as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, CountOrNone, NotNegative, Positive, Width, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.losses.direction import direction_loss
from gestalt3d.losses.embedding import discriminative_loss
from gestalt3d.methods.method import Learned, Migrated, Moment
from gestalt3d.methods.superpoints import by_superpoints
from gestalt3d.methods.voxels import earlier
from gestalt3d.methods.voxels.grouping import ProposalConfig, Scored, UsualSizes, grouped, usual_sizes
from gestalt3d.methods.voxels.labelled import Labelled, given_scores, is_object, probable_class, to_points
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig, disturbed, semantic_noise
from gestalt3d.methods.voxels.turns import in_order, random_turn, seen_turned, turned_back
from gestalt3d.nn.conv3d import Conv, DenseSpace, Space, SparseSpace, Upsample
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.tiles import by_tiles
from gestalt3d.ops.renumber import renumbered
from gestalt3d.ops.segment import segment_mode
from gestalt3d.ops.voxelize import Voxels
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
from gestalt3d.structures.vocabulary import Vocabulary

Dilation = Annotated[int, Within(least=1, most=64)]


@dataclass(frozen=True)
class MTMLConfig:
    """Defaults are the paper's where it gives any."""

    inputs: Literal["semantic", "features"] = "semantic"
    """What the network sees of a voxel: its class, one-hot, or what the cloud carries as features."""
    features: CountOrNone = 0
    """Channels of the features, where the network sees those."""
    voxel_size: Positive = 0.1
    """Edge of a voxel in metres (Sec. 3.1)."""
    space: Literal["sparse", "dense"] = "sparse"
    """Where the network computes: on occupied voxels, or on all of the box around them as in the paper."""
    width: Width = 8
    """Channels of the first layer: 8 in the authors' code, 16 in SSCNet."""
    first_kernel: Annotated[int, Within(least=1, most=31)] = 7
    """Edge of the first layer's kernel in voxels, odd."""
    dilations: tuple[Dilation, Dilation] = (7, 7)
    """Dilations of the two dilated pairs, in coarse voxels: a receptive field of 30 + 8 (7 + 7) voxels, 14.2 m (Sec. 3.1)."""
    norm: bool = False
    """Batch norm behind every layer but the outputs."""
    embedding: Width = 4
    """Channels of the feature embedding, as in the authors' code."""
    direction: bool = True
    """Predict directions as well; off: the feature embedding alone, the ablation "FE only"."""
    delta_var: Positive = 0.5
    """Distance from its instance's mean within which a feature costs nothing (Eq. 2)."""
    delta_dist: Positive = 1.5
    """Half the distance from which on two means cost nothing (Eq. 3)."""
    gamma_var: NotNegative = 1.0
    """Weight of Eq. 2 in Eq. 1."""
    gamma_dist: NotNegative = 1.0
    """Weight of Eq. 3 in Eq. 1."""
    gamma_reg: NotNegative = 0.001
    """Weight of Eq. 4 in Eq. 1."""
    alpha_fe: NotNegative = 0.5
    """Weight of Eq. 1 in Eq. 6."""
    alpha_dir: NotNegative = 1.0
    """Weight of Eq. 5 in Eq. 6."""
    structure: bool = False
    """Floors and walls are instances, too."""
    random_turns: bool = True
    """Training flips, turns and shifts the voxels at random."""
    semantic_noise: SemanticNoiseConfig = field(default_factory=SemanticNoiseConfig)
    """How training disturbs the given classes."""
    turns: Annotated[int, Within(least=1, most=4)] = 1
    """Quarter turns about the vertical, 1 to 4, that `segment` looks at: all give proposals, directions are their mean."""
    # In dense space of the box. Tiles overlap by the receptive field, as far as that pays: parts up to 1.5 of it stay whole.
    tile_voxels: Count = 500_000
    """Most voxels that the network sees at once, of 5 kB each; larger scenes are cut into tiles that overlap."""
    proposals: ProposalConfig = field(default_factory=ProposalConfig)
    """How proposals are made, scored and chosen (Sec. 3.2)."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.semantic_noise.deviation and self.inputs != "semantic":
            raise UserError(
                f'semantic_noise is about classes: it needs inputs = "semantic", got {self.inputs!r}'
            )
        if self.first_kernel % 2 == 0:
            raise UserError(f"first_kernel must be odd, got {self.first_kernel}")
        if self.inputs == "features" and self.features < 1:
            raise UserError('inputs = "features" needs their number of channels as features, got 0')


class Batch(NamedTuple):
    """Voxels of `len(sizes)` scenes, one after the other."""

    coordinates: Int[Tensor, "v 3"]
    features: Float[Tensor, "v c"]
    """No columns where a semantic stage has yet to label the scenes."""
    instances: Int[Tensor, "v"]
    """Counted from 0 in every scene, -1: takes no part in the loss."""
    sizes: Int[Tensor, "b"]
    """Voxels of each scene."""
    noise: Float[Tensor, "d c"] = torch.zeros(0, 0)
    """What is added to the logarithms of the features of each voxel, or nothing."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class Prediction(NamedTuple):
    direction: Float[Tensor, "v d"]
    """Of any length, 3 columns; none where directions are not predicted."""
    embedding: Float[Tensor, "v e"]


class Trunk(nn.Module):
    """The modified SSCNet of Fig. 2: as many voxels out as in."""

    def __init__(self, inputs: int, config: MTMLConfig) -> None:
        super().__init__()
        a, b, c = (factor * config.width for factor in (1, 2, 4))
        fine, coarse = {"norm": config.norm}, {"norm": config.norm, "coarse": True}
        self.stem = Conv(inputs, a, size=config.first_kernel, **fine)
        self.one = nn.ModuleList([Conv(a, b, **fine), Conv(b, b, relu=False, **fine)])
        self.shortcut_one = Conv(a, b, size=1, relu=False, **fine)
        self.two = nn.ModuleList([Conv(b, c, **coarse), Conv(c, c, relu=False, **coarse)])
        self.shortcut_two = Conv(b, c, size=1, relu=False, **coarse)
        self.three = nn.ModuleList([Conv(c, c, **coarse), Conv(c, c, relu=False, **coarse)])
        first, second = config.dilations
        self.dilated_one = nn.ModuleList(
            [Conv(c, c, dilation=first, **coarse), Conv(c, c, dilation=first, **coarse)]
        )
        self.dilated_two = nn.ModuleList(
            [Conv(c, c, dilation=second, **coarse), Conv(c, c, dilation=second, relu=False, **coarse)]
        )
        self.up = Upsample(4 * c, 4 * c, norm=config.norm)
        self.hidden = nn.ModuleList([Conv(4 * c, 2 * c, size=1, **fine), Conv(2 * c, 2 * c, size=1, **fine)])
        self.channels = 2 * c
        # Two voxels for the pooling and the way back, the rest for the kernels: 71 by default.
        self.reach = config.first_kernel // 2 + 2 + 2 * (4 + 2 * (first + second)) + 2
        """The farthest voxel that an answer depends on, half the receptive field."""

    def forward(self, x: Tensor, space: Space) -> Tensor:
        x = self.stem(x, space)
        x = space.pool(_through(self.one, x, space) + self.shortcut_one(x, space))
        c2 = F.relu(_through(self.two, x, space) + self.shortcut_two(x, space))
        c3 = F.relu(_through(self.three, c2, space) + c2)
        d1 = _through(self.dilated_one, c3, space)
        d2 = F.relu(_through(self.dilated_two, d1, space) + d1)
        x = self.up(torch.cat([d2, d1, c3, c2], dim=1), space)
        return _through(self.hidden, x, space)


def _through(layers: nn.ModuleList, x: Tensor, space: Space) -> Tensor:
    for layer in layers:
        x = layer(x, space)
    return x


class MTML(Learned[PointCloud, Batch, Prediction]):
    name = "mtml"
    takes = PointCloud
    takes_semantics = True
    config: MTMLConfig

    def __init__(self, config: MTMLConfig, vocabulary: Vocabulary, trunk: Trunk) -> None:
        super().__init__()
        self.config, self.vocabulary, self.trunk = config, vocabulary, trunk
        self.point = Conv(trunk.channels, 3, size=1, relu=False) if config.direction else None
        self.embed = Conv(trunk.channels, config.embedding, size=1, relu=False)
        self.register_buffer("log_size_mean", torch.zeros(len(vocabulary)))
        self.register_buffer("log_size_deviation", torch.zeros(len(vocabulary)))
        self.log_size_mean: Tensor
        self.log_size_deviation: Tensor

    @classmethod
    def from_config(cls, config: MTMLConfig, vocabulary: Vocabulary) -> "MTML":
        inputs = config.features if config.inputs == "features" else len(vocabulary)
        return cls(config, vocabulary, Trunk(inputs, config))

    @classmethod
    def migrated(cls, config: dict[str, Any]) -> Migrated:
        """A semantic stage was a setting before, and settings had other names."""
        return earlier.of_mtml(config)

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """The scan's voxels, flipped, turned and shifted at random where `random_turns` says so."""
        cloud = scan.input
        if cloud.semantic is None and cloud.features is None:
            cloud = replace(cloud, semantic=scan.truth.element_classes)  # pre-training, Sec. 3.3
        voxels, _, features = self._given(cloud)
        batch, order = self.sample(voxels, scan.truth, rng)
        return batch._replace(features=features[order])

    def sample(
        self, voxels: Voxels, truth: Instances, rng: np.random.Generator
    ) -> tuple[Batch, Int[Tensor, "v"]]:
        """A batch of one scene without features, and the voxel that each of its rows is."""
        at, count = voxels.coordinates, len(voxels.counts)
        owners = segment_mode(truth.to_labels(), voxels.voxel_of_point, count, len(truth) or 1)
        order = torch.arange(count)
        if self.config.random_turns:
            at = random_turn(at, rng)
            order = in_order(at)
        objects = is_object(truth.classes, self.vocabulary, structure=self.config.structure)
        objects = torch.cat([objects, objects.new_zeros(1)])  # -1 is none
        instances = renumbered(owners.masked_fill(~objects[owners], -1)[order])
        batch = Batch(at[order], torch.zeros(count, 0), instances, torch.tensor([count]))
        noise = self.config.semantic_noise
        if noise.deviation:
            size = self.config.voxel_size
            drawn = semantic_noise(batch.coordinates, len(self.vocabulary), rng, noise, voxel_size=size)
            batch = batch._replace(noise=drawn)
        return batch, order

    def forward(self, batch: Batch) -> Prediction:
        scenes = torch.arange(len(batch.sizes), device=batch.sizes.device)
        where = torch.cat([scenes.repeat_interleave(batch.sizes)[:, None], batch.coordinates], dim=1)
        space = (SparseSpace if self.config.space == "sparse" else DenseSpace)(where)
        features = disturbed(batch.features, batch.noise) if len(batch.noise) else batch.features
        shared = self.trunk(space.enter(features), space)
        embedding = space.leave(self.embed(shared, space)).float()
        if self.point is None:
            return Prediction(embedding.new_zeros(len(embedding), 0), embedding)
        return Prediction(space.leave(self.point(shared, space)).float(), embedding)

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """The terms of Eq. 6, weighted: their sum is L_joint. The mean over scenes."""
        c = self.config
        sizes = batch.sizes.tolist()
        parts = (*prediction, batch.coordinates, batch.instances)
        scenes = zip(*(part.split(sizes) for part in parts), strict=True)
        named: list[dict[str, Tensor]] = []
        for direction, embedding, coordinates, instances in scenes:
            terms = discriminative_loss(
                embedding[None], instances[None], delta_var=c.delta_var, delta_dist=c.delta_dist, norm=2
            )
            own = {
                "variance": c.alpha_fe * c.gamma_var * terms.variance,
                "distance": c.alpha_fe * c.gamma_dist * terms.distance,
                "regularisation": c.alpha_fe * c.gamma_reg * terms.regularisation,  # Eq. 1
            }
            if c.direction:
                found = direction_loss(direction[None], coordinates[None].float(), instances[None])
                own["direction"] = c.alpha_dir * found  # Eq. 6
            named.append(own)
        return {name: torch.stack([terms[name] for terms in named]).mean() for name in named[0]}

    def fit(self, samples: Scans, *, most: int = 200) -> None:
        """Usual sizes of every class's instances, from at most `most` evenly spaced scans."""
        scans, least = evenly_spaced(samples, most), self.config.proposals.size_deviation
        size = self.config.voxel_size
        usual = usual_sizes(scans, self.vocabulary, voxel_size=size, least_deviation=least)
        known = usual.log_deviation > 0
        self.log_size_mean[known], self.log_size_deviation[known] = (values[known] for values in usual)

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud that carries its semantics; they may overlap unless `coherent` forbids.

        A score is that of `voxels.grouping`, 0 to 1. `element_classes` are those that the cloud carries.
        """
        with stage("voxels"):
            voxels, classes, features = self._given(cloud)
        # Where the input has features only, a point has its voxel's class.
        of_points = classes[voxels.voxel_of_point] if cloud.semantic is None else cloud.semantic.long()
        return self._instances(voxels, classes, features, of_points)

    @property
    def superpoints_of_given(self) -> bool:
        return self.config.proposals.coherent

    @torch.inference_mode()
    def part(self, labelled: Labelled) -> Instances:
        """Instances of a cloud that a semantic stage has labelled; of whole superpoints in one labelling (`coherent`)."""
        with stage("voxels"):
            voxels, _, scores = labelled.seen.coarser(self.config.voxel_size)
        assert labelled.cloud.semantic is not None
        found = self._instances(voxels, probable_class(scores), scores, labelled.cloud.semantic)
        if labelled.superpoints is None or not self.config.proposals.coherent or len(found) == 0:
            return found
        with stage("superpoints"):
            return by_superpoints(found, labelled.superpoints)

    def _instances(
        self,
        voxels: Voxels,
        classes: Int[Tensor, "v"],
        features: Float[Tensor, "v c"],
        of_points: Int[Tensor, "n"],
    ) -> Instances:
        known = is_object(classes, self.vocabulary, structure=self.config.structure)
        if not bool(known.any()):
            empty = Instances.empty(len(of_points), self.vocabulary, self.name)
            return replace(empty, element_classes=of_points)
        with stage("network"), evaluating(self):
            turns = counted(range(self.config.turns))
            looks = [self.look(voxels.coordinates, features, turn) for turn in turns]
        rows = known.nonzero()[:, 0]
        of_objects = [Prediction(*(values[rows] for values in look)) for look in looks]
        found = self.group(of_objects, voxels.coordinates[rows], classes[rows], features[rows])
        with stage("points"):
            masks = to_points(found.proposals, rows, voxels.voxel_of_point)
        return Instances(
            masks=masks,
            classes=found.classes,
            scores=found.scores,
            vocabulary=self.vocabulary,
            element_classes=of_points,
            method=self.name,
        )

    def look(self, coordinates: Int[Tensor, "v 3"], features: Float[Tensor, "v c"], turns: int) -> Prediction:
        """What the network says of the scene after so many quarter turns, directions turned back."""
        direction, embedding = seen_turned(self._predict, coordinates, features, turns)
        return Prediction(turned_back(direction, turns) if self.config.direction else direction, embedding)

    def _predict(self, coordinates: Int[Tensor, "v 3"], features: Float[Tensor, "v c"]) -> tuple[Tensor, ...]:
        """`forward` of one scene, in tiles where it is large."""
        dense, device = self.config.space == "dense", self.log_size_mean.device

        def network(at: Tensor, values: Tensor) -> tuple[Tensor, ...]:
            batch = Batch(at, values, torch.full_like(at[:, 0], -1), torch.tensor([len(at)]))
            return tuple(found.cpu() for found in self(batch.to(device)))

        most = self.config.tile_voxels
        return by_tiles(network, coordinates, features, halo=self.trunk.reach, most=most, dense=dense)

    def group(
        self,
        looks: Sequence[Prediction],
        coordinates: Int[Tensor, "v 3"],
        classes: Int[Tensor, "v"],
        semantics: Float[Tensor, "v c"] | None = None,
    ) -> Scored:
        """Scored sets of voxels, best first (Sec. 3.2, "Post-processing"); each look gives proposals.

        `semantics` are probabilities of the classes; where there are none, those that `classes` stand for.
        """
        return grouped(
            [look.embedding for look in looks],
            [look.direction for look in looks] if self.config.direction else [],
            coordinates,
            classes,
            semantics if self.config.inputs == "semantic" else None,
            self.config.proposals,
            UsualSizes(self.log_size_mean.cpu(), self.log_size_deviation.cpu()),
        )

    def _given(self, cloud: PointCloud) -> tuple[Voxels, Int[Tensor, "v"], Float[Tensor, "v c"]]:
        c = self.config
        channels = c.features if c.inputs == "features" else None
        return given_scores(cloud, self.vocabulary, voxel_size=c.voxel_size, channels=channels)


METHOD = MTML
