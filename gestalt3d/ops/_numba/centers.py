"""Agreement of unit vectors with the direction to a centre, a union of two sets at a time, summed in float64."""

import math

from gestalt3d.ops._numba import kernel


@kernel
def center_coherency(unit, positions, offsets, indices, pairs, rounding, found, first, last):
    for e in range(first, last):
        x = y = z = 0.0
        count = 0
        for s in pairs[:, e]:
            if s >= 0:
                for m in range(offsets[s], offsets[s + 1]):
                    i = indices[m]
                    x, y, z = x + positions[i, 0], y + positions[i, 1], z + positions[i, 2]
                count += offsets[s + 1] - offsets[s]
        if count:
            x, y, z = x / count, y / count, z / count
        total, known = 0.0, 0
        for s in pairs[:, e]:
            if s >= 0:
                for m in range(offsets[s], offsets[s + 1]):
                    i = indices[m]
                    dx, dy, dz = x - positions[i, 0], y - positions[i, 1], z - positions[i, 2]
                    length = math.sqrt(dx * dx + dy * dy + dz * dz)
                    if length > rounding:
                        known += 1
                        total += (dx * unit[i, 0] + dy * unit[i, 1] + dz * unit[i, 2]) / length
        found[e] = total / known if known else 0.0
