"""Shapes and types, seen to once at the public edge: kernels read unchecked, and annotations bind in tests only."""

import torch
from torch import Tensor


def check_clouds(**clouds: Tensor) -> None:
    """Every named tensor is (b, n, 3), with one b for all."""
    for name, points in clouds.items():
        if points.ndim != 3 or points.shape[2] != 3:
            shape = tuple(points.shape)
            raise ValueError(
                f"{name} must be (b, n, 3), got {shape}; a single cloud needs points[None, :, :3]"
            )
    check_batch(**clouds)


def check_batch(**tensors: Tensor) -> None:
    """Every named tensor has two dimensions at least and the same first one."""
    if min(t.ndim for t in tensors.values()) < 2 or len({t.shape[0] for t in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
        raise ValueError(f"the first dimension must be the same batch, got {shapes}; add it with x[None]")


def wide(values: Tensor) -> Tensor:
    """In 32 bits at least, so that positions and sums are not rounded to 16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def widened(values: Tensor) -> Tensor:
    """Without gradient, as NumPy and Numba know it: 16-bit floats, exactly, in 32 bits."""
    return wide(values.detach())
