"""A method of your own in one file: a small network tells classes by height, DBSCAN parts each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gestalt3d.configs import Positive
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.losses.semantic import semantic_loss
from gestalt3d.methods.method import Learned, Moment
from gestalt3d.ops.components import dbscan
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.testing import Case, Overfit


@dataclass(frozen=True)
class HeightsConfig:
    reach: Positive = 0.1
    """Metres: points of one class that are nearer to each other are in one instance."""


class Batch(NamedTuple):
    heights: Tensor
    classes: Tensor

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(self.heights.to(device), self.classes.to(device))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class Heights(Learned[PointCloud, Batch, Tensor]):
    """Classes by height, instances by DBSCAN in each class."""

    name = "heights"
    takes = PointCloud
    config: HeightsConfig

    def __init__(self, config: HeightsConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.layers = nn.Sequential(nn.Linear(1, 64), nn.ReLU(), nn.Linear(64, len(vocabulary)))

    def prepare(self, sample: Scan, rng: np.random.Generator) -> Batch:
        rows = rng.integers(len(sample.input), size=2048)
        return Batch(sample.input.points[rows, 2:], sample.truth.classes_of_elements()[rows])

    def forward(self, batch: Batch) -> Tensor:
        return self.layers(batch.heights).float()

    def losses(self, prediction: Tensor, batch: Batch, at: Moment) -> dict[str, Tensor]:
        return {"semantic": semantic_loss(prediction, batch.classes)}

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        classes = self.layers(cloud.points[:, 2:]).argmax(1)
        labels, kinds = torch.full((len(cloud),), -1), torch.zeros(0, dtype=torch.int64)
        for kind in classes.unique():
            found = dbscan(cloud.points[classes == kind], eps=self.config.reach, min_points=5)
            labels[classes == kind] = torch.where(found >= 0, found + len(kinds), -1)
            kinds = torch.cat([kinds, kind.repeat(int(found.max()) + 1)])
        return Instances.from_labels(labels, kinds, vocabulary=self.vocabulary, element_classes=classes)


def recipe() -> Recipe:
    """The heights of synthetic rooms; a minute."""
    return Recipe(name="heights-rooms", model=HeightsConfig(), optim=Optim(steps=200), data="rooms:train")


METHOD, RECIPES = Heights, {"heights-rooms": recipe}
CASE = Case(config=HeightsConfig(reach=0.3), overfit=Overfit(rate=0.05, loss=0.4, classes=0.6))
