"""Flat-kernel mean shift on the CPU: kd leaves prune the points, a table of visited means lets seeds share
their paths.

Both are exact. The next mean depends on the current mean alone, so seeds that reach the same mean, bit for
bit, continue alike. A mean is summed leaf by leaf in a fixed order and a leaf without members adds nothing,
so equal sets have equal means.
"""

import numpy as np

from gestalt3d.ops._numba import kernel

WIDTH = 64
"""Points per leaf; a constant, so that the loops over a leaf become vector instructions."""
FAR = 1e150  # pads leaves: no ball reaches it, and its square is finite


@kernel
def _select(x, order, first, last, axis, middle):
    """Quickselect: `order[first:middle]` gets the smaller coordinates along `axis`."""
    while last - first > 1:
        a, b, c = x[order[first], axis], x[order[(first + last) // 2], axis], x[order[last - 1], axis]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = first, last - 1
        while i <= j:
            while x[order[i], axis] < pivot:
                i += 1
            while x[order[j], axis] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            last = j + 1
        elif middle >= i:
            first = i
        else:
            return


@kernel
def build_tree(x, width):
    """Pre-order kd tree over the rows of `x`: (order, start, stop, skip, low, high).

    Node `k` owns `order[start[k]:stop[k]]` inside the box `low[k]`, `high[k]`; `skip[k]` is the next node
    outside its subtree, so a leaf has `skip[k] == k + 1`. Leaves own at most `width` rows.
    """
    n, d = x.shape
    order = np.arange(n)
    most = 4 * (n // width + 1)
    start, stop, skip = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    low, high = np.empty((most, d)), np.empty((most, d))
    pending = np.empty((64, 3), np.int64)
    pending[0] = (0, n, -1)
    depth, count = 1, 0
    while depth > 0:
        depth -= 1
        first, last, parent = pending[depth]
        start[count], stop[count], skip[count] = first, last, parent
        for j in range(d):
            a = b = x[order[first], j]
            for i in range(first + 1, last):
                v = x[order[i], j]
                a, b = min(a, v), max(b, v)
            low[count, j], high[count, j] = a, b
        if last - first > width:
            axis = int(np.argmax(high[count] - low[count]))
            middle = (first + last) // 2
            _select(x, order, first, last, axis, middle)
            pending[depth] = (middle, last, count)
            pending[depth + 1] = (first, middle, count)
            depth += 2
        count += 1
    # Until here skip holds the parent; a subtree ends where the next node starts at or after its stop.
    for k in range(count):
        skip[k] = count
    open_nodes = np.empty(64, np.int64)
    depth = 0
    for k in range(count):
        while depth > 0 and stop[open_nodes[depth - 1]] <= start[k]:
            depth -= 1
            skip[open_nodes[depth]] = k
        open_nodes[depth] = k
        depth += 1
    return order, start[:count], stop[:count], skip[:count], low[:count], high[:count]


@kernel
def pack_leaves(x, order, start, stop, skip):
    """Points of each leaf as (leaves, d, WIDTH), padded with FAR, and the first leaf from each node on."""
    count, d = len(start), x.shape[1]
    leaf_of = np.empty(count + 1, np.int64)
    leaves = 0
    for k in range(count):
        leaf_of[k] = leaves
        leaves += skip[k] == k + 1
    leaf_of[count] = leaves
    packed = np.full((leaves, d, WIDTH), FAR)
    for k in range(count):
        if skip[k] == k + 1:
            for i in range(start[k], stop[k]):
                for j in range(d):
                    packed[leaf_of[k], j, i - start[k]] = x[order[i], j]
    return packed, leaf_of


@kernel(fastmath={"contract", "reassoc", "nsz"})
def _leaf_sum(points, mean, limit2, inside, total):
    """Add the points within reach of `mean` to `total`, return how many."""
    d = len(mean)
    for i in range(WIDTH):
        inside[i] = 0.0
    for j in range(d):
        m = mean[j]
        for i in range(WIDTH):
            e = points[j, i] - m
            inside[i] += e * e
    count = 0.0
    for i in range(WIDTH):
        inside[i] = 1.0 if inside[i] <= limit2 else 0.0
        count += inside[i]
    if count > 0.0:
        for j in range(d):
            s = 0.0
            for i in range(WIDTH):
                s += inside[i] * points[j, i]
            total[j] += s
    return count


@kernel
def leaf_totals(packed):
    """Sum of each leaf, rounded as `_leaf_sum` rounds it, and its number of points."""
    leaves, d = packed.shape[:2]
    totals, sizes = np.zeros((leaves, d)), np.empty(leaves)
    inside, mean = np.empty(WIDTH), np.empty(d)
    for k in range(leaves):
        mean[:] = packed[k, :, 0]
        sizes[k] = _leaf_sum(packed[k], mean, 0.5 * FAR * FAR, inside, totals[k])
    return totals, sizes


@kernel
def _next_mean(mean, skip, low, high, packed, leaf_of, totals, sizes, limit2, inside, out):
    """Mean of the points within reach, into `out`; returns their number."""
    d = len(mean)
    out[:] = 0.0
    count = 0.0
    # Boxes that the rounding of these bounds could misjudge are looked at point by point.
    surely_out, surely_in = limit2 * (1 + 1e-12), limit2 * (1 - 1e-12)
    node = 0
    while node < len(skip):
        near = far = 0.0
        for j in range(d):
            a, b = low[node, j] - mean[j], mean[j] - high[node, j]
            gap, reach = max(a, b, 0.0), max(-a, -b)
            near += gap * gap
            far += reach * reach
        if near > surely_out:
            node = skip[node]
        elif far <= surely_in:
            for k in range(leaf_of[node], leaf_of[skip[node]]):
                for j in range(d):
                    out[j] += totals[k, j]
                count += sizes[k]
            node = skip[node]
        else:
            if skip[node] == node + 1:
                count += _leaf_sum(packed[leaf_of[node]], mean, limit2, inside, out)
            node += 1
    if count > 0.0:
        for j in range(d):
            out[j] /= count
    return count


@kernel
def _slot(mean, means, slots):
    """Where the state with this mean is, or would be, in the hash table `slots`."""
    h = np.uint64(len(mean))
    for bits in mean.view(np.uint64):
        h = (h ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(29)
    mask = len(slots) - 1
    at = np.int64(h & np.uint64(mask))
    while slots[at] >= 0:
        same = True
        for j in range(len(mean)):
            if means[slots[at], j] != mean[j]:
                same = False
                break
        if same:
            break
        at = (at + 1) & mask
    return at


@kernel
def climb(
    seeds, first, last, limit, iterations, skip, low, high, packed, leaf_of, totals, sizes, modes, counts
):
    """Follow seeds `first` to `last` to their modes; `counts` is how many points the last step averaged."""
    d = seeds.shape[1]
    size = 1024
    means, steps, members = np.empty((size, d)), np.empty(size), np.empty(size)
    after = np.empty(size, np.int64)
    slots = np.full(4 * size, -1)
    inside, mean = np.empty(WIDTH), np.empty(d)
    used = 0
    for s in range(first, last):
        mean[:] = seeds[s] + 0.0  # -0.0 and 0.0 hash alike
        current = -1
        iteration = 0
        while True:
            if used + 2 > size:
                size *= 2
                means, steps, members = _longer(means), _longer1(steps), _longer1(members)
                after = _longer1(after)
                slots = np.full(4 * size, -1)
                for k in range(used):
                    slots[_slot(means[k], means, slots)] = k
            if current < 0:
                at = _slot(mean, means, slots)
                if slots[at] < 0:
                    slots[at] = used
                    means[used] = mean
                    after[used] = -1
                    used += 1
                current = slots[at]
            if after[current] < 0:
                members[current] = _next_mean(
                    means[current],
                    skip,
                    low,
                    high,
                    packed,
                    leaf_of,
                    totals,
                    sizes,
                    limit * limit,
                    inside,
                    mean,
                )
                if members[current] > 0:
                    step2 = 0.0
                    for j in range(d):
                        mean[j] += 0.0
                        step2 += (mean[j] - means[current, j]) ** 2
                    steps[current] = np.sqrt(step2)
                    at = _slot(mean, means, slots)
                    if slots[at] < 0:
                        slots[at] = used
                        means[used] = mean
                        after[used] = -1
                        used += 1
                    after[current] = slots[at]
                else:
                    after[current] = current
            if members[current] == 0:
                counts[s] = 0
                break
            if steps[current] <= 1e-3 * limit or iteration == iterations:
                counts[s] = int(members[current])
                modes[s] = means[after[current]]
                break
            current = after[current]
            iteration += 1


@kernel
def _longer(a):
    out = np.empty((2 * len(a), a.shape[1]), a.dtype)
    out[: len(a)] = a
    return out


@kernel
def _longer1(a):
    out = np.empty(2 * len(a), a.dtype)
    out[: len(a)] = a
    return out


@kernel
def suppress(modes, limit2, keep):
    """Keep a mode unless an earlier kept one is within the bandwidth."""
    n, d = modes.shape
    kept = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        keep[i] = True
        for k in range(count):
            d2 = 0.0
            for j in range(d):
                e = modes[i, j] - modes[kept[k], j]
                d2 += e * e
                if d2 > limit2:
                    break
            if d2 <= limit2:
                keep[i] = False
                break
        if keep[i]:
            kept[count] = i
            count += 1


@kernel
def nearest_center(x, centers, order, start, stop, skip, low, high, labels):
    """Nearest centre of every point, the lowest index on ties; the tree is over the centres."""
    for p in range(len(x)):
        # The leaf on the point's way down gives a bound; the second look at it changes nothing.
        node = 0
        while skip[node] != node + 1:
            left, right = node + 1, skip[node + 1]
            node = (
                left if _gap2(x[p], low[left], high[left]) <= _gap2(x[p], low[right], high[right]) else right
            )
        best, label = _best_of(x[p], centers, order[start[node] : stop[node]], np.inf, -1)
        node = 0
        while node < len(skip):
            if _gap2(x[p], low[node], high[node]) > best:
                node = skip[node]
                continue
            if skip[node] == node + 1:
                best, label = _best_of(x[p], centers, order[start[node] : stop[node]], best, label)
            node += 1
        labels[p] = label


@kernel
def _gap2(point, low, high):
    """Squared distance to a box, rounded like distances to points, so it never exceeds that of a point
    inside.
    """
    d2 = 0.0
    for j in range(len(point)):
        gap = max(low[j] - point[j], point[j] - high[j], 0.0)
        d2 += gap * gap
    return d2


@kernel
def _best_of(point, centers, rows, best, label):
    for c in rows:
        d2 = 0.0
        for j in range(len(point)):
            e = centers[c, j] - point[j]
            d2 += e * e
        if d2 < best or (d2 == best and c < label):
            best, label = d2, c
    return best, label
