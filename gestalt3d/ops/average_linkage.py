"""Agglomerative clustering by average linkage on a weighted graph (Sokal & Michener's UPGMA, where some pairs are unknown).

Every node starts as a cluster. The similarity of two clusters is the weighted mean of the similarities of all edges between them;
the two that are most similar are joined, as long as any are at least `min_similarity` similar. Clusters without an edge between
them are never joined. Where several edges name the same two nodes, all count. Ties: the clusters between which the edge that was
given first lies. Clusters are numbered 0, 1, … by their lowest node.

Joining two clusters makes neither more similar to a third than the more similar of both was, so what is joined later is never
more similar than what was joined before, and a higher `min_similarity` only stops earlier.

Time grows with the edges of the clusters that are joined, so with the square of the nodes where one cluster has edges to most.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.components import check_edges
from gestalt3d.ops.operator import Operator


def average_linkage(
    edges: Int[Tensor, "2 m"],
    similarities: Float[Tensor, "m"],
    weights: Float[Tensor, "m"],
    *,
    num_nodes: int,
    min_similarity: float,
) -> Int[Tensor, "n"]:
    """Cluster of each node of the undirected graph with edges `edges[0, e] - edges[1, e]`; computed on the CPU.

    Weights are positive. Edges from a node to itself have no say.
    """
    if edges.ndim != 2 or len(edges) != 2 or not similarities.shape == weights.shape == edges.shape[1:]:
        raise ValueError(
            f"edges must be (2, m), similarities and weights (m,), got {tuple(edges.shape)}, "
            f"{tuple(similarities.shape)} and {tuple(weights.shape)}"
        )
    check_edges(edges, num_nodes)
    if not bool(torch.isfinite(similarities).all()) or not np.isfinite(min_similarity):
        raise ValueError("similarities and min_similarity must be finite")
    if len(weights) and not (bool(torch.isfinite(weights).all()) and float(weights.min()) > 0):
        raise ValueError("weights must be finite and positive")
    values = (each.detach().cpu().double() for each in (similarities, weights))
    return _op(edges.cpu().long(), *values, num_nodes, float(min_similarity)).to(edges.device)


def average_linkage_reference(
    edges: Tensor, similarities: Tensor, weights: Tensor, num_nodes: int, min_similarity: float
) -> Tensor:
    """The definition in plain Python: of all pairs of clusters, the weighted sum, the weight and the first edge."""
    between: dict[tuple[int, int], tuple[float, float, int]] = {}

    def add(pair: tuple[int, int], total: float, weight: float, first: int) -> None:
        t, w, f = between.get(pair, (0.0, 0.0, first))
        between[pair] = (t + total, w + weight, min(f, first))

    given = zip(edges.T.tolist(), similarities.tolist(), weights.tolist(), strict=True)
    for number, ((i, j), similarity, weight) in enumerate(given):
        if i != j:
            add((min(i, j), max(i, j)), similarity * weight, weight, number)
    cluster = list(range(num_nodes))
    while between:
        best = max(between, key=lambda pair: (between[pair][0] / between[pair][1], -between[pair][2]))
        total, weight, _ = between.pop(best)
        if not total / weight >= min_similarity:
            break
        kept, gone = best
        cluster = [kept if c == gone else c for c in cluster]
        for pair in [pair for pair in between if gone in pair]:
            other = sum(pair) - gone
            add((min(kept, other), max(kept, other)), *between.pop(pair))
    lowest = torch.tensor(cluster, dtype=torch.int64)
    return torch.unique(lowest, return_inverse=True)[1].to(edges.device)


_op = Operator(
    "gestalt3d::average_linkage",
    average_linkage_reference,
    schema="(Tensor edges, Tensor similarities, Tensor weights, int num_nodes, float min_similarity) -> Tensor",
)


@_op.register_kernel("cpu")
def _cpu(
    edges: Tensor, similarities: Tensor, weights: Tensor, num_nodes: int, min_similarity: float
) -> Tensor:
    from gestalt3d.ops._numba import average_linkage as cpu

    labels = np.empty(num_nodes, dtype=np.int64)
    ends = edges.contiguous().numpy()
    order = np.lexsort((ends.max(0), ends.min(0)))
    given = (values.contiguous().numpy() for values in (similarities, weights))
    cpu.average_linkage(*ends, *given, order, min_similarity, labels)
    return torch.from_numpy(labels)


@_op.register_fake
def _fake(
    edges: Tensor, similarities: Tensor, weights: Tensor, num_nodes: int, min_similarity: float
) -> Tensor:
    return edges.new_empty(num_nodes)
