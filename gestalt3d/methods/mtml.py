"""MTML: 3D Instance Segmentation via Multi-task Metric Learning (Lahoud et al., ICCV 2019).

A labelled voxel grid goes in. A network gives every voxel a feature that is alike within an instance (Eq. 1-4) and a vector
towards its instance's centre (Eq. 5); clusters of the features are proposals, scored by both (`voxels.proposals`). Section and
equation numbers are the paper's.

Without `semantics`, what goes in is a cloud that carries its semantics, `PointCloud.semantic` (one-hot in the network) or
`PointCloud.features` (scores of the classes, or features of the semantic network). They are input of the task: the true
ones on toy boxes (Sec. 4.1). Only `prepare` falls back on the true classes of a scan whose cloud carries none, the
paper's pre-training (Sec. 3.3); `segment` takes a cloud and so can not.

With `semantics`, a U-Net (`unet`) that was trained before labels any cloud, and stays as it is: cloud -> its voxels -> class
probabilities -> their means in the voxels of the instances -> network. Training then sees what it predicts, the paper's
fine-tuning (Sec. 3.3); `segment` takes the semantics that a cloud carries, where it carries some, instead.

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
- `doubt` disturbs the classes in patches during training: a semantic stage errs more on scans unlike those it learnt from.
- A voxel has the most frequent label of its points (the lowest class on ties), or their mean features. With `semantics`
  it has the mean of the finer voxels in it, their given classes one-hot, and the class with the highest one. Training sees
  the scan as it is turned; `segment` the mean of the semantic stage's `views`.
- `views`: the network sees the voxels turned by quarters, too. Clusters of each view's features are proposals; coherency of
  features is the mean over views.
- Where the semantic stage goes by superpoints, so does `segment`: in one labelling each goes to the instance that more
  of its points are in than in any other, or to none. MTML itself sees the classes of voxels, as in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import (
    Count,
    CountOrNone,
    Interval,
    NotNegative,
    Positive,
    Share,
    Width,
    Within,
    check_ranges,
)
from gestalt3d.errors import UserError
from gestalt3d.losses.direction import direction_loss
from gestalt3d.losses.embedding import discriminative_loss
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.superpoints import by_superpoints, classes_by_superpoint
from gestalt3d.methods.unet import Batch as FineBatch
from gestalt3d.methods.unet import UNet, UNetConfig, voxel_features
from gestalt3d.methods.voxels import proposals
from gestalt3d.methods.voxels.labelled import (
    classes_of_voxels,
    given_classes,
    is_object,
    nested,
    probable_class,
    to_points,
)
from gestalt3d.methods.voxels.semantic_noise import doubted, patches_of_doubt
from gestalt3d.nn.conv3d import Conv, DenseSpace, Space, SparseSpace, Upsample
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.tiles import by_tiles
from gestalt3d.ops.segment import segment_mean, segment_mode
from gestalt3d.ops.voxelize import Voxels, quarter_turned, voxelize
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class ProposalConfig:
    """Post-processing (Sec. 3.2). The paper gives no numbers; lengths are in the embedding's unit."""

    bandwidths: tuple[Positive, ...] = (0.5, 1.0, 1.5)
    """Of mean shift; each gives proposals."""
    connectivity: Literal[6, 18, 26] = 26
    """Neighbours that join voxels in a split: 6, 18 or 26."""
    coherency_threshold: Positive = 0.5
    """Distance from the proposal's mean within which a feature is coherent: delta_var."""
    feature_weight: NotNegative = 1.0
    direction_weight: NotNegative = 1.0
    size_weight: NotNegative = 1.0
    """Share of the scores in the total; the direction's counts only where directions are predicted."""
    semantic_weight: NotNegative = 0.0
    """Share of the mean probability of the class, which the paper does not have."""
    large_weight: NotNegative = 0.0
    """Share of `large`, which the paper does not have either."""
    size_deviation: Positive = 0.1
    """Least deviation of ln(size) in a class: sizes that vary little in training still may by this."""
    nms_iou: Share = 0.5
    """Proposals that overlap a better one by more are dropped."""
    across: bool = False
    """Clusters are also split into connected components whatever the classes, for semantics that err."""
    merge: Positive | None = None
    """Bandwidth of small clusters whose components are proposals, too; None: none."""
    unions: bool = True
    """`unions` of those components, of as many as directions speak for, are proposals, too; they need `merge`."""
    merge_gain: Annotated[float, Within(least=-1, most=1)] = 0.0
    """What directions must say for a union, at least: a cosine."""
    min_voxels: Count = 1
    """Smaller sets are no proposals."""
    coherent: bool = False
    """One labelling without overlap, as on toy boxes (Sec. 4.1)."""
    min_rest: Share = 0.5
    """Coherent: share of a proposal that better ones must have left of it."""

    def __post_init__(self) -> None:
        check_ranges(self)


Dilation = Annotated[int, Within(least=1, most=64)]


@dataclass(frozen=True)
class MTMLConfig:
    """Defaults are the paper's where it gives any."""

    inputs: Literal["semantic", "features"] = "semantic"
    """One-hot classes, or what the cloud carries as features."""
    features: CountOrNone = 0
    """Channels of those."""
    semantics: UNetConfig | None = None
    """The network that labels a cloud; None: clouds carry their semantics."""
    voxel_size: Positive = 0.1
    """Metres (Sec. 3.1)."""
    space: Literal["sparse", "dense"] = "sparse"
    width: Width = 8
    """Channels of the first layer: 8 in the authors' code, 16 in SSCNet."""
    first_kernel: Annotated[int, Within(least=1, most=31)] = 7
    dilations: tuple[Dilation, Dilation] = (7, 7)
    """Of the two dilated pairs, in coarse voxels: a receptive field of 30 + 8 (7 + 7) voxels, 14.2 m (Sec. 3.1)."""
    norm: bool = False
    embedding: Width = 4
    """Channels of the feature embedding, as in the authors' code."""
    direction: bool = True
    """Off: feature embedding only, the ablation "FE only"."""
    delta_var: Positive = 0.5
    delta_dist: Positive = 1.5
    gamma_var: NotNegative = 1.0
    gamma_dist: NotNegative = 1.0
    gamma_reg: NotNegative = 0.001
    """Of Eq. 1."""
    alpha_fe: NotNegative = 0.5
    alpha_dir: NotNegative = 1.0
    """Of Eq. 6."""
    structure: bool = False
    """Floors and walls are instances, too."""
    turns: bool = True
    """`prepare` flips, turns and shifts the voxels."""
    doubt: NotNegative = 0.0
    """In training, standard deviation of what each of some balls adds to the logarithms of the classes' probabilities in it: a
    semantic stage errs more, and over whole patches, on scans unlike those it has learnt from."""
    doubt_balls: CountOrNone = 60
    """Most balls of doubt in a scene."""
    doubt_radius: Interval = (0.15, 0.8)
    """Least and largest radius of these balls, in metres."""
    views: Annotated[int, Within(least=1, most=4)] = 1
    """Quarter turns about the vertical, 1 to 4, that `segment` looks at: all give proposals, directions are their mean."""
    tile_voxels: Count = 500_000
    """Most voxels that the network sees at once, of 5 kB each; in dense space those of the box. Larger scenes are cut into
    tiles that overlap by the receptive field, as far as that pays: parts up to 1.5 receptive fields wide stay whole.
    """
    proposals: ProposalConfig = ProposalConfig()

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.doubt and self.inputs != "semantic":
            raise UserError(f'doubt is about classes: it needs inputs = "semantic", got {self.inputs!r}')
        if self.first_kernel % 2 == 0:
            raise UserError(f"first_kernel must be odd, got {self.first_kernel}")
        if self.inputs == "features" and self.features < 1:
            raise UserError('inputs = "features" needs their number of channels as features, got 0')
        if self.semantics is not None:
            if self.inputs != "semantic":
                raise UserError(
                    'inputs must be "semantic" where the model has semantics, which take their place'
                )
            factor = self.voxel_size / self.semantics.voxel_size
            if round(factor) < 1 or abs(factor - round(factor)) > 1e-6:
                raise UserError(
                    f"voxel_size {self.voxel_size} must be a whole multiple of that of semantics, "
                    f"got {self.semantics.voxel_size}"
                )


_NO_ROWS = torch.zeros(0, dtype=torch.int64)


class Batch(NamedTuple):
    """Voxels of `len(sizes)` scenes, one after the other."""

    coordinates: Int[Tensor, "v 3"]
    features: Float[Tensor, "v c"]
    """No columns where the semantic stage has yet to label the scenes."""
    instances: Int[Tensor, "v"]
    """Counted from 0 in every scene, -1: takes no part in the loss."""
    sizes: Int[Tensor, "b"]
    """Voxels of each scene."""
    fine: Int[Tensor, "w 3"] = _NO_ROWS.new_zeros(0, 3)
    """The semantic stage's own voxels, where it has to label the scenes."""
    fine_features: Float[Tensor, "w f"] = torch.zeros(0, 0)
    voxel_of_fine: Int[Tensor, "w"] = _NO_ROWS
    """Counted from 0 in every scene."""
    fine_sizes: Int[Tensor, "s"] = _NO_ROWS
    """Of each scene; of none where nothing is to be labelled."""
    doubt: Float[Tensor, "d c"] = torch.zeros(0, 0)
    """What is added to the logarithms of the features of each voxel, or nothing."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class Input(NamedTuple):
    """A cloud whose semantics are known."""

    voxels: Voxels
    classes: Int[Tensor, "v"]
    """As far as the input tells, else -1."""
    features: Float[Tensor, "v c"]
    """The network's input."""
    point_classes: Int[Tensor, "n"]
    patches: Int[Tensor, "n"] | None = None
    """Superpoints, where the semantic stage looks at them."""


class Prediction(NamedTuple):
    direction: Float[Tensor, "v d"]
    """Of any length, 3 columns; none where directions are not predicted."""
    embedding: Float[Tensor, "v e"]


class Trunk(nn.Module):
    """The modified SSCNet of Fig. 2: as many voxels out as in."""

    def __init__(
        self, inputs: int, width: int, *, first_kernel: int, dilations: tuple[int, int], norm: bool
    ) -> None:
        super().__init__()
        a, b, c = width, 2 * width, 4 * width
        fine, coarse = {"norm": norm}, {"norm": norm, "coarse": True}
        self.stem = Conv(inputs, a, size=first_kernel, **fine)
        self.one = nn.ModuleList([Conv(a, b, **fine), Conv(b, b, relu=False, **fine)])
        self.shortcut_one = Conv(a, b, size=1, relu=False, **fine)
        self.two = nn.ModuleList([Conv(b, c, **coarse), Conv(c, c, relu=False, **coarse)])
        self.shortcut_two = Conv(b, c, size=1, relu=False, **coarse)
        self.three = nn.ModuleList([Conv(c, c, **coarse), Conv(c, c, relu=False, **coarse)])
        first, second = dilations
        self.dilated_one = nn.ModuleList(
            [Conv(c, c, dilation=first, **coarse), Conv(c, c, dilation=first, **coarse)]
        )
        self.dilated_two = nn.ModuleList(
            [Conv(c, c, dilation=second, **coarse), Conv(c, c, dilation=second, relu=False, **coarse)]
        )
        self.up = Upsample(4 * c, 4 * c, norm=norm)
        self.hidden = nn.ModuleList([Conv(4 * c, 2 * c, size=1, **fine), Conv(2 * c, 2 * c, size=1, **fine)])
        self.channels = 2 * c
        # Two voxels for the pooling and the way back, the rest for the kernels: 71 by default.
        self.reach = first_kernel // 2 + 2 + 2 * (4 + 2 * (first + second)) + 2
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

    def __init__(
        self, config: MTMLConfig, vocabulary: Vocabulary, trunk: Trunk, semantics: UNet | None = None
    ) -> None:
        super().__init__()
        self.config, self.vocabulary, self.trunk = config, vocabulary, trunk
        self.semantics = None if semantics is None else semantics.eval().requires_grad_(False)
        self.point = Conv(trunk.channels, 3, size=1, relu=False) if config.direction else None
        self.embed = Conv(trunk.channels, config.embedding, size=1, relu=False)
        self.register_buffer("log_size_mean", torch.zeros(len(vocabulary)))
        self.register_buffer("log_size_deviation", torch.zeros(len(vocabulary)))
        self.log_size_mean: Tensor
        self.log_size_deviation: Tensor

    @classmethod
    def from_config(cls, config: MTMLConfig, vocabulary: Vocabulary) -> "MTML":
        inputs = config.features if config.inputs == "features" else len(vocabulary)
        trunk = Trunk(
            inputs,
            config.width,
            first_kernel=config.first_kernel,
            dilations=config.dilations,
            norm=config.norm,
        )
        semantics = None if config.semantics is None else UNet.from_config(config.semantics, vocabulary)
        return cls(config, vocabulary, trunk, semantics)

    def train(self, mode: bool = True) -> "MTML":
        """As ever, but the semantic stage learns nothing, running statistics included."""
        super().train(mode)
        if self.semantics is not None:
            self.semantics.eval()
        return self

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """The scan's voxels, flipped, turned and shifted at random where `turns` says so."""
        cloud = scan.input
        stage_input = ()
        if self.semantics is not None:  # fine-tuning, Sec. 3.3
            fine, voxels, voxel_of_fine = self._nested(cloud)
            features = torch.zeros(len(voxels.counts), 0)
            seen = voxel_features(cloud, fine, self.semantics.config)
            stage_input = (fine.coordinates, seen, voxel_of_fine, torch.tensor([len(seen)]))
        else:
            if cloud.semantic is None and cloud.features is None:
                cloud = replace(cloud, semantic=scan.truth.element_classes)  # pre-training, Sec. 3.3
            voxels, _, features = self._given(cloud)
        labels = scan.truth.to_labels()
        owners = segment_mode(labels, voxels.voxel_of_point, len(features), len(scan.truth) or 1)
        at, order = voxels.coordinates, torch.arange(len(features))
        if self.config.turns:
            at = turned(at, rng)
            order = torch.from_numpy(np.lexsort(at.numpy().T[::-1]).copy())
        objects = is_object(scan.truth.classes, self.vocabulary, structure=self.config.structure)
        objects = torch.cat([objects, objects.new_zeros(1)])  # -1 is none
        owners = owners.masked_fill(~objects[owners], -1)[order]
        ids, instances = owners.unique(return_inverse=True)
        instances = instances - int((ids < 0).sum())
        if stage_input:
            coordinates, seen, voxel_of_fine, count = stage_input
            stage_input = (coordinates, seen, order.argsort()[voxel_of_fine], count)
        made = Batch(at[order], features[order], instances, torch.tensor([len(order)]), *stage_input)
        if not self.config.doubt:
            return made
        low, high = (metres / self.config.voxel_size for metres in self.config.doubt_radius)
        doubt = patches_of_doubt(
            made.coordinates,
            len(self.vocabulary),
            rng,
            deviation=self.config.doubt,
            most=self.config.doubt_balls,
            radius=(low, high),
        )
        return made._replace(doubt=doubt)

    def forward(self, batch: Batch) -> Prediction:
        scenes = torch.arange(len(batch.sizes), device=batch.sizes.device)
        scene = scenes.repeat_interleave(batch.sizes)
        where = torch.cat([scene[:, None], batch.coordinates], dim=1)
        space = (SparseSpace if self.config.space == "sparse" else DenseSpace)(where)
        features = self._predicted(batch) if len(batch.fine_sizes) else batch.features
        if len(batch.doubt):
            features = doubted(features, batch.doubt)
        shared = self.trunk(space.enter(features), space)
        embedding = space.leave(self.embed(shared, space)).float()
        if self.point is None:
            return Prediction(embedding.new_zeros(len(embedding), 0), embedding)
        return Prediction(space.leave(self.point(shared, space)).float(), embedding)

    @torch.no_grad()
    def _predicted(self, batch: Batch) -> Float[Tensor, "v c"]:
        """Mean probabilities of the classes in each voxel, as the semantic stage sees them."""
        assert self.semantics is not None
        nothing = torch.full_like(batch.voxel_of_fine, -1)
        seen = FineBatch(batch.fine, batch.fine_features, nothing, batch.fine_sizes)
        first = (batch.sizes.cumsum(0) - batch.sizes).repeat_interleave(batch.fine_sizes)
        scores = self.semantics(seen).logits.softmax(1)
        return segment_mean(scores, batch.voxel_of_fine + first, len(batch.coordinates))

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
            named.append(
                {
                    "variance": c.alpha_fe * c.gamma_var * terms.variance,
                    "distance": c.alpha_fe * c.gamma_dist * terms.distance,
                    "regularisation": c.alpha_fe * c.gamma_reg * terms.regularisation,  # Eq. 1
                }
            )
            if c.direction:
                found = direction_loss(direction[None], coordinates[None].float(), instances[None])
                named[-1]["direction"] = c.alpha_dir * found  # Eq. 6
        return {name: torch.stack([terms[name] for terms in named]).mean() for name in named[0]}

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud; they may overlap unless `coherent` forbids.

        A score is that of `score`, 0 to 1. `element_classes` are those that the cloud carries, or
        those that the semantic stage sees where it carries none.
        """
        with evaluating(self):
            return self._segment(cloud)

    def _segment(self, cloud: PointCloud) -> Instances:
        voxels, classes, features, point_classes, patches = self._input(cloud)
        known = is_object(classes, self.vocabulary, structure=self.config.structure)
        if not bool(known.any()):
            empty = Instances.empty(len(cloud), self.vocabulary, self.name)
            return replace(empty, element_classes=point_classes)
        with stage("network"):
            turns = counted(range(self.config.views))
            views = [self._view(k, voxels.coordinates, features) for k in turns]
        rows = known.nonzero()[:, 0]
        of_objects = [Prediction(*(values[rows] for values in view)) for view in views]
        found = self.group(of_objects, voxels.coordinates[rows], classes[rows], features[rows])
        with stage("points"):
            masks = to_points(found.proposals, rows, voxels.voxel_of_point)
        made = Instances(
            masks=masks,
            classes=found.classes,
            scores=found.scores,
            vocabulary=self.vocabulary,
            element_classes=point_classes,
            method=self.name,
        )
        if patches is None or not self.config.proposals.coherent:
            return made
        with stage("superpoints"):
            return by_superpoints(made, patches)

    def _view(
        self, turns: int, coordinates: Int[Tensor, "v 3"], features: Float[Tensor, "v c"]
    ) -> Prediction:
        """What the network says of the scene after so many quarter turns, directions turned back.

        After an odd number the voxels are also shifted by one, so that the pooling's cells are others.
        """
        at = quarter_turned(coordinates, turns) + turns % 2
        order = torch.from_numpy(np.lexsort(at.numpy().T[::-1]).copy())
        back = order.argsort()
        direction, embedding = (values[back] for values in self._predict(at[order], features[order]))
        if self.config.direction:
            x, y, z = direction.unbind(1)
            for _ in range(turns):
                x, y = y, -x
            direction = torch.stack([x, y, z], dim=1)
        return Prediction(direction, embedding)

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
        views: Sequence[Prediction],
        coordinates: Int[Tensor, "v 3"],
        classes: Int[Tensor, "v"],
        semantics: Float[Tensor, "v c"] | None = None,
    ) -> proposals.Scored:
        """Scored sets of voxels, best first (Sec. 3.2, "Post-processing"); each view gives proposals.

        `semantics` are probabilities of the classes; where there are none, those that `classes` stand for.
        """
        c = self.config.proposals
        certain = one_hot(classes, len(self.vocabulary))
        if semantics is None or self.config.inputs != "semantic":
            semantics = certain
        directions = _mean_direction([view.direction for view in views]) if self.config.direction else None
        with stage("proposals"):
            made = proposals.distinct(
                [
                    proposals.propose(
                        view.embedding,
                        coordinates,
                        classes,
                        bandwidths=c.bandwidths,
                        connectivity=c.connectivity,
                        across=c.across,
                        merge=c.merge,
                        min_gain=c.merge_gain,
                        directions=directions if c.unions else None,
                    )
                    for view in counted(views)
                ],
                min_voxels=c.min_voxels,
            )
        with stage("scores"):
            labels = proposals.probable_class(certain, made)
            embeddings = [view.embedding for view in views]
            scores = self.score(embeddings, directions, coordinates, semantics, made, labels)
            order = proposals.best_first(scores, made.sizes)
        with stage("suppression"):
            kept = proposals.suppress(made, order, max_iou=c.nms_iou)
            if not c.coherent:
                return proposals.Scored(made.take(kept), labels[kept], scores[kept])
            parts, kept = proposals.without_overlap(made, kept, min_rest=c.min_rest, min_voxels=c.min_voxels)
        return proposals.Scored(parts, labels[kept], scores[kept])

    def score(
        self,
        embeddings: Sequence[Float[Tensor, "v e"]],
        directions: Float[Tensor, "v d"] | None,
        coordinates: Int[Tensor, "v 3"],
        semantics: Float[Tensor, "v c"],
        made: Sets,
        labels: Int[Tensor, "p"],
    ) -> Float[Tensor, "p"]:
        """Weighted mean of the coherencies of features and directions, regular and large size, and probability of the class."""
        c = self.config.proposals
        coherent = [
            proposals.feature_coherency(embedding, made, threshold=c.coherency_threshold)
            for embedding in embeddings
        ]
        features = torch.stack(coherent).mean(0)
        usual = self.log_size_mean.cpu(), self.log_size_deviation.cpu()
        size = proposals.regular_size(made.sizes, labels, *usual)
        parts = [(c.feature_weight, features), (c.size_weight, size)]
        if c.semantic_weight:
            parts.append((c.semantic_weight, proposals.class_probability(semantics, made, labels)))
        if c.large_weight:
            parts.append((c.large_weight, proposals.large(made.sizes)))
        if directions is not None:
            direction = proposals.direction_coherency(directions, coordinates.float(), made)
            parts.append((c.direction_weight, direction))
        return proposals.total_score(*parts)

    def fit(self, samples: Scans, *, most: int = 200) -> None:
        """Mean and deviation of ln(voxels) of every class's instances, from at most `most` evenly spaced scans."""
        logs, kinds = [torch.zeros(0)], [torch.zeros(0, dtype=torch.int64)]
        for scan in evenly_spaced(samples, most):
            found = scan.truth
            voxels = voxelize(scan.input.points, voxel_size=self.config.voxel_size)
            labels = segment_mode(
                found.to_labels(), voxels.voxel_of_point, len(voxels.counts), len(found) or 1
            )
            sizes = torch.bincount(labels[labels >= 0], minlength=len(found))
            use = (sizes > 0) & (found.classes >= 0)
            logs.append(sizes[use].float().log())
            kinds.append(found.classes[use])
        size, kind = torch.cat(logs), torch.cat(kinds)
        for c in range(len(self.vocabulary)):
            own = size[kind == c]
            if len(own):
                self.log_size_mean[c] = own.mean()
                least = self.config.proposals.size_deviation
                self.log_size_deviation[c] = own.std(correction=0).clamp(min=least)

    def _input(self, cloud: PointCloud) -> Input:
        if self.semantics is not None:
            return self._labelled(self.semantics, cloud)
        with stage("voxels"):
            voxels, classes, features = self._given(cloud)
        # Where the input has features only, a point has its voxel's class.
        of_points = classes[voxels.voxel_of_point] if cloud.semantic is None else cloud.semantic.long()
        return Input(voxels, classes, features, of_points)

    def _nested(self, cloud: PointCloud) -> tuple[Voxels, Voxels, Int[Tensor, "w"]]:
        """The semantic stage's voxels, those of the instances, and which of these each of those lies in."""
        c = self.config
        assert c.semantics is not None
        fine = voxelize(cloud.points, voxel_size=c.semantics.voxel_size)
        return fine, *nested(fine, factor=round(c.voxel_size / c.semantics.voxel_size))

    def _labelled(self, semantics: UNet, cloud: PointCloud) -> Input:
        """With the semantics that the cloud carries or, where it carries none, predicted ones."""
        # Given classes stay what they are, and overlapping instances, too.
        wanted = cloud.semantic is None or self.config.proposals.coherent
        patches = semantics.patches(cloud) if wanted else None
        with stage("voxels"):
            fine, voxels, voxel_of_fine = self._nested(cloud)
        if cloud.semantic is None:
            with stage("semantics"):
                scores = semantics.scores(fine.coordinates, voxel_features(cloud, fine, semantics.config))
            with stage("superpoints"):
                point_classes = classes_by_superpoint(scores, fine.voxel_of_point, patches)
        else:
            point_classes = given_classes(cloud, self.vocabulary)
            known = classes_of_voxels(point_classes, fine, self.vocabulary)
            scores = one_hot(known, len(self.vocabulary))
        features = segment_mean(scores, voxel_of_fine, len(voxels.counts))
        return Input(voxels, probable_class(features), features, point_classes, patches)

    def _given(self, cloud: PointCloud) -> tuple[Voxels, Int[Tensor, "v"], Float[Tensor, "v c"]]:
        """Voxels, the class of each as far as the input tells, and the network's input."""
        names = len(self.vocabulary)
        voxels = voxelize(cloud.points, voxel_size=self.config.voxel_size)
        classes = None
        if cloud.semantic is not None or self.config.inputs == "semantic":
            classes = classes_of_voxels(given_classes(cloud, self.vocabulary), voxels, self.vocabulary)
            if self.config.inputs == "semantic":
                return voxels, classes, one_hot(classes, names)
        features, wanted = cloud.features, self.config.features
        if features is None or features.shape[1] != wanted:
            got = "none" if features is None else str(features.shape[1])
            raise UserError(
                f"the cloud must carry {wanted} features per point for this model, got {got}; set PointCloud.features"
            )
        means = segment_mean(features, voxels.voxel_of_point, len(voxels.counts))
        if classes is None and wanted != names:
            raise UserError(
                f"{wanted} features are no scores of {names} classes; set PointCloud.semantic as well"
            )
        return voxels, means.argmax(1) if classes is None else classes, means


def _mean_direction(directions: Sequence[Float[Tensor, "v d"]]) -> Float[Tensor, "v d"]:
    """Of any length."""
    if len(directions) == 1:
        return directions[0]
    return torch.stack([F.normalize(values, dim=1) for values in directions]).mean(0)


def one_hot(classes: Int[Tensor, "v"], count: int) -> Float[Tensor, "v c"]:
    """A row of zeros for class -1."""
    return F.one_hot(classes + 1, count + 1)[:, 1:].float()


def turned(coordinates: Int[Tensor, "v 3"], rng: np.random.Generator) -> Int[Tensor, "v 3"]:
    """Flipped, turned about the vertical by quarters, and shifted by a voxel or none along each axis."""
    if rng.random() < 0.5:
        coordinates = coordinates * torch.tensor([-1, 1, 1])
    at = quarter_turned(coordinates, int(rng.integers(4)))
    at = at - at.amin(0) if len(at) else at
    return at + torch.from_numpy(rng.integers(0, 2, 3))
