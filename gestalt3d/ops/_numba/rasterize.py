"""z-buffer over triangles."""

import numpy as np

from gestalt3d.ops._numba import kernel


@kernel
def _fill(ax, ay, aw, bx, by, bw, cx, cy, cw, face, inverse_depth, faces):
    """One triangle, in pixels; `w` is the inverse depth, linear in the image. Strictly nearer wins."""
    height, width = inverse_depth.shape
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    if area == 0.0:
        return
    x_first = max(0, int(np.ceil(min(ax, bx, cx))))
    x_last = min(width - 1, int(np.floor(max(ax, bx, cx))))
    y_first = max(0, int(np.ceil(min(ay, by, cy))))
    y_last = min(height - 1, int(np.floor(max(ay, by, cy))))
    if x_first > x_last or y_first > y_last:
        return
    inverse_area = 1.0 / area
    dbx = (cy - ay) * inverse_area
    dby = -(cx - ax) * inverse_area
    dcx = -(by - ay) * inverse_area
    dcy = (bx - ax) * inverse_area
    for y in range(y_first, y_last + 1):
        b0 = dbx * (x_first - ax) + dby * (y - ay)
        c0 = dcx * (x_first - ax) + dcy * (y - ay)
        # The span in which all three weights stay above zero; some slack, then tested exactly.
        low = 0.0
        high = float(x_last - x_first)
        if dbx > 0.0:
            low = max(low, -b0 / dbx)
        elif dbx < 0.0:
            high = min(high, -b0 / dbx)
        if dcx > 0.0:
            low = max(low, -c0 / dcx)
        elif dcx < 0.0:
            high = min(high, -c0 / dcx)
        dax = -(dbx + dcx)
        a0 = 1.0 - b0 - c0
        if dax > 0.0:
            low = max(low, -a0 / dax)
        elif dax < 0.0:
            high = min(high, -a0 / dax)
        if low > high + 2.0:
            continue
        first = max(0, int(low) - 1)
        last = min(x_last - x_first, int(high) + 1)
        for i in range(first, last + 1):
            b = b0 + dbx * i
            c = c0 + dcx * i
            if b >= 0.0 and c >= 0.0 and b + c <= 1.0:
                w = aw + b * (bw - aw) + c * (cw - aw)
                if w > inverse_depth[y, x_first + i]:
                    inverse_depth[y, x_first + i] = w
                    faces[y, x_first + i] = face


@kernel
def rasterize(vertices, triangles, fx, fy, cx, cy, width, height, near):
    """(h, w) float32 depth, inf where nothing is hit, and (h, w) int32 face, -1 there."""
    count = vertices.shape[0]
    inverse_depth = np.zeros((height, width), np.float64)
    faces = np.full((height, width), -1, np.int32)
    px = np.empty(count, np.float64)
    py = np.empty(count, np.float64)
    pw = np.empty(count, np.float64)
    for i in range(count):
        if vertices[i, 2] >= near:
            w = 1.0 / vertices[i, 2]
            px[i] = fx * vertices[i, 0] * w + cx
            py[i] = fy * vertices[i, 1] * w + cy
            pw[i] = w
        else:
            pw[i] = -1.0
    polygon = np.empty((4, 3), np.float64)
    for f in range(triangles.shape[0]):
        i, j, k = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        behind = (pw[i] < 0.0) + (pw[j] < 0.0) + (pw[k] < 0.0)
        if behind == 0:
            _fill(px[i], py[i], pw[i], px[j], py[j], pw[j], px[k], py[k], pw[k], f, inverse_depth, faces)
            continue
        if behind == 3:
            continue
        corners = 0
        for side in range(3):
            p = triangles[f, side]
            q = triangles[f, (side + 1) % 3]
            if pw[p] > 0.0:
                polygon[corners, 0] = px[p]
                polygon[corners, 1] = py[p]
                polygon[corners, 2] = pw[p]
                corners += 1
            if (pw[p] > 0.0) != (pw[q] > 0.0):
                t = (near - vertices[p, 2]) / (float(vertices[q, 2]) - vertices[p, 2])
                x = vertices[p, 0] + t * (vertices[q, 0] - vertices[p, 0])
                y = vertices[p, 1] + t * (vertices[q, 1] - vertices[p, 1])
                polygon[corners, 0] = fx * x / near + cx
                polygon[corners, 1] = fy * y / near + cy
                polygon[corners, 2] = 1.0 / near
                corners += 1
        for c in range(1, corners - 1):
            _fill(
                polygon[0, 0], polygon[0, 1], polygon[0, 2],
                polygon[c, 0], polygon[c, 1], polygon[c, 2],
                polygon[c + 1, 0], polygon[c + 1, 1], polygon[c + 1, 2],
                f, inverse_depth, faces,
            )  # fmt: skip
    depth = np.full((height, width), np.inf, np.float32)
    for y in range(height):
        for x in range(width):
            if faces[y, x] >= 0:
                depth[y, x] = 1.0 / inverse_depth[y, x]
    return depth, faces
