"""Class ids that a file holds for its points, read only where they are asked for."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.structures.pointcloud import PointCloud


def given_semantic(cloud: PointCloud, name: str) -> Int[Tensor, "n"]:
    """The whole numbers under `name` in the cloud's file, upper or lower case; -1 where negative or not a number."""
    assert cloud.source is not None
    path = cloud.source.path
    values = _column(cloud, name)
    if values.shape != (len(cloud),) or values.dtype.kind not in "iufb":
        raise UserError(
            f"{path}: its {name!r} is {values.shape} {values.dtype}, but there are {len(cloud)} points; "
            "give one class id per point"
        )
    if values.dtype.kind == "f":
        broken = np.isfinite(values) & (values != np.rint(values))
        if broken.any():
            raise UserError(
                f"{path}: its {name!r} holds {values[broken][0]}, which is no class id; name another property"
            )
        values = np.where(np.isfinite(values), values, -1)
    return torch.from_numpy(np.maximum(values.astype(np.int64), -1))


def _column(cloud: PointCloud, name: str) -> np.ndarray:
    assert cloud.source is not None
    path, table = cloud.source.path, cloud.source.table
    if table is not None:
        known = {field.lower(): field for field in reversed(table.dtype.names or ())}
        if name.lower() not in known:
            raise UserError(
                f"{path}: has no property {name!r}; it has {', '.join(table.dtype.names or ())[:200]}"
            )
        return table[known[name.lower()]]
    if cloud.source.kind == "npz":
        return _member(path, name).reshape(-1)
    raise UserError(f"{path}: its properties have no names; save it as .ply or .npz with one called {name!r}")


def _member(path: Path, name: str) -> np.ndarray:
    from gestalt3d.io.numpy_files import read_members

    members = read_members(path, (name,))
    if name not in members:
        raise UserError(f"{path}: has no array {name!r}; add it to the file or name another")
    return members[name]
