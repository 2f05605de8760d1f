"""The model where none is named: by the size of the scan one trained on rooms, or geometry with settings for table tops."""

from dataclasses import dataclass

from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model
from gestalt3d.methods.geometric import TABLE_TOP, Geometric, GeometricConfig, is_table_top
from gestalt3d.structures.pointcloud import PointCloud

NAME, ROOMS, TABLE_TOPS = "auto", "mtml-rooms", "geometric-regions"
ABOUT = f"{ROOMS}, and for scans under {TABLE_TOP:g} m along every axis {TABLE_TOPS}"


@dataclass(frozen=True, repr=False)
class Auto(Model):
    """`method` is that of `ROOMS`; both models answer in its vocabulary."""

    table_tops: Model

    def for_cloud(self, cloud: PointCloud) -> Model:
        """Who segments this cloud. Semantics that it carries only the model for rooms can use."""
        return (
            self.table_tops if cloud.semantic is None and is_table_top(cloud) else Model(ROOMS, self.method)
        )

    def with_seed(self, seed: int) -> "Auto":
        return Auto(self.name, super().with_seed(seed).method, self.table_tops.with_seed(seed))


def load_auto(device: str) -> Auto:
    rooms = checkpoint.load(ROOMS, device=device)
    config = GeometricConfig(**checkpoint.UNTRAINED[TABLE_TOPS].settings)
    return Auto(NAME, rooms, Model(TABLE_TOPS, Geometric(config, rooms.vocabulary)))


def why(chosen: str) -> str:
    """One clause for the user about the model that `auto` chose, and how to overrule it."""
    if chosen == ROOMS:
        return f"model: {ROOMS}, made for rooms; -m overrules"
    return (
        f"model: {TABLE_TOPS}, as the scan is under {TABLE_TOP:g} m along every axis; it finds things and names none; "
        f"-m {ROOMS} overrules"
    )
