"""From voxel features to scored instances (MTML, Sec. 3.2 "Post-processing"): proposals, their scores, suppression.

Proposals are sets of voxels that may overlap.
Nothing here learns; all numbers come from the caller.

Readings, where the paper is silent:
- Split proposals are the connected components of the voxels that share a mean-shift cluster and a class, and those of
  the voxels that share a class, whatever their features.
- Feature coherency is a share, not a number, so that it does not grow with the object.
- The final score is a weighted mean of the scores in use, and also decides the order before suppression.
- The probability of the class may be a score, too: it tells a chair from a piece of wall that is taken for one. So may the
  size itself: where directions are as coherent in a piece as in the object, the object is meant.
- Where classes err, split proposals go across them, and neighbouring pieces unite as far as directions speak for it.
- Equal scores: the larger proposal first, then the earlier one.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.methods.voxels import labelled
from gestalt3d.ops.centers import center_coherency
from gestalt3d.ops.components import graph_components, voxel_pairs
from gestalt3d.ops.mean_shift import mean_shift
from gestalt3d.ops.renumber import renumbered
from gestalt3d.ops.segment import segment_mean
from gestalt3d.stages import counted, stage
from gestalt3d.structures.sets import Sets

_MEMBERS_AT_ONCE = 2**20
"""What scores gather has room for this many voxels, or for the largest proposal."""


# ── proposals ───────────────────────────────────────────────────────────────────────────────────────────────────────


def propose(
    embedding: Float[Tensor, "v e"],
    coordinates: Int[Tensor, "v 3"],
    classes: Int[Tensor, "v"],
    *,
    bandwidths: Sequence[float],
    connectivity: int,
    across: bool = False,
    merge: float | None = None,
    min_gain: float = 0.0,
    directions: Float[Tensor, "v d"] | None = None,
) -> Sets:
    """Components of the classes, mean-shift clusters at every bandwidth and their components; some sets several times.

    Components are of one class; with `across` there are also those of a cluster whatever the classes. With `merge`, a
    bandwidth, there are the components of its clusters, too, and where there are `directions`, `unions` of these: they alone
    are more than the embedding and the classes give.
    """
    with stage("components"):
        pairs = voxel_pairs(coordinates, connectivity=connectivity)
        parts = [Sets.from_labels(split(torch.zeros_like(classes), classes, pairs))]
    for bandwidth in counted(bandwidths, more=merge is not None):
        with stage("mean shift"):
            labels = mean_shift(embedding, bandwidth=bandwidth).labels
        with stage("components"):
            parts += [Sets.from_labels(labels), Sets.from_labels(split(labels, classes, pairs))]
            if across:
                parts.append(Sets.from_labels(split(labels, torch.zeros_like(classes), pairs)))
    if merge is not None:
        with stage("mean shift"):
            labels = mean_shift(embedding, bandwidth=merge).labels
        with stage("components"):
            small = split(labels, torch.zeros_like(classes), pairs)
            parts.append(Sets.from_labels(small))
        if directions is not None:
            with stage("unions"):
                parts.append(unions(small, pairs, directions, coordinates.float(), min_gain=min_gain))
    return Sets.cat(parts)


def split(labels: Int[Tensor, "v"], classes: Int[Tensor, "v"], pairs: Int[Tensor, "2 m"]) -> Int[Tensor, "v"]:
    """Connected components of the voxels of one label and one class; -1 where either is negative."""
    a, b = pairs
    same = (labels[a] == labels[b]) & (classes[a] == classes[b])
    found = graph_components(pairs[:, same], num_nodes=len(labels))
    return found.masked_fill((labels < 0) | (classes < 0), -1)


def unions(
    labels: Int[Tensor, "v"],
    pairs: Int[Tensor, "2 m"],
    directions: Float[Tensor, "v 3"],
    positions: Float[Tensor, "v 3"],
    *,
    min_gain: float,
) -> Sets:
    """Unions of neighbouring sets that directions speak for, from two to as many as belong together.

    The gain of a union is the change of the sum of `direction_coherency` over voxels, per voxel of the smaller set: what its
    voxels win or lose by having a common centre. In rounds, each two neighbours that gain more with each other than with any
    other neighbour, and more than `min_gain`, become one. Ties: the pair with the lowest labels.
    """
    found = []
    labels = renumbered(labels)
    count = int(labels.max()) + 1 if len(labels) else 0
    known, own = _Gains(labels[:0], directions.new_zeros(0)), directions.new_zeros(count)
    changed = torch.ones(count, dtype=torch.bool)
    while True:
        # Sets keep their numbers; those that are no more are empty.
        sets = Sets.from_labels(labels, count)
        sizes = sets.sizes
        pairs = pairs[:, _apart(labels, pairs)]  # what has become one stays one
        edges = _borders(labels, pairs, count)
        keys = edges[0] * count + edges[1]
        new = changed[edges].any(0)
        own[changed] = _coherency(directions, positions, sets, changed.nonzero()[:, 0])
        gain = known.of(keys)
        together = center_coherency(directions, positions, sets.offsets, sets.indices, edges[:, new]) * sizes[
            edges[:, new]
        ].sum(0)
        alone = (own * sizes)[edges[:, new]].sum(0)
        gain[new] = (together - alone) / sizes[edges[:, new]].amin(0)
        known = _Gains(keys, gain)
        # The first edge of the largest gain at each set: ranks leave no ties.
        rank = torch.argsort(torch.argsort(gain, descending=True, stable=True))
        first = rank.new_full((count,), len(rank))
        for end in edges:
            first.scatter_reduce_(0, end, rank, "amin")
        chosen = ((first[edges] == rank).all(0) & (gain > min_gain)).nonzero()[:, 0]
        found.append(_side_by_side(sets, edges[:, chosen]))
        if not len(chosen):
            return Sets.cat(found)
        changed = torch.zeros(count, dtype=torch.bool)
        changed[edges[0, chosen]] = True
        target = torch.arange(count + 1)
        target[-1] = -1
        target[edges[1, chosen]] = edges[0, chosen]
        labels = target[labels]


class _Gains(NamedTuple):
    """What is known of unions: most sets are the same in the next round."""

    keys: Int[Tensor, "e"]
    """Ascending."""
    values: Float[Tensor, "e"]

    def of(self, keys: Int[Tensor, "f"]) -> Float[Tensor, "f"]:
        """Of those keys, of which some may be unknown: 0."""
        found = self.values.new_zeros(len(keys))
        if len(self.keys):
            at = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
            same = self.keys[at] == keys
            found[same] = self.values[at[same]]
        return found


def _apart(labels: Int[Tensor, "v"], pairs: Int[Tensor, "2 m"]) -> Bool[Tensor, "m"]:
    """Which pairs are of two labels, none of them negative."""
    a, b = labels[pairs]
    return (a != b) & (a >= 0) & (b >= 0)


def _borders(labels: Int[Tensor, "v"], pairs: Int[Tensor, "2 m"], count: int) -> Int[Tensor, "2 e"]:
    """Each two labels, below `count`, of pairs of voxels once, ascending."""
    a, b = labels[pairs]
    keys = torch.unique(torch.minimum(a, b) * count + torch.maximum(a, b))
    return torch.stack([keys // max(count, 1), keys % max(count, 1)])


def _side_by_side(sets: Sets, edges: Int[Tensor, "2 e"]) -> Sets:
    """The union of the two disjoint sets of every edge, voxels ascending."""
    first, second = sets.take(edges[0]), sets.take(edges[1])
    sizes = first.sizes + second.sizes
    owners = torch.cat([first.owners, second.owners])
    members = torch.cat([first.indices, second.indices])
    members = members[torch.argsort(owners * sets.size + members)]
    return Sets.from_sizes(sizes, members, sets.size)


def distinct(parts: Sequence[Sets], *, min_voxels: int) -> Sets:
    """All of at least `min_voxels`, the first of equal sets."""
    proposals = Sets.cat(parts)
    # Sums of fixed random numbers tell sets apart, whatever the order they were found in.
    noise = torch.randint(-(2**62), 2**62, (proposals.size,), generator=torch.Generator().manual_seed(0))
    noise = noise.to(proposals.indices.device)
    count = len(proposals.sizes)
    prints = noise.new_zeros(count).index_add(0, proposals.owners, noise[proposals.indices])
    keys = torch.stack([prints, proposals.sizes], dim=1).tolist()
    first: dict[tuple[int, int], int] = {}
    for i, (key, size) in enumerate(keys):
        if size >= min_voxels:
            first.setdefault((key, size), i)
    return proposals.take(torch.tensor([*first.values()], dtype=torch.int64, device=noise.device))


# ── scores ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def feature_coherency(
    embedding: Float[Tensor, "v e"], proposals: Sets, *, threshold: float
) -> Float[Tensor, "p"]:
    """Share of a proposal's voxels whose embedding lies within `threshold` of the mean over the proposal, 0 to 1."""

    def score(piece: Sets) -> Tensor:
        owners, count = piece.owners, len(piece.sizes)
        values = embedding[piece.indices]
        distance = torch.linalg.vector_norm(values - segment_mean(values, owners, count)[owners], dim=1)
        return segment_mean((distance <= threshold).float()[:, None], owners, count)[:, 0]

    return _piece_by_piece(score, proposals)


def direction_coherency(
    directions: Float[Tensor, "v 3"], positions: Float[Tensor, "v 3"], proposals: Sets
) -> Float[Tensor, "p"]:
    """-L_dir of a proposal: mean cosine between predicted vectors and those to the proposal's centre, -1 to 1.

    A voxel on the centre has no direction and does not count; a proposal of such voxels only has 0.
    """

    return _coherency(
        directions, positions, proposals, torch.arange(len(proposals.sizes), device=proposals.indices.device)
    )


def _coherency(
    directions: Float[Tensor, "v 3"],
    positions: Float[Tensor, "v 3"],
    proposals: Sets,
    rows: Int[Tensor, "q"],
) -> Float[Tensor, "q"]:
    """Of the chosen proposals."""
    alone = torch.stack([rows, torch.full_like(rows, -1)])
    return center_coherency(directions, positions, proposals.offsets, proposals.indices, alone)


def _piece_by_piece(score: Callable[[Sets], Tensor], proposals: Sets) -> Tensor:
    """The score of all, with memory for some."""
    return torch.cat([score(piece) for piece in proposals.pieces(_MEMBERS_AT_ONCE)])


def regular_size(
    sizes: Int[Tensor, "p"],
    classes: Int[Tensor, "p"],
    log_mean: Float[Tensor, "c"],
    log_deviation: Float[Tensor, "c"],
) -> Float[Tensor, "p"]:
    """How usual the number of voxels is for the class, 0 to 1: exp(-((ln size - mean) / deviation)^2 / 2).

    That is the log-normal's density of ln(size) over its largest. A class with deviation 0, of which no training
    scene had an instance, and class -1 have no opinion: 1.
    """
    if len(log_mean) == 0:
        return torch.ones(len(sizes), device=sizes.device)
    mean, deviation = log_mean[classes.clamp(min=0)], log_deviation[classes.clamp(min=0)]
    known = (classes >= 0) & (deviation > 0)
    off = (sizes.clamp(min=1).float().log() - mean) / torch.where(known, deviation, 1.0)
    return torch.where(known, (-0.5 * off.square()).exp(), 1.0)


def large(sizes: Int[Tensor, "p"]) -> Float[Tensor, "p"]:
    """ln(1 + voxels) as a share of the largest proposal's, 0 to 1: of two as coherent, rather an object than its piece."""
    logs = sizes.float().log1p()
    return logs / logs.max() if len(logs) else logs


def _mean_semantics(semantics: Float[Tensor, "v c"], proposals: Sets) -> Float[Tensor, "p c"]:
    def score(piece: Sets) -> Tensor:
        return segment_mean(semantics[piece.indices], piece.owners, len(piece.sizes))

    return _piece_by_piece(score, proposals)


def probable_class(semantics: Float[Tensor, "v c"], proposals: Sets) -> Int[Tensor, "p"]:
    """The class with the highest mean probability in the proposal, the lowest on ties; -1 where all are zero."""
    return labelled.probable_class(_mean_semantics(semantics, proposals))


def class_probability(
    semantics: Float[Tensor, "v c"], proposals: Sets, classes: Int[Tensor, "p"]
) -> Float[Tensor, "p"]:
    """Mean probability of a proposal's class over its voxels, 0 to 1; 0 for class -1."""
    if semantics.shape[1] == 0 or len(classes) == 0:
        return torch.zeros(len(classes), device=semantics.device)
    of_class = _mean_semantics(semantics, proposals).gather(1, classes.clamp(min=0)[:, None])[:, 0]
    return of_class.masked_fill(classes < 0, 0)


def total_score(
    *scores: tuple[float, Float[Tensor, "p"]],
) -> Float[Tensor, "p"]:
    """Weighted mean of (weight, score) pairs, negative scores counted as 0."""
    weight = sum(w for w, _ in scores)
    if not weight > 0:
        raise ValueError(f"weights must sum to more than 0, got {[w for w, _ in scores]}")
    return torch.stack([w / weight * s.clamp(min=0) for w, s in scores]).sum(0)
