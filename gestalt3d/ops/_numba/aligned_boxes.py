"""Non-maximum suppression of boxes in the order of their scores, rounded as the definition rounds."""

from gestalt3d.ops._numba import kernel


@kernel
def suppressed(low, high, volume, max_iou, gone):
    """Sets `gone` for boxes that overlap an earlier one that stays."""
    n = len(volume)
    for i in range(n):
        if gone[i]:
            continue
        for j in range(i + 1, n):
            if gone[j]:
                continue
            dx = min(high[i, 0], high[j, 0]) - max(low[i, 0], low[j, 0])
            dy = min(high[i, 1], high[j, 1]) - max(low[i, 1], low[j, 1])
            dz = min(high[i, 2], high[j, 2]) - max(low[i, 2], low[j, 2])
            if dx > 0 and dy > 0 and dz > 0:
                shared = dx * dy * dz
                gone[j] = shared > max_iou * (volume[i] + volume[j] - shared)
