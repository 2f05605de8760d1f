"""The model where none is named: by the size of the scan one trained on rooms, or geometry with settings for table tops."""

from gestalt3d.methods.geometric import TABLE_TOP, is_table_top
from gestalt3d.structures.pointcloud import PointCloud

USUAL, SMALL = "mtml-rooms", "geometric-regions"
ABOUT = f"{USUAL}, and for scans under {TABLE_TOP:g} m along every axis {SMALL}"


def is_small(cloud: PointCloud) -> bool:
    """Whether `SMALL` segments the cloud. Semantics that it carries only `USUAL` can use."""
    return cloud.semantic is None and is_table_top(cloud)


def why(name: str) -> str:
    """One clause for the user about the model that was chosen, and how to overrule it."""
    if name == USUAL:
        return f"model: {USUAL}, made for rooms; -m overrules"
    return (
        f"model: {SMALL}, as the scan is under {TABLE_TOP:g} m along every axis; it finds things and names none; "
        f"-m {USUAL} overrules"
    )
