"""Average linkage with a heap of the edges that are similar enough and, for each cluster, a linked list of its edges.

Edge e has two halves, 2 e and 2 e + 1, one in the list of either end.
"""

import heapq

import numpy as np

from gestalt3d.ops._numba import kernel
from gestalt3d.ops._numba.components import number


@kernel
def parallel_edges_joined(first, second, similarities, weights, order):
    """One edge for each two nodes, which are not the same: ends, weighted sum, weight and the number of the earliest.

    `order` has edges of the same two nodes in a row, ascending.
    """
    m = len(order)
    end, earliest = np.empty(2 * m, dtype=np.int64), np.empty(m, dtype=np.int64)
    total, weight = np.zeros(m), np.zeros(m)
    count = 0
    for e in order:
        a, b = min(first[e], second[e]), max(first[e], second[e])
        if a == b:
            continue
        if count == 0 or end[2 * count - 2] != a or end[2 * count - 1] != b:
            end[2 * count], end[2 * count + 1], earliest[count] = a, b, e
            count += 1
        total[count - 1] += similarities[e] * weights[e]
        weight[count - 1] += weights[e]
    return end[: 2 * count], total[:count], weight[:count], earliest[:count]


@kernel
def average_linkage(first, second, similarities, weights, order, min_similarity, labels):
    n = len(labels)
    end, total, weight, earliest = parallel_edges_joined(first, second, similarities, weights, order)
    alive = np.ones(len(total), dtype=np.bool_)
    head, following = np.full(n, -1), np.empty(len(end), dtype=np.int64)
    for h in range(len(end)):
        following[h] = head[end[h]]
        head[end[h]] = h
    # An edge that is not similar enough comes in when what is joined to it makes it so.
    heap = [
        (-total[e] / weight[e], earliest[e], e)
        for e in range(len(total))
        if total[e] / weight[e] >= min_similarity
    ]
    heapq.heapify(heap)
    parent, edge_to = np.arange(n), np.full(n, -1)
    while heap:
        dissimilarity, number_, e = heapq.heappop(heap)
        if not alive[e] or -total[e] / weight[e] != dissimilarity or earliest[e] != number_:
            continue  # it has changed since
        kept, gone = min(end[2 * e], end[2 * e + 1]), max(end[2 * e], end[2 * e + 1])
        parent[gone] = kept
        alive[e] = False
        before, h = -1, head[kept]
        while h >= 0:  # what is dead leaves the list
            if alive[h >> 1]:
                edge_to[end[h ^ 1]] = h >> 1
                before = h
            elif before < 0:
                head[kept] = following[h]
            else:
                following[before] = following[h]
            h = following[h]
        h = head[gone]
        while h >= 0:
            after, mine = following[h], h >> 1
            other = end[h ^ 1]
            if alive[mine]:
                same = edge_to[other]
                if same < 0:
                    end[h] = kept
                    following[h] = head[kept]
                    head[kept] = h
                else:
                    alive[mine] = False
                    total[same] += total[mine]
                    weight[same] += weight[mine]
                    earliest[same] = min(earliest[same], earliest[mine])
                    if total[same] / weight[same] >= min_similarity:
                        heapq.heappush(heap, (-total[same] / weight[same], earliest[same], same))  # pyright: ignore[reportArgumentType]
            h = after
        h = head[kept]
        while h >= 0:
            edge_to[end[h ^ 1]] = -1
            h = following[h]
    number(parent, labels)
