"""The model where none is named: by the size of the scan one trained on rooms, or geometry with settings for table tops; for
photos without depth one that finds objects and one that completes them.
"""

from gestalt3d.methods.geometric import TABLE_TOP, is_table_top
from gestalt3d.structures.pointcloud import PointCloud

USUAL, SMALL = "mtml-rooms", "geometric-regions"
FINDER, COMPLETER = "mask-rcnn-photos", "a3d-photos"
LEAST_SCORE = 0.35
"""Of what the finder finds, where precision and recall on photos:val are about equal."""
ABOUT = (
    f"{USUAL}, for scans under {TABLE_TOP:g} m along every axis {SMALL}, for photos {FINDER} and {COMPLETER}"
)


def is_small(cloud: PointCloud) -> bool:
    """Whether `SMALL` segments the cloud. Semantics that it carries only `USUAL` can use."""
    return cloud.semantic is None and is_table_top(cloud)


def why(name: str, *, masks_given: bool = False) -> str:
    """One clause for the user about the model that was chosen, and how to overrule it."""
    if masks_given:
        return f"model: {name}; -m overrules"
    if name == COMPLETER:
        return f"models: {FINDER} finds objects, {COMPLETER} completes them; -m and --refiner overrule"
    if name == USUAL:
        return f"model: {USUAL}, made for rooms; -m overrules"
    return (
        f"model: {SMALL}, as the scan is under {TABLE_TOP:g} m along every axis; it finds things and names none; "
        f"-m {USUAL} overrules"
    )
