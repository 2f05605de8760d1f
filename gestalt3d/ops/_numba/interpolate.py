"""Weighted sums of rows and their adjoint; both add in a fixed order, whatever the number of threads."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_channels, parallel_rows
from gestalt3d.ops._numba.gather import checked


@kernel
def _mix(features, index, weights, out, first, last):
    for i in range(first, last):
        empty = True
        for q in range(index.shape[1]):
            row = index[i, q]
            if row < 0:
                continue
            w = weights[i, q]
            if empty:
                empty = False
                for j in range(features.shape[1]):
                    out[i, j] = w * features[row, j]
            else:
                for j in range(features.shape[1]):
                    out[i, j] += w * features[row, j]
        if empty:
            out[i, :] = 0


@kernel
def _spread(grad, index, weights, out, first, last):
    for i in range(len(index)):
        for q in range(index.shape[1]):
            row = index[i, q]
            if row >= 0:
                w = weights[i, q]
                for j in range(first, last):
                    out[row, j] += w * grad[i, j]


def interpolate(features: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    b, n, c = features.shape
    m = index.shape[1]
    indices = checked(index, n)
    out = torch.empty((b, m, c), dtype=torch.promote_types(features.dtype, torch.float32))
    source, target = features.to(out.dtype).contiguous().numpy(), out.numpy()
    w = np.ascontiguousarray(weights.to(out.dtype).numpy())
    if out.numel():
        work = lambda s, first, last: _mix(source[s], indices[s], w[s], target[s], first, last)  # noqa: E731
        parallel_rows(work, b, m, grain=max(1, 2**14 // c))
    return out.to(features.dtype)


def interpolate_backward(grad: Tensor, index: Tensor, weights: Tensor, n: int) -> Tensor:
    b, _, c = grad.shape
    indices = checked(index, n)
    out = torch.zeros((b, n, c), dtype=torch.promote_types(grad.dtype, torch.float32))
    if grad.numel() == 0 or n == 0:
        return out.to(grad.dtype)
    source, total = grad.to(out.dtype).contiguous().numpy(), out.numpy()
    w = np.ascontiguousarray(weights.to(out.dtype).numpy())
    parallel_channels(
        lambda s, first, last: _spread(source[s], indices[s], w[s], total[s], first, last), b, c
    )
    return out.to(grad.dtype)
