"""PointNet++: semantic classes of a whole scene (Qi et al., NeurIPS 2017), the network that R-PointNet takes its f_sem from.

It parts nothing into instances: `segment` answers with the class of every point.

Readings, where GSPN (Yi et al., CVPR 2019, Sec. 3.2) is silent:
- The network is that of GSPN's centre prediction, with colours, as in the authors' code: four set abstractions, four feature
  propagations. The head has one layer with dropout before it.
- It may also see the height over the floor, the 0.5th percentile of the heights, and the products of the surface normal's
  coordinates, which do not depend on the normal's sign; the paper's sees neither.
- A point that the network did not see has the probabilities of the nearest one that it saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, Neighbours, Positive, Within, check_ranges
from gestalt3d.losses.semantic import class_weights, semantic_loss
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.methods.regions.scene import about_grey, order_of_places, random_order, thinned
from gestalt3d.methods.unet import floor_height
from gestalt3d.nn.modes import evaluating
from gestalt3d.nn.pointnet import scaled
from gestalt3d.nn.pointnet2 import PointNet2Decoder, PointNet2Encoder, PointNet2Features
from gestalt3d.ops.knn import knn
from gestalt3d.ops.normals import surface_normals
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan, Scans, evenly_spaced
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class PointNet2Config:
    """Defaults are those of GSPN's authors."""

    points: Count = 18_000
    """Points of a scene that the network sees, farthest from each other."""
    width_scale: Annotated[float, Within(above=0, most=64)] = 1.0
    """Factor for the widths of all layers."""
    level_points: tuple[Count, Count, Count, Count] = (2048, 512, 128, 32)
    """Points of the four levels."""
    radii: tuple[Positive, Positive, Positive, Positive] = (0.2, 0.4, 0.8, 1.6)
    """Radii of the levels' balls, in metres."""
    height: bool = False
    """See the height over the floor as well."""
    normals: Neighbours = 0
    """Points from which a surface normal is estimated, as six more features; 0 estimates none."""
    dropout: Annotated[float, Within(least=0, below=1)] = 0.5
    """Share of the features that training leaves out before the output layer."""
    class_balance: Annotated[float, Within(least=0, most=4)] = 0.0
    """Classes weigh frequency ** -class_balance in the cross entropy."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Batch(NamedTuple):
    """Scenes of as many points each."""

    points: Float[Tensor, "b n 3"]
    """Metres, farthest first."""
    features: Float[Tensor, "b n f"]
    """What is known of each point beside where it is."""
    classes: Int[Tensor, "b n"]
    """-1: unknown, takes no part in the loss."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class Prediction(NamedTuple):
    logits: Float[Tensor, "b n c"]


class PointNet2(Learned[PointCloud, Batch, Prediction]):
    name = "pointnet2"
    takes = PointCloud
    config: PointNet2Config

    def __init__(self, config: PointNet2Config, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.encoder = PointNet2Encoder(
            6 + config.height + (6 if config.normals else 0),
            radii=config.radii,
            width_scale=config.width_scale,
            counts=config.level_points,
        )
        width = scaled(128, config.width_scale)
        self.decoder = PointNet2Decoder(self.encoder, width, width_scale=config.width_scale)
        self.dropout = nn.Dropout(config.dropout)
        self.classify = nn.Linear(width, len(vocabulary))
        self.register_buffer("class_weights", torch.ones(len(vocabulary)))
        self.class_weights: Tensor

    @property
    def finds_instances(self) -> bool:
        return False

    def prepare(self, sample: Scan, rng: np.random.Generator) -> Batch:
        """The scene and the classes of its points."""
        cloud = sample.input
        rows = thinned(cloud.points, random_order(cloud, rng), wanted=self.config.points)
        classes = sample.truth.classes_of_elements()[rows]
        return Batch(cloud.points[rows][None], self.features(cloud, rows)[None], classes[None])

    def features(self, cloud: PointCloud, rows: Int[Tensor, "k"]) -> Float[Tensor, "k f"]:
        """What the network sees of some points of a cloud beside where they are."""
        found = [about_grey(cloud, rows)]
        if self.config.height:
            found.append(cloud.points[rows, 2:] - floor_height(cloud.points))
        if self.config.normals:
            x, y, z = surface_normals(cloud.points[rows][None], k=self.config.normals)[0].split(1, dim=1)
            found += [x * x, y * y, z * z, x * y, x * z, y * z]
        return torch.cat(found, dim=1)

    def encoded(self, points: Float[Tensor, "b n 3"], features: Float[Tensor, "b n f"]) -> PointNet2Features:
        """The levels of the network, without a decision."""
        return self.encoder(torch.cat([points, features], dim=-1))

    def decided(self, seen: PointNet2Features) -> Prediction:
        """The classes of the points that were encoded."""
        return Prediction(self.classify(self.dropout(self.decoder(seen))).float())

    def forward(self, batch: Batch) -> Prediction:
        return self.decided(self.encoded(batch.points, batch.features))

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        return {"semantic": semantic_loss(prediction.logits, batch.classes, self.class_weights)}

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """The class of every point as `element_classes`, and no instances."""
        empty = Instances.empty(len(cloud), self.vocabulary, self.name)
        if len(cloud) == 0:
            return replace(empty, element_classes=torch.zeros(0, dtype=torch.int64))
        with stage("points"):
            rows = thinned(cloud.points, order_of_places(cloud), wanted=self.config.points)
            points, features = cloud.points[rows][None], self.features(cloud, rows)[None]
            unknown = torch.full_like(rows[None], -1)
        with stage("network"), evaluating(self):
            device = self.class_weights.device
            classes = self(Batch(points, features, unknown).to(device)).logits[0].argmax(1).cpu()
        with stage("classes"):
            nearest = knn(cloud.points[None], points, k=1).index[0, :, 0]
        return replace(empty, element_classes=classes[nearest])

    def fit(self, samples: Scans, *, most: int = 100) -> None:
        """Weights of the classes for `class_balance`, from at most `most` evenly spaced scans."""
        if not self.config.class_balance:
            return
        points = torch.zeros(len(self.vocabulary))
        for scan in evenly_spaced(samples, most):
            classes = scan.truth.classes_of_elements()
            points += torch.bincount(classes[classes >= 0], minlength=len(self.vocabulary))
        self.class_weights.copy_(class_weights(points, power=self.config.class_balance))


METHOD = PointNet2
