"""Bins of boxes in a volume whose channels lie beside each other: a place is a sum of eight rows.

Forward, threads share the boxes; backward, the channels, because boxes overlap: every sum is in the order of the boxes.
"""

from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from gestalt3d.ops._numba import kernel, parallel

_WIDTH = 16
"""Channels that stay together."""
Faces: TypeAlias = tuple[Tensor, Tensor] | None
"""Of boxes of whole cells; None where places are interpolated."""


@kernel
def _between(at, n):
    """The cells on both sides of a place, and how far it is from the first centre to the second."""
    at = min(max(at - 0.5, 0.0), n - 1.0)
    low = int(at)
    return low, min(low + 1, n - 1), at - low


@kernel
def _corners(px, py, pz, shape, first, rows, weights):
    """Rows and weights of the eight cells around a place."""
    i0, i1, fx = _between(px, shape[0])
    j0, j1, fy = _between(py, shape[1])
    k0, k1, fz = _between(pz, shape[2])
    a, b = (first + i0) * shape[1], (first + i1) * shape[1]
    rows[0], rows[1] = (a + j0) * shape[2] + k0, (a + j0) * shape[2] + k1
    rows[2], rows[3] = (a + j1) * shape[2] + k0, (a + j1) * shape[2] + k1
    rows[4], rows[5] = (b + j0) * shape[2] + k0, (b + j0) * shape[2] + k1
    rows[6], rows[7] = (b + j1) * shape[2] + k0, (b + j1) * shape[2] + k1
    w, v = (1 - fx) * (1 - fy), (1 - fx) * fy
    weights[0], weights[1], weights[2], weights[3] = w * (1 - fz), w * fz, v * (1 - fz), v * fz
    w, v = fx * (1 - fy), fx * fy
    weights[4], weights[5], weights[6], weights[7] = w * (1 - fz), w * fz, v * (1 - fz), v * fz


@kernel
def _places(roi, turn, i, j, k, size, samples, shape, first, rows, weights):
    """Rows and weights of all samples of a bin."""
    parts, s = size * samples, 0
    for a in range(samples):
        u = ((i * samples + a + 0.5) / parts - 0.5) * roi[3]
        for b in range(samples):
            v = ((j * samples + b + 0.5) / parts - 0.5) * roi[4]
            px = roi[0] + (turn[0] * u - turn[1] * v)
            py = roi[1] + (turn[1] * u + turn[0] * v)
            for c in range(samples):
                w = ((k * samples + c + 0.5) / parts - 0.5) * roi[5]
                _corners(px, py, roi[2] + w, shape, first, rows[s], weights[s])
                s += 1


@kernel(fastmath={"contract"})
def _mix(volume, rows, weights, begin, end, values):
    """Channels `begin` to `end` at a place."""
    r0, r1, r2, r3, r4, r5, r6, r7 = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    w4, w5, w6, w7 = weights[4], weights[5], weights[6], weights[7]
    for c in range(end - begin):
        low = w0 * volume[r0, begin + c] + w1 * volume[r1, begin + c]
        low += w2 * volume[r2, begin + c] + w3 * volume[r3, begin + c]
        high = w4 * volume[r4, begin + c] + w5 * volume[r5, begin + c]
        high += w6 * volume[r6, begin + c] + w7 * volume[r7, begin + c]
        values[c] = low + high


@kernel
def _align(volume, rois, turns, batch, shape, size, samples, largest, out, first, last):
    """Rows `first` to `last` of bins: box by box, along the box's first axis."""
    channels, count = volume.shape[1], samples**3
    rows, weights = np.empty((count, 8), np.int64), np.empty((count, 8), volume.dtype)
    line, values = np.empty((size, channels), volume.dtype), np.empty(channels, volume.dtype)
    share = volume.dtype.type(1 / count)
    for q in range(first, last):
        r, i = q // size, q % size
        for j in range(size):
            for k in range(size):
                _places(rois[r], turns[r], i, j, k, size, samples, shape, batch[r] * shape[0], rows, weights)
                best = line[k]
                _mix(volume, rows[0], weights[0], 0, channels, best)
                for s in range(1, count):
                    _mix(volume, rows[s], weights[s], 0, channels, values)
                    if largest:
                        for c in range(channels):
                            v = values[c]
                            best[c] = v if (v > best[c]) | (v != v) else best[c]
                    else:
                        for c in range(channels):
                            best[c] += values[c]
                if not largest:
                    for c in range(channels):
                        best[c] *= share
            for c in range(channels):
                for k in range(size):
                    out[r, c, i, j, k] = line[k, c]


@kernel
def _align_backward(grad, volume, rois, turns, batch, shape, size, samples, largest, out, begin, end):
    """Channels `begin` to `end`; `grad` has its channels last."""
    channels, count = end - begin, samples**3
    rows, weights = np.empty((count, 8), np.int64), np.empty((count, 8), volume.dtype)
    best, values = np.empty(channels, volume.dtype), np.empty(channels, volume.dtype)
    which = np.empty(channels, np.int64)
    share = volume.dtype.type(1 / count)
    for r in range(len(rois)):
        for i in range(size):
            for j in range(size):
                for k in range(size):
                    _places(
                        rois[r], turns[r], i, j, k, size, samples, shape, batch[r] * shape[0], rows, weights
                    )
                    to = grad[r, i, j, k]
                    if not largest:
                        for s in range(count):
                            for q in range(8):
                                row, w = rows[s, q], weights[s, q] * share
                                for c in range(begin, end):
                                    out[row, c] += w * to[c]
                        continue
                    _mix(volume, rows[0], weights[0], begin, end, best)
                    which[:] = 0
                    for s in range(1, count):
                        _mix(volume, rows[s], weights[s], begin, end, values)
                        for c in range(channels):
                            v = values[c]
                            more = (v > best[c]) | (v != v)
                            best[c] = v if more else best[c]
                            which[c] = s if more else which[c]
                    for c in range(channels):
                        s, g = which[c], to[begin + c]
                        for q in range(8):
                            out[rows[s, q], begin + c] += weights[s, q] * g


@kernel
def _extent(turn, shape, axis):
    """The whole cells of a box's own axis between which the volume lies."""
    if axis == 2:
        return 0, shape[2]
    low, high = 0.0, 0.0
    for x in (0, shape[0]):
        for y in (0, shape[1]):
            at = turn[0] * x + turn[1] * y if axis == 0 else turn[0] * y - turn[1] * x
            low, high = min(low, at), max(high, at)
    return int(np.floor(low)), int(np.ceil(high))


@kernel
def _bin(low, high, i, size, turn, shape, axis):
    """First cell of a bin and the one after its last, without those that cannot lie in the volume."""
    begin, end = _extent(turn, shape, axis)
    n = high - low
    return max(low + i * n // size, begin), min(low - (-(i + 1) * n // size), end)


@kernel
def _cells(lows, highs, turn, i, j, k, size, shape, first, rows):
    """The rows of the cells of a bin in the front of `rows`, which grows when it must, and how many there are."""
    a, b = _bin(lows[0], highs[0], i, size, turn, shape, 0)
    c, d = _bin(lows[1], highs[1], j, size, turn, shape, 1)
    e, f = _bin(lows[2], highs[2], k, size, turn, shape, 2)
    most = max(b - a, 0) * max(d - c, 0) * max(f - e, 0)
    if most > len(rows):
        rows = np.empty(most, np.int64)
    found = 0
    for u in range(a, b):
        for v in range(c, d):
            x = int(np.floor(turn[0] * (u + 0.5) - turn[1] * (v + 0.5)))
            y = int(np.floor(turn[1] * (u + 0.5) + turn[0] * (v + 0.5)))
            if 0 <= x < shape[0] and 0 <= y < shape[1]:
                for w in range(e, f):
                    rows[found] = ((first + x) * shape[1] + y) * shape[2] + w
                    found += 1
    return rows, found


@kernel
def _pool(volume, lows, highs, turns, batch, shape, size, out, first, last):
    channels = volume.shape[1]
    rows, best = np.empty(64, np.int64), np.empty(channels, volume.dtype)
    for q in range(first, last):
        r, i = q // size, q % size
        for j in range(size):
            for k in range(size):
                rows, found = _cells(
                    lows[r], highs[r], turns[r], i, j, k, size, shape, batch[r] * shape[0], rows
                )
                best[:] = -np.inf if found else 0
                for s in range(found):
                    row = rows[s]
                    for c in range(channels):
                        v = volume[row, c]
                        best[c] = v if (v > best[c]) | (v != v) else best[c]
                out[r, :, i, j, k] = best


@kernel
def _pool_backward(grad, volume, lows, highs, turns, batch, shape, size, out, begin, end):
    rows = np.empty(64, np.int64)
    for r in range(len(lows)):
        for i in range(size):
            for j in range(size):
                for k in range(size):
                    rows, found = _cells(
                        lows[r], highs[r], turns[r], i, j, k, size, shape, batch[r] * shape[0], rows
                    )
                    for c in range(begin, end if found else begin):
                        at = rows[0]
                        for s in range(1, found):
                            v = volume[rows[s], c]
                            if v > volume[at, c] or (v != v and volume[at, c] == volume[at, c]):
                                at = rows[s]
                        out[at, c] += grad[r, i, j, k, c]


def roi_align_3d(
    volume: Tensor, rois: Tensor, batch: Tensor, size: int, samples: int, largest: bool, faces: Faces
) -> Tensor:
    channels = volume.shape[1]
    out = torch.empty((len(rois), channels, size, size, size), dtype=_wide(volume))
    if out.numel():
        boxes, where = _boxes(rois, faces), (batch.contiguous().numpy(), tuple(volume.shape[2:]), size)
        rows, to = _rows(volume), out.numpy()
        work = (
            (lambda a, b: _align(rows, *boxes, *where, samples, largest, to, a, b))
            if faces is None
            else (lambda a, b: _pool(rows, *boxes, *where, to, a, b))
        )
        parallel(work, len(rois) * size, grain=max(1, 2**14 // (size**2 * channels)))
    return out.to(volume.dtype)


def roi_align_3d_backward(
    grad: Tensor,
    volume: Tensor,
    rois: Tensor,
    batch: Tensor,
    size: int,
    samples: int,
    largest: bool,
    faces: Faces,
) -> Tensor:
    b, channels, x, y, z = volume.shape
    out = torch.zeros((b * x * y * z, channels), dtype=_wide(volume))
    boxes, where = _boxes(rois, faces), (batch.contiguous().numpy(), tuple(volume.shape[2:]), size)
    given = grad.to(out.dtype).permute(0, 2, 3, 4, 1).contiguous().numpy(), _rows(volume)

    def work(first: int, last: int) -> None:
        those = first * _WIDTH, min(last * _WIDTH, channels)
        if faces is None:
            _align_backward(*given, *boxes, *where, samples, largest, out.numpy(), *those)
        else:
            _pool_backward(*given, *boxes, *where, out.numpy(), *those)

    parallel(work, -(-channels // _WIDTH), grain=1)
    first = torch.empty((b, channels, x * y * z), dtype=volume.dtype)
    for to, of in zip(first, out.to(volume.dtype).view(b, x * y * z, channels), strict=True):
        to.copy_(of.t())  # PyTorch turns matrices faster than what has more axes
    return first.view(volume.shape)


def _wide(volume: Tensor) -> torch.dtype:
    return torch.promote_types(volume.dtype, torch.float32)


def _rows(volume: Tensor) -> np.ndarray:
    """(b x y z, c): nothing is copied where channels are last already."""
    last = volume.detach().to(_wide(volume)).permute(0, 2, 3, 4, 1).contiguous()
    return last.view(-1, last.shape[-1]).numpy()


def _boxes(rois: Tensor, faces: Faces) -> tuple[np.ndarray, ...]:
    turns = torch.stack([rois[:, 6].cos(), rois[:, 6].sin()], dim=1).numpy()
    if faces is None:
        return rois.contiguous().numpy(), turns
    low, high = faces
    return low.long().numpy(), high.long().numpy(), turns
