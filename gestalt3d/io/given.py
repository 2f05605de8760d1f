"""What callers hand over in place of an input: a path, an array; and instances and input in the wrong order."""

import os
from typing import Any

import numpy as np
from torch import Tensor

from gestalt3d.io.clouds import load_cloud
from gestalt3d.io.inputs import load_input
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View

CloudLike = PointCloud | str | os.PathLike[str] | np.ndarray | Tensor
"""A cloud, the path of one, or an array (n, 3) of x y z in metres, z up, or (n, 6) with r g b, up to 1 or to 255."""

InputLike = CloudLike | View
"""That, or a view, or the path of one."""


def input_of(given: InputLike, *, call: str) -> PointCloud | View:
    """The cloud or view that `given` stands for; `call` begins the sentence of the error where it stands for none."""
    if isinstance(given, View):
        return given
    return load_input(given) if isinstance(given, str | os.PathLike) else cloud_of(given, call=call)


def cloud_of(given: CloudLike, *, call: str) -> PointCloud:
    """The cloud that `given` stands for; `call` begins the sentence of the error where it stands for none."""
    if isinstance(given, PointCloud):
        return given
    if isinstance(given, str | os.PathLike):
        return load_cloud(given)
    array = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{call}: a cloud, a path or an array (n, 3) or (n, 6) is wanted, got {_kind(given)}")
    if array.ndim != 2 or array.shape[1] not in (3, 6) or array.dtype.kind not in "iuf":
        turn = "; transpose it" if array.ndim == 2 and array.shape[0] in (3, 6) else ""
        raise ValueError(
            f"{call}: an array of points must be (n, 3) or (n, 6) numbers, got {array.shape} {array.dtype}{turn}"
        )
    if array.shape[1] == 3:
        return PointCloud.from_arrays(array)
    return PointCloud.from_arrays(array[:, :3], array[:, 3:])


def instances_and_input(
    instances: Instances, given: InputLike, *, call: str
) -> tuple[Instances, PointCloud | View]:
    """Both, of the same points or pixels; one sentence where they are something else or stand in the other order."""
    if not isinstance(instances, Instances):
        remedy = (
            "swap it with the instances" if isinstance(given, Instances) else "pass what segment returned"
        )
        raise TypeError(f"{call}: got {_kind(instances)} in place of the instances; {remedy}")
    given = input_of(given, call=call)
    if instances.masks.size != len(given):
        what, whole = ("pixels", "view") if isinstance(given, View) else ("points", "cloud")
        raise ValueError(
            f"{call}: the instances are of {instances.masks.size:,} {what}, the {whole} has {len(given):,}; pass its own"
        )
    return instances, given


def expect_path(path: Any, *, call: str) -> None:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{call}: a path is wanted first, got {_kind(path)}")


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray | Tensor):
        return f"an array {tuple(value.shape)}"
    return f"{'an' if type(value).__name__[0] in 'AEIOUaeiou' else 'a'} {type(value).__name__}"
