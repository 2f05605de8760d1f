"""Boxes along the axes: overlap and non-maximum suppression."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator


def aligned_iou(a: Float[Tensor, "n 6"], b: Float[Tensor, "m 6"]) -> Float[Tensor, "n m"]:
    """Volume that two boxes share, as a share of what they fill together; each is centre x y z and size along x, y and z.

    0 where both boxes are flat. Differentiable; `ValueError` for negative sizes.
    """
    check_boxes(a=a, b=b)
    shared, union = _volumes(a[:, None], b[None])
    return shared / torch.where(union > 0, union, 1)


def paired_iou(a: Float[Tensor, "n 6"], b: Float[Tensor, "n 6"]) -> Float[Tensor, "n"]:
    """`aligned_iou` of each box with the one of the same row."""
    check_boxes(a=a, b=b)
    shared, union = _volumes(a, b)
    return shared / torch.where(union > 0, union, 1)


def suppressed(
    boxes: Float[Tensor, "n 6"], scores: Float[Tensor, "n"], *, max_iou: float
) -> Int[Tensor, "k"]:
    """Non-maximum suppression: rows of the boxes that overlap no kept box of a higher score by an IoU above `max_iou`.

    In the order of their scores; equal scores: lowest row first. `ValueError` for sizes that are negative and values that are not
    finite.
    """
    check_boxes(boxes=boxes)
    if len(scores) != len(boxes):
        raise ValueError(f"{len(boxes)} boxes need as many scores, got {len(scores)}")
    if not bool(torch.isfinite(boxes).all() and torch.isfinite(scores).all()):
        raise ValueError("boxes and scores must be finite, got NaN or infinity")
    order = torch.argsort(scores.detach(), descending=True, stable=True)
    return order[_op(boxes.detach()[order], float(max_iou))]


def check_boxes(**boxes: Tensor) -> None:
    """`ValueError` unless all are (n, 6) in 32 or 64 bits, sizes not below 0."""
    for name, values in boxes.items():
        if values.ndim != 2 or values.shape[1] != 6:
            raise ValueError(
                f"{name} must be (n, 6), centre and size, got {tuple(values.shape)}; leave the yaw away"
            )
        if values.dtype not in (torch.float32, torch.float64):
            kind = str(values.dtype).removeprefix("torch.")
            raise ValueError(f"{name} must be float32 or float64, got {kind}; call .float() on them first")
        if bool((values[:, 3:] < 0).any()):
            raise ValueError(f"{name} have negative sizes")


def _volumes(a: Float[Tensor, "*#n 6"], b: Float[Tensor, "*#n 6"]) -> tuple[Tensor, Tensor]:
    """What each two boxes share, and what they fill together."""
    half_a, half_b = a[..., 3:] / 2, b[..., 3:] / 2
    high = torch.minimum(a[..., :3] + half_a, b[..., :3] + half_b)
    low = torch.maximum(a[..., :3] - half_a, b[..., :3] - half_b)
    dx, dy, dz = (high - low).clamp(min=0).unbind(-1)
    shared = dx * dy * dz
    return shared, _volume(a) + _volume(b) - shared


def _volume(boxes: Float[Tensor, "*#n 6"]) -> Tensor:
    return boxes[..., 3] * boxes[..., 4] * boxes[..., 5]


def suppressed_reference(boxes: Tensor, max_iou: float) -> Tensor:
    """The definition, in plain PyTorch, for boxes in the order of their scores."""
    left, kept = torch.arange(len(boxes), device=boxes.device), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        shared, union = _volumes(boxes[best], boxes[left])
        left = left[~(shared > max_iou * union)]
    return torch.stack(kept) if kept else left


_op = Operator(
    "gestalt3d::suppressed", suppressed_reference, schema="(Tensor boxes, float max_iou) -> Tensor"
)


@_op.register_kernel("cpu")
def _cpu(boxes: Tensor, max_iou: float) -> Tensor:
    from gestalt3d.ops._numba.aligned_boxes import suppressed as kernel

    gone = torch.zeros(len(boxes), dtype=torch.bool)
    half = boxes[:, 3:] / 2
    corners = [(boxes[:, :3] - half).numpy(), (boxes[:, :3] + half).numpy()]
    kernel(*corners, _volume(boxes).numpy(), boxes.new_tensor(max_iou).numpy()[()], gone.numpy())
    return (~gone).nonzero()[:, 0]


@_op.register_fake
def _fake(boxes: Tensor, max_iou: float) -> Tensor:
    count = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(count, dtype=torch.int64)
