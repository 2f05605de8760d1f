"""LZF decompression, as PCD's `binary_compressed` uses it."""

import numpy as np

from gestalt3d.ops._numba import kernel

MAX_RATIO = 88
"""Three bytes give at most 264."""


@kernel
def lzf_decode(data, out):
    """Fill `out` (uint8) from `data` (uint8): number of bytes written, -1 when corrupt or too long.

    A control byte below 32 announces that many literal bytes and one more; else its upper three bits (7: and
    the next byte) are a length less 2, and its lower five and one more byte how far back to copy from, less
    1.
    """
    at, to = 0, 0
    while at < len(data):
        control = np.int64(data[at])
        at += 1
        if control < 32:
            length = control + 1
            if at + length > len(data) or to + length > len(out):
                return -1
            for k in range(length):
                out[to + k] = data[at + k]
            at += length
        else:
            length = control >> 5
            if length == 7:
                if at >= len(data):
                    return -1
                length += np.int64(data[at])
                at += 1
            length += 2
            if at >= len(data):
                return -1
            back = ((control & 31) << 8) + np.int64(data[at]) + 1
            at += 1
            if back > to or to + length > len(out):
                return -1
            # One byte at a time: the copy may read what it has just written.
            for k in range(length):
                out[to + k] = out[to + k - back]
        to += length
    return to
