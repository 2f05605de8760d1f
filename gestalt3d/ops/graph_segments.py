"""Segments of a weighted graph that differ more from each other than within (Felzenszwalb & Huttenlocher, IJCV 2004).

Edges are looked at by ascending weight. An edge joins the segments of its ends where its
weight is at most MInt (their Eq. 4): the smaller of Int(C) + scale / |C| of both, where Int(C), their Eq. 1, is the weight of
the last edge that joined C, 0 for a single node. Then, as in the authors' program, edges in the same order join segments of which
either has fewer than `min_size` nodes. Among equal weights the order given decides; it matters to the second pass alone (their
Theorem 3). Segments are numbered 0, 1, … by their lowest node.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.ops.components import check_edges
from gestalt3d.ops.operator import Operator


def graph_segments(
    edges: Int[Tensor, "2 m"], weights: Float[Tensor, "m"], *, num_nodes: int, scale: float, min_size: int = 1
) -> Int[Tensor, "n"]:
    """Segment of each node of the undirected graph with edges `edges[0, e] - edges[1, e]`; computed on the CPU.

    `scale` is in the weights' unit times nodes: a segment of n nodes bears a step of `scale / n` above what it has seen.
    A segment that no edge leaves may stay below `min_size`.
    """
    if edges.ndim != 2 or len(edges) != 2 or weights.shape != edges.shape[1:]:
        raise ValueError(
            f"edges must be (2, m) and weights (m,), got {tuple(edges.shape)} and {tuple(weights.shape)}"
        )
    check_edges(edges, num_nodes)
    if len(weights) and not (bool(torch.isfinite(weights).all()) and float(weights.min()) >= 0):
        raise ValueError("weights must be finite and not negative")
    if not (scale >= 0 and np.isfinite(scale)):
        raise ValueError(f"scale must be finite and not negative, got {scale}")
    found = _op(edges.cpu(), weights.detach().cpu().double(), num_nodes, float(scale), int(min_size))
    return found.to(edges.device)


def graph_segments_reference(
    edges: Tensor, weights: Tensor, num_nodes: int, scale: float, min_size: int
) -> Tensor:
    """The definition in plain Python."""
    members = {node: [node] for node in range(num_nodes)}
    segment, inner = list(range(num_nodes)), [0.0] * num_nodes
    order = torch.argsort(weights, stable=True)
    ordered = list(zip(edges[:, order].T.tolist(), weights[order].tolist(), strict=True))

    def join(a: int, b: int, weight: float) -> None:
        for node in members[b]:
            segment[node] = a
        members[a] += members.pop(b)
        inner[a] = weight

    for (i, j), weight in ordered:
        a, b = segment[i], segment[j]
        if a != b and all(weight <= inner[c] + scale / len(members[c]) for c in (a, b)):
            join(a, b, weight)
    for (i, j), weight in ordered:
        a, b = segment[i], segment[j]
        if a != b and min(len(members[a]), len(members[b])) < min_size:
            join(a, b, weight)
    first = {own: min(nodes) for own, nodes in members.items()}
    lowest = torch.tensor([first[own] for own in segment], dtype=torch.int64)
    return torch.unique(lowest, return_inverse=True)[1].to(edges.device)


_op = Operator(
    "gestalt3d::graph_segments",
    graph_segments_reference,
    schema="(Tensor edges, Tensor weights, int num_nodes, float scale, int min_size) -> Tensor",
)


@_op.register_kernel("cpu")
def _cpu(edges: Tensor, weights: Tensor, num_nodes: int, scale: float, min_size: int) -> Tensor:
    from gestalt3d.ops._numba import graph_segments as cpu

    labels = np.empty(num_nodes, dtype=np.int64)
    first, second = edges.contiguous().numpy()
    heights = weights.contiguous().numpy()
    order = np.argsort(heights)
    cpu.settle_ties(heights, order)
    cpu.graph_segments(first, second, heights, order, scale, min_size, labels)
    return torch.from_numpy(labels)


@_op.register_fake
def _fake(edges: Tensor, weights: Tensor, num_nodes: int, scale: float, min_size: int) -> Tensor:
    return edges.new_empty(num_nodes, dtype=torch.int64)
