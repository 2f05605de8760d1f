"""The model where none is named: by the size of the scan what several models for rooms agree on, or geometry with settings for
table tops; for photos without depth one that finds objects and one that completes them.
"""

import copy
from dataclasses import replace

from gestalt3d.methods.geometric import TABLE_TOP, is_table_top
from gestalt3d.methods.method import AnyMethod
from gestalt3d.structures.pointcloud import PointCloud

USUAL, SMALL = "consensus-fast", "geometric-regions"
LABELLED = "mtml-rooms"
"""For clouds that carry semantics, which it takes."""
BETTER = "consensus-best"
LEAST_IOU = 0.1
"""That is predicted of an instance in a room: a third of them have less, which costs half a point of AP50 on rooms:val."""
FINDER, COMPLETER = "mask-rcnn-photos", "a3d-photos"
LEAST_SCORE = 0.35
"""Of what the finder finds, where precision and recall on photos:val are about equal."""
ABOUT = (
    f"{USUAL} without overlap, for scans under {TABLE_TOP:g} m along every axis {SMALL}, "
    f"for photos {FINDER} and {COMPLETER}"
)


def sure(judge: AnyMethod) -> AnyMethod:
    """The model for rooms as it answers who names none: without what is hardly an object."""
    other = copy.copy(judge)
    other.config = replace(judge.config, min_score=LEAST_IOU)
    return other


def chosen(cloud: PointCloud) -> str:
    """Which of the three segments the cloud."""
    if cloud.semantic is not None:
        return LABELLED
    return SMALL if is_table_top(cloud) else USUAL


def why(name: str, *, masks_given: bool = False) -> str:
    """One clause for the user about the model that was chosen, and how to overrule it."""
    if masks_given:
        return f"model: {name}; -m overrules"
    if name == COMPLETER:
        return f"models: {FINDER} finds objects, {COMPLETER} completes them; -m and --refiner overrule"
    if name == LABELLED:
        return f"model: {LABELLED}, as the scan carries its classes; -m overrules"
    if name == USUAL:
        return f"model: {USUAL}, made for rooms; -m overrules, {BETTER} is better and slower"
    return (
        f"model: {SMALL}, as the scan is under {TABLE_TOP:g} m along every axis; it finds things and names none; "
        f"-m {USUAL} overrules"
    )
