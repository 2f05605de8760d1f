"""The model that chooses by the scan."""

from dataclasses import dataclass

from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model
from gestalt3d.methods import choice
from gestalt3d.structures.pointcloud import PointCloud

NAME = "auto"


@dataclass(frozen=True, repr=False)
class Auto(Model):
    """`method` is that of the usual model; both answer in its vocabulary."""

    for_small: Model

    def for_cloud(self, cloud: PointCloud) -> Model:
        """Who segments this cloud."""
        return self.for_small if choice.is_small(cloud) else Model(choice.USUAL, self.method)

    def with_seed(self, seed: int) -> "Auto":
        return Auto(self.name, super().with_seed(seed).method, self.for_small.with_seed(seed))


def load_auto(device: str) -> Auto:
    usual = checkpoint.load(choice.USUAL, device=device)
    small = checkpoint.load(choice.SMALL, device=device)
    return Auto(NAME, usual, Model(choice.SMALL, type(small).from_config(small.config, usual.vocabulary)))
