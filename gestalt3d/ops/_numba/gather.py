"""Row copies and their adjoint, whose sums run in the order of the values whatever the number of threads."""

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel_channels, parallel_rows

_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@kernel
def is_index(index, n):
    largest = np.int64(-1)
    for i in range(len(index)):
        largest = max(largest, index[i])
    return largest < n


@kernel
def _copy(features, index, out, first, last):
    c = features.shape[1]
    for i in range(first, last):
        row = index[i]
        if row < 0:
            for j in range(c):
                out[i, j] = 0
        else:
            for j in range(c):
                out[i, j] = features[row, j]


@kernel
def _add(values, index, out, first, last):
    for i in range(len(index)):
        row = index[i]
        if row >= 0:
            for j in range(first, last):
                out[row, j] += values[i, j]


@kernel
def _add_bfloat16(values, index, out, first, last):
    """`values` are the bits of bfloat16: the upper halves of float32."""
    bits = np.empty(last - first, np.uint32)
    row_values = bits.view(np.float32)
    for i in range(len(index)):
        row = index[i]
        if row >= 0:
            for j in range(last - first):
                bits[j] = np.uint32(values[i, first + j]) << np.uint32(16)
            for j in range(last - first):
                out[row, first + j] += row_values[j]


def checked(index: Tensor, n: int) -> np.ndarray:
    """The index as an array, all below `n`: a kernel does not look where it writes."""
    indices = np.ascontiguousarray(index.numpy())
    if not is_index(indices.reshape(-1), n):
        raise IndexError(f"index must be below the {n} rows of features, got {int(index.max())}")
    return indices


def gather(features: Tensor, index: Tensor) -> Tensor:
    b, n, c = features.shape
    m = index.shape[1]
    indices = checked(index, n)
    out = torch.empty((b, m, c), dtype=features.dtype)
    # Copied as integers: NumPy has no bfloat16.
    bits = _INTEGERS[features.element_size()]
    source, target = features.contiguous().view(bits).numpy(), out.view(bits).numpy()
    if out.numel():
        work = lambda s, first, last: _copy(source[s], indices[s], target[s], first, last)  # noqa: E731
        parallel_rows(work, b, m, grain=max(1, 2**15 // c))
    return out


def scatter_add(values: Tensor, index: Tensor, n: int) -> Tensor:
    b, _, c = values.shape
    indices = checked(index, n)
    out = torch.zeros((b, n, c), dtype=torch.promote_types(values.dtype, torch.float32))
    if values.numel() == 0 or n == 0:
        return out.to(values.dtype)
    if values.dtype == torch.bfloat16:
        add, source = _add_bfloat16, values.contiguous().view(torch.uint16).numpy()
    else:
        add, source = _add, values.contiguous().to(out.dtype).numpy()
    total = out.numpy()
    parallel_channels(lambda s, first, last: add(source[s], indices[s], total[s], first, last), b, c)
    return out.to(values.dtype)
