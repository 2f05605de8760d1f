"""Two stages, one after the other: the first labels a cloud, the second parts what is labelled into instances.

MTML is meant so: its semantics come from a network trained before (its Sec. 3.1), and its fine-tuning sees what that network
predicts (Sec. 3.3). The semantic stage stays as it is, running statistics included; only the parter learns.

A cloud that carries its semantics needs no labels: they are taken as they are.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods import mtml, unet
from gestalt3d.methods.components import Components, ComponentsConfig
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.mtml import MTML, MTMLConfig
from gestalt3d.methods.unet import UNet, UNetConfig, voxel_features
from gestalt3d.methods.voxels.labelled import Labelled, VoxelScores, given_classes, nested
from gestalt3d.ops.segment import segment_mean
from gestalt3d.ops.voxelize import Voxels, voxelize
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class StagedConfig:
    """The settings of each stage."""

    semantics: UNetConfig = field(default_factory=UNetConfig)
    """The network that labels clouds."""
    parter: MTMLConfig | ComponentsConfig = field(default_factory=MTMLConfig)
    """What parts labelled clouds into instances."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not isinstance(self.parter, MTMLConfig):
            return
        if self.parter.inputs != "semantic":
            raise UserError('inputs must be "semantic" behind a semantic stage, whose classes they are')
        factor = self.parter.voxel_size / self.semantics.voxel_size
        if round(factor) < 1 or abs(factor - round(factor)) > 1e-6:
            raise UserError(
                f"voxel_size {self.parter.voxel_size} must be a whole multiple of that of semantics, "
                f"got {self.semantics.voxel_size}"
            )


class Batch(NamedTuple):
    """Scenes that the semantic stage has yet to label."""

    seen: unet.Batch
    """What the semantic stage sees."""
    place: Int[Tensor, "w"]
    """The parter's voxel that each of its voxels lies in, counted from 0 in every scene."""
    parted: mtml.Batch
    """The parter's voxels, without features."""

    @classmethod
    def nothing(cls) -> "Batch":
        """A scene without voxels."""
        none, size = torch.zeros(0, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
        at, features = none.reshape(0, 3), torch.zeros(0, 0)
        return cls(unet.Batch(at, features, none, size), none, mtml.Batch(at, features, none, size))

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.seen.to(device), self.place.to(device), self.parted.to(device))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        seen, place, parted = zip(*parts, strict=True)
        return Batch(unet.Batch.cat(seen), torch.cat(place), mtml.Batch.cat(parted))


class Known(NamedTuple):
    """What trained stages say of some voxels or points."""

    classes: Float[Tensor, "*n c"]
    """Probabilities."""
    features: Float[Tensor, "*n f"]
    """Of the semantic stage, which its classes are told from."""
    embedding: Float[Tensor, "*n e"]
    """Of the parter, alike within an instance."""
    direction: Float[Tensor, "*n d"]
    """Of the parter, towards the centre of the instance, of length 1; no columns where it predicts none."""

    @property
    def joined(self) -> Float[Tensor, "*n k"]:
        """Side by side."""
        return torch.cat(self, dim=-1)


class Staged(Learned[PointCloud, Batch, mtml.Prediction]):
    name = "staged"
    takes = PointCloud
    takes_semantics = True
    config: StagedConfig

    def __init__(self, semantics: UNet, parter: MTML | Components) -> None:
        super().__init__()
        self.config = StagedConfig(semantics.config, parter.config)
        self.vocabulary = parter.vocabulary
        self.parter = parter
        self.semantics = semantics.eval().requires_grad_(False)

    @classmethod
    def from_config(cls, config: StagedConfig, vocabulary: Vocabulary) -> "Staged":
        kind = MTML if isinstance(config.parter, MTMLConfig) else Components
        parter = kind.from_config(config.parter, vocabulary)  # type: ignore[arg-type]
        return cls(UNet.from_config(config.semantics, vocabulary), parter)

    def with_parter(self, parter: MTML | Components) -> "Staged":
        """The same semantic stage before another parter."""
        return Staged(self.semantics, parter)

    def with_turns(self, turns: int) -> "Staged":
        """The same with the same weights, both stages looking at so many quarter turns, 1 to 4."""
        semantics, parter = copy.copy(self.semantics), copy.copy(self.parter)
        semantics.config = replace(semantics.config, turns=turns)
        if isinstance(parter, MTML):
            parter.config = replace(parter.config, turns=turns)
        return Staged(semantics, parter)

    def train(self, mode: bool = True) -> "Staged":
        """As ever, but the semantic stage learns nothing."""
        super().train(mode)
        self.semantics.eval()
        return self

    def fit(self, samples: Scans) -> None:
        """What the parter needs to know of the training set."""
        self._learner().fit(samples)

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """The scan's voxels for both stages, the parter's changed at random as it does."""
        seen, _, voxels, larger = self._voxels(scan.input)
        parted, order = self._learner().sample(voxels, scan.truth, rng)
        return Batch(seen, order.argsort()[larger], parted)

    def voxels_of(self, cloud: PointCloud) -> tuple[Batch, Int[Tensor, "n"]]:
        """The cloud's voxels for both stages as they are, and the first stage's voxel of each point."""
        seen, fine, voxels, larger = self._voxels(cloud)
        count = len(voxels.counts)
        unknown = torch.full((count,), -1)
        parted = mtml.Batch(voxels.coordinates, torch.zeros(count, 0), unknown, torch.tensor([count]))
        return Batch(seen, larger, parted), fine.voxel_of_point

    def _voxels(self, cloud: PointCloud) -> tuple[unet.Batch, Voxels, Voxels, Int[Tensor, "w"]]:
        """What the first stage sees, its voxels, the parter's, and the parter's voxel that each of the first's lies in."""
        fine = voxelize(cloud.points, voxel_size=self.semantics.config.voxel_size)
        factor = round(self._learner().config.voxel_size / self.semantics.config.voxel_size)
        voxels, larger = nested(fine, factor=factor)
        features = voxel_features(cloud, fine, self.semantics.config)
        nothing = torch.full((len(features),), -1)
        seen = unet.Batch(fine.coordinates, features, nothing, torch.tensor([len(features)]))
        return seen, fine, voxels, larger

    def forward(self, batch: Batch) -> mtml.Prediction:
        return self._learner()(batch.parted._replace(features=self.predicted(batch)))

    @torch.no_grad()
    def predicted(self, batch: Batch) -> Float[Tensor, "v c"]:
        """Mean probabilities of the classes in each of the parter's voxels, as the semantic stage sees them."""
        scores = self.semantics(batch.seen).logits.softmax(1)
        return segment_mean(scores, self._places(batch), len(batch.parted.coordinates))

    @property
    def known_channels(self) -> int:
        """Of all that `known` says."""
        parter = self._learner().config
        return len(self.vocabulary) + self.semantics.trunk.channels + parter.embedding + 3 * parter.direction

    @torch.no_grad()
    def known(self, batch: Batch) -> Known:
        """What both stages say of each voxel of the first."""
        features = self.semantics.shared(batch.seen)
        classes = self.semantics.classify(features).float().softmax(1)
        places = self._places(batch)
        means = segment_mean(classes, places, len(batch.parted.coordinates))
        parted = self._learner()(batch.parted._replace(features=means))
        direction = F.normalize(parted.direction, dim=1)
        return Known(classes, features.float(), parted.embedding[places], direction[places])

    @staticmethod
    def _places(batch: Batch) -> Int[Tensor, "w"]:
        """The row of the parter's voxel that each of the first stage's lies in."""
        sizes = batch.parted.sizes
        return batch.place + (sizes.cumsum(0) - sizes).repeat_interleave(batch.seen.sizes)

    def losses(self, prediction: mtml.Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """Those of the parter."""
        return self._learner().losses(prediction, batch.parted, at)

    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud; its semantics, carried or predicted, are its `element_classes`."""
        return self.parter.part(self.labelled(cloud))

    def labelled(self, cloud: PointCloud) -> Labelled:
        """The cloud with the classes that it carries or, where it carries none, those that the semantic stage sees."""
        if cloud.semantic is None:
            with stage("semantics"):
                return self.semantics.label(cloud)
        classes = given_classes(cloud, self.vocabulary)
        surfaces = self.semantics.superpoints(cloud) if self.parter.superpoints_of_given else None
        with stage("voxels"):
            size = self.semantics.config.voxel_size
            seen = VoxelScores.of_classes(cloud.points, classes, self.vocabulary, voxel_size=size)
        return Labelled(replace(cloud, semantic=classes), seen, surfaces)

    def _learner(self) -> MTML:
        if isinstance(self.parter, MTML):
            return self.parter
        raise UserError(f"{self.parter.name} behind a semantic stage has nothing to learn")


METHOD = Staged
