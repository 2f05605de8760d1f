"""How good proposals are, seed by seed, before anything decides among them (GSPN, Yi et al., CVPR 2019, Tables 4 and 5)."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.errors import UserError
from gestalt3d.methods.gspn import GSPN
from gestalt3d.methods.regions.proposals import Proposals
from gestalt3d.methods.rpointnet import RPointNet
from gestalt3d.nn.modes import evaluating
from gestalt3d.ops.aligned_boxes import aligned_iou
from gestalt3d.ops.chamfer import nearest_both_ways
from gestalt3d.reproduce.table import Figures, Progress

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.structures.samples import Scan


class ProposalQuality(NamedTuple):
    """Of the seeds of one scene that lie on objects."""

    iou: Float[Tensor, "s"]
    """Of the box of each seed's proposal with the box of the object that the seed lies on."""
    chamfer: Float[Tensor, "s"]
    """Mean squared distances both ways, added, of the confident points and the object, in square metres."""


@torch.inference_mode()
def proposal_quality(gspn: GSPN, scan: "Scan", *, seed: int = 0) -> ProposalQuality:
    """Of as many random seeds of a scene as in training; the network is not told the objects."""
    batch = gspn.prepare(scan, np.random.default_rng(seed))
    with evaluating(gspn):
        made = gspn(batch.untold().to(gspn.device))
    proposals = Proposals(*(values.cpu() for values in gspn.proposals(made, 0)))
    on_object = (batch.owner[0] >= 0).nonzero()[:, 0]
    own = batch.owner[0, on_object]
    overlap = aligned_iou(proposals.boxes[on_object], batch.boxes)
    apart: list[Tensor] = [torch.zeros(0)]
    for i, j in zip(map(int, on_object), map(int, own), strict=True):
        near = nearest_both_ways(proposals.points_of(i)[None], (batch.shapes[j] + batch.boxes[j, :3])[None])
        apart.append((near.dist2_a.mean() + near.dist2_b.mean())[None])
    return ProposalQuality(overlap[torch.arange(len(own)), own], torch.cat(apart))


def measure(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """mIoU and share of IoU above 0.5 in percent, CD in square centimetres: means over the seeds on objects of all scans."""
    gspn = model.method.gspn if isinstance(model.method, RPointNet) else model.method
    if not isinstance(gspn, GSPN):
        raise UserError(f"proposals are those of gspn, not of {gspn.name}")
    found: list[ProposalQuality] = []
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        found.append(proposal_quality(gspn, scans[i]))
    without = [_figures(found[:i] + found[i + 1 :]) for i in range(len(found))]
    figures = _figures(found)
    left_out = {name: [each[name] for each in without] for name in figures}
    seen = sum(len(each.iou) for each in found)
    return Figures(figures, left_out, list(scans.names), {"seeds on objects": seen})


def _figures(found: list[ProposalQuality]) -> dict[str, float | None]:
    """None where there is no seed on an object."""
    iou = torch.cat([torch.zeros(0), *(each.iou for each in found)])
    if not len(iou):
        return dict.fromkeys(("mIoU", "IoU > 0.5", "CD cm²"))
    chamfer = torch.cat([each.chamfer for each in found])
    return {
        "mIoU": 100 * float(iou.mean()),
        "IoU > 0.5": 100 * float((iou > 0.5).float().mean()),
        "CD cm²": 1e4 * float(chamfer.mean()),
    }
