"""How good proposals are, seed by seed, before anything decides among them (GSPN, Yi et al., CVPR 2019, Tables 4 and 5)."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.methods.gspn import GSPN
from gestalt3d.methods.regions.proposals import Proposals
from gestalt3d.nn.modes import evaluating
from gestalt3d.ops.aligned_boxes import aligned_iou
from gestalt3d.ops.chamfer import nearest_both_ways
from gestalt3d.structures.samples import Scan


class ProposalQuality(NamedTuple):
    """Of the seeds on objects of one scene."""

    iou: Float[Tensor, "s"]
    """Of the box of each seed's proposal with the box of the object that the seed lies on."""
    chamfer: Float[Tensor, "s"]
    """Mean squared distance both ways, added, of the confident points and the object, in square metres."""
    objectness: Float[Tensor, "s"]
    seeds: int
    """All seeds, those on no object too."""


@torch.inference_mode()
def proposal_quality(gspn: GSPN, scan: Scan, *, seed: int = 0) -> ProposalQuality:
    """Of random seeds of a scene, as in training; the network is not told the objects."""
    batch = gspn.prepare(scan, np.random.default_rng(seed))
    with evaluating(gspn):
        made = gspn(batch.untold().to(gspn.device))
    proposals = Proposals(*(values.cpu() for values in gspn.proposals(made, 0)))
    on_object = (batch.owner[0] >= 0).nonzero()[:, 0]
    own = batch.owner[0, on_object]
    overlap = aligned_iou(proposals.boxes[on_object], batch.boxes)
    apart: list[Tensor] = []
    for i, j in zip(map(int, on_object), map(int, own), strict=True):
        near = nearest_both_ways(proposals.points_of(i)[None], (batch.shapes[j] + batch.boxes[j, :3])[None])
        apart.append(near.dist2_a.mean() + near.dist2_b.mean())
    return ProposalQuality(
        overlap[torch.arange(len(own)), own],
        torch.stack(apart) if apart else torch.zeros(0),
        proposals.objectness[on_object],
        batch.owner.shape[1],
    )
