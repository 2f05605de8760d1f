"""Upright boxes at any yaw: overlap and non-maximum suppression."""

import math
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.operator import Operator


def oriented_iou(a: Float[Tensor, "n 7"], b: Float[Tensor, "m 7"]) -> Float[Tensor, "n m"]:
    """Volume that two boxes share, as a share of what they fill together.

    Each box is centre x y z, size along its own axes and yaw about z. The share lies in [0, 1]; it is exactly 1 for a box and
    itself, wherever it is, and 0 where both are flat. Computed in float64 in the frame of the first box of each pair, on the CPU;
    not differentiable. `ValueError` for sizes that are negative and values that are not finite.
    """
    _check(a=a, b=b)
    return _iou(a.detach().double(), b.detach().to(a.device).double()).to(
        torch.promote_types(a.dtype, b.dtype)
    )


def oriented_nms(
    boxes: Float[Tensor, "n 7"], scores: Float[Tensor, "n"], *, max_iou: float
) -> Int[Tensor, "k"]:
    """Non-maximum suppression: rows of the boxes that overlap no kept box of a higher score by an `oriented_iou` above `max_iou`.

    In the order of their scores; equal scores: lowest row first. `ValueError` for sizes that are negative and values that are not
    finite.
    """
    _check(boxes=boxes)
    if len(scores) != len(boxes):
        raise ValueError(f"{len(boxes)} boxes need as many scores, got {len(scores)}")
    if not bool(torch.isfinite(scores).all()):
        raise ValueError("scores must be finite, got NaN or infinity")
    order = torch.argsort(scores.detach(), descending=True, stable=True).to(boxes.device)
    return order[_nms(boxes.detach()[order].double(), float(max_iou))]


def _check(**boxes: Tensor) -> None:
    for name, values in boxes.items():
        if values.ndim != 2 or values.shape[1] != 7:
            raise ValueError(f"{name} must be (n, 7), centre, size and yaw, got {tuple(values.shape)}")
        if values.dtype not in (torch.float32, torch.float64):
            kind = str(values.dtype).removeprefix("torch.")
            raise ValueError(f"{name} must be float32 or float64, got {kind}; call .float() on them first")
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name} must be finite, got NaN or infinity")
        if bool((values[:, 3:6] < 0).any()):
            raise ValueError(f"{name} have negative sizes")


def _volumes(a: list[float], b: list[float]) -> tuple[float, float]:
    """What two boxes share and what they fill together: heights, and the second's corners clipped by the first's four sides."""
    ax, ay, az, aw, ad, ah, a_yaw = a
    bx, by, bz, bw, bd, bh, b_yaw = b
    filled_a, filled_b = aw * ad * ah, bw * bd * bh
    height = min(ah / 2, (bz - az) + bh / 2) - max(-ah / 2, (bz - az) - bh / 2)
    x, y = _turn(bx - ax, by - ay, -a_yaw)
    corners = []
    for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        u, v = _turn(i * bw / 2, j * bd / 2, b_yaw - a_yaw)
        corners.append((x + u, y + v))
    for axis, sign, most in ((0, 1, aw / 2), (0, -1, aw / 2), (1, 1, ad / 2), (1, -1, ad / 2)):
        corners = _clipped(corners, axis, sign, most)
    shared = max(min(_area(corners) * max(height, 0.0), filled_a, filled_b), 0.0)
    return shared, filled_a + filled_b - shared


def _turn(x: float, y: float, angle: float) -> tuple[float, float]:
    c, s = math.cos(angle), math.sin(angle)
    return c * x - s * y, s * x + c * y


def _clipped(
    corners: list[tuple[float, float]], axis: int, sign: int, most: float
) -> list[tuple[float, float]]:
    """The part of a polygon in which `sign` times a coordinate is `most` at most (Sutherland & Hodgman 1974)."""
    kept = []
    for p, q in zip(corners, corners[1:] + corners[:1], strict=True):
        over_p, over_q = sign * p[axis] - most, sign * q[axis] - most
        if over_p <= 0:
            kept.append(p)
        if (over_p <= 0) != (over_q <= 0):
            t = over_p / (over_p - over_q)
            other = p[1 - axis] + t * (q[1 - axis] - p[1 - axis])
            kept.append((sign * most, other) if axis == 0 else (other, sign * most))
    return kept


def _area(corners: list[tuple[float, float]]) -> float:
    """From the first corner, so that far ones lose nothing."""
    from_first = [(x - corners[0][0], y - corners[0][1]) for x, y in corners[1:]]
    return sum(px * qy - qx * py for (px, py), (qx, qy) in pairwise(from_first)) / 2


def iou_reference(a: Tensor, b: Tensor) -> Tensor:
    """The definition, a pair at a time."""
    pairs = [[_volumes(p, q) for q in b.tolist()] for p in a.tolist()]
    shares = [[min(shared / union, 1.0) if shared > 0 else 0.0 for shared, union in row] for row in pairs]
    return a.new_tensor(shares).reshape(len(a), len(b))


def nms_reference(boxes: Tensor, max_iou: float) -> Tensor:
    """The definition for boxes in the order of their scores."""
    kept: list[int] = []
    rows = boxes.tolist()
    for i, row in enumerate(rows):
        pairs = [_volumes(rows[k], row) for k in kept]
        if not any(shared > max_iou * union for shared, union in pairs):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


_iou = Operator(
    "gestalt3d::oriented_iou",
    lambda a, b: _iou(a.cpu(), b.cpu()).to(a.device),
    schema="(Tensor a, Tensor b) -> Tensor",
)
_nms = Operator(
    "gestalt3d::oriented_nms",
    lambda boxes, max_iou: _nms(boxes.cpu(), max_iou).to(boxes.device),
    schema="(Tensor boxes, float max_iou) -> Tensor",
)


@_iou.register_kernel("cpu")
def _iou_cpu(a: Tensor, b: Tensor) -> Tensor:
    from gestalt3d.ops._numba import parallel
    from gestalt3d.ops._numba.oriented_boxes_overlap import iou as kernel

    out = a.new_empty(len(a), len(b))
    rows = a.contiguous().numpy(), b.contiguous().numpy(), out.numpy()
    parallel(lambda first, last: kernel(*rows, first, last), len(a), grain=max(1, 2**12 // max(len(b), 1)))
    return out


@_nms.register_kernel("cpu")
def _nms_cpu(boxes: Tensor, max_iou: float) -> Tensor:
    from gestalt3d.ops._numba.oriented_boxes_overlap import suppress as kernel

    gone = torch.zeros(len(boxes), dtype=torch.bool)
    kernel(boxes.contiguous().numpy(), max_iou, gone.numpy())
    return (~gone).nonzero()[:, 0]


@_iou.register_fake
def _iou_fake(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[0])


@_nms.register_fake
def _nms_fake(boxes: Tensor, max_iou: float) -> Tensor:
    count = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty(count, dtype=torch.int64)
