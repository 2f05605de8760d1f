"""Post-processing (MTML, Sec. 3.2): what a network says of voxels becomes scored instances."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import Count, NotNegative, Positive, Share, Within, check_ranges
from gestalt3d.methods.overlapping import best_first, suppress, without_overlap
from gestalt3d.methods.voxels import proposals
from gestalt3d.methods.voxels.labelled import one_hot
from gestalt3d.ops.segment import segment_mode
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.stages import counted, stage
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class ProposalConfig:
    """Post-processing (Sec. 3.2). The paper gives no numbers; lengths are in the embedding's unit."""

    bandwidths: tuple[Positive, ...] = (0.5, 1.0, 1.5)
    """Bandwidths of mean shift, each of which gives proposals."""
    connectivity: Literal[6, 18, 26] = 26
    """Neighbours that join voxels in a split: 6, 18 or 26."""
    coherency_threshold: Positive = 0.5
    """Distance from the proposal's mean within which a feature is coherent: delta_var."""
    feature_weight: NotNegative = 1.0
    """Weight of the coherency of features in the score."""
    direction_weight: NotNegative = 1.0
    """Weight of the coherency of directions, where they are predicted."""
    size_weight: NotNegative = 1.0
    """Weight of a usual size for the class."""
    semantic_weight: NotNegative = 0.0
    """Weight of the mean probability of the class, which the paper does not have."""
    large_weight: NotNegative = 0.0
    """Weight of the size itself (`large`), which the paper does not have either."""
    size_deviation: Positive = 0.1
    """Least deviation of ln(size) in a class: sizes that vary little in training still may by this."""
    nms_iou: Share = 0.5
    """Proposals that overlap a better one by more are dropped."""
    across: bool = False
    """Clusters are also split into connected components whatever the classes, for semantics that err."""
    merge: Positive | None = None
    """Bandwidth of mean shift for small clusters, whose components are proposals, too; none: there are no such."""
    unions: bool = True
    """With `merge`, unions of as many of its components as directions speak for are proposals, too."""
    merge_gain: Annotated[float, Within(least=-1, most=1)] = 0.0
    """Least cosine that directions must gain by a union."""
    min_voxels: Count = 1
    """Smaller sets are no proposals."""
    coherent: bool = False
    """Answer with one instance per voxel, without overlap, as on toy boxes (Sec. 4.1)."""
    min_rest: Share = 0.5
    """In one labelling, the share of a proposal that better ones must have left of it."""

    def __post_init__(self) -> None:
        check_ranges(self)


class UsualSizes(NamedTuple):
    """Of the instances of each class in training, in voxels."""

    log_mean: Float[Tensor, "c"]
    """Mean of ln(voxels)."""
    log_deviation: Float[Tensor, "c"]
    """Its standard deviation; 0 where there was no instance."""


def usual_sizes(
    scans: Iterable[Scan], vocabulary: Vocabulary, *, voxel_size: float, least_deviation: float
) -> UsualSizes:
    """Mean and deviation of ln(voxels) of every class's instances in labelled scans; 0 and 0 for a class without any."""
    logs, kinds = [torch.zeros(0)], [torch.zeros(0, dtype=torch.int64)]
    for scan in scans:
        found = scan.truth
        voxels = voxelize(scan.input.points, voxel_size=voxel_size)
        labels = segment_mode(found.to_labels(), voxels.voxel_of_point, len(voxels.counts), len(found) or 1)
        sizes = torch.bincount(labels[labels >= 0], minlength=len(found))
        use = (sizes > 0) & (found.classes >= 0)
        logs.append(sizes[use].float().log())
        kinds.append(found.classes[use])
    size, kind = torch.cat(logs), torch.cat(kinds)
    made = UsualSizes(torch.zeros(len(vocabulary)), torch.zeros(len(vocabulary)))
    for c in range(len(vocabulary)):
        own = size[kind == c]
        if len(own):
            made.log_mean[c] = own.mean()
            made.log_deviation[c] = own.std(correction=0).clamp(min=least_deviation)
    return made


class Scored(NamedTuple):
    """Instances, the best first."""

    proposals: Sets
    """Their voxels."""
    classes: Int[Tensor, "p"]
    scores: Float[Tensor, "p"]


def grouped(
    embeddings: Sequence[Float[Tensor, "v e"]],
    directions: Sequence[Float[Tensor, "v 3"]],
    coordinates: Int[Tensor, "v 3"],
    classes: Int[Tensor, "v"],
    semantics: Float[Tensor, "v c"] | None,
    config: ProposalConfig,
    sizes: UsualSizes,
) -> Scored:
    """Instances of what a network says in one or several looks at the same voxels; each look gives proposals.

    `directions`, of any length, point to the instance's centre; there may be none. `semantics` are
    probabilities of the classes, by default those that `classes` stand for.
    """
    c, direction = config, _mean_direction(directions)
    certain = one_hot(classes, len(sizes.log_mean))
    with stage("proposals"):
        made = proposals.distinct(
            [
                proposals.propose(
                    embedding,
                    coordinates,
                    classes,
                    bandwidths=c.bandwidths,
                    connectivity=c.connectivity,
                    across=c.across,
                    merge=c.merge,
                    min_gain=c.merge_gain,
                    directions=direction if c.unions else None,
                )
                for embedding in counted(embeddings)
            ],
            min_voxels=c.min_voxels,
        )
    with stage("scores"):
        labels = proposals.probable_class(certain, made)
        semantics = certain if semantics is None else semantics
        scores = score(embeddings, direction, coordinates, semantics, made, labels, config, sizes)
        order = best_first(scores, made.sizes)
    with stage("suppression"):
        kept = suppress(made, order, max_iou=c.nms_iou)
        if not c.coherent:
            return Scored(made.take(kept), labels[kept], scores[kept])
        parts, kept = without_overlap(made, kept, min_rest=c.min_rest, least=c.min_voxels)
    return Scored(parts, labels[kept], scores[kept])


def score(
    embeddings: Sequence[Float[Tensor, "v e"]],
    direction: Float[Tensor, "v 3"] | None,
    coordinates: Int[Tensor, "v 3"],
    semantics: Float[Tensor, "v c"],
    made: Sets,
    labels: Int[Tensor, "p"],
    config: ProposalConfig,
    sizes: UsualSizes,
) -> Float[Tensor, "p"]:
    """Weighted mean of the coherencies of features and directions, regular and large size, and probability of the class, 0 to 1;
    coherency of features is the mean over all looks.
    """
    c = config
    coherent = [
        proposals.feature_coherency(embedding, made, threshold=c.coherency_threshold)
        for embedding in embeddings
    ]
    size = proposals.regular_size(made.sizes, labels, *sizes)
    parts = [(c.feature_weight, torch.stack(coherent).mean(0)), (c.size_weight, size)]
    if c.semantic_weight:
        parts.append((c.semantic_weight, proposals.class_probability(semantics, made, labels)))
    if c.large_weight:
        parts.append((c.large_weight, proposals.large(made.sizes)))
    if direction is not None:
        coherency = proposals.direction_coherency(direction, coordinates.float(), made)
        parts.append((c.direction_weight, coherency))
    return proposals.total_score(*parts)


def _mean_direction(directions: Sequence[Float[Tensor, "v 3"]]) -> Float[Tensor, "v 3"] | None:
    if len(directions) < 2:
        return directions[0] if directions else None
    return torch.stack([F.normalize(values, dim=1) for values in directions]).mean(0)
