"""Heads of Mask R-CNN that say of a region which pixels show the object and which would: as many readings of "amodal" as papers.

- "mask" (He et al., ICCV 2017): one mask, of whichever kind it is taught.
- "orcnn" (Follmann et al., WACV 2019): an amodal and a visible one, and the invisible one, which is what of the amodal logits
  exceeds the positive visible ones and has no weights of its own.
- "bcnet" (Ke et al., CVPR 2021): a first branch says what occludes the object, a second one the whole object behind it; each with
  a boundary, and each with a non-local layer between its convolutions.
- "shapedict" (Xiao et al., AAAI 2021) stands in a file of its own, `shape_dictionary`.

Every head is told the class of each region; all but that one leave it unused.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

Kind = Literal["mask", "orcnn", "bcnet", "shapedict"]
Part = Literal[
    "amodal",
    "visible",
    "invisible",
    "occluder",
    "occluder edge",
    "amodal edge",
    "coarse amodal",
    "coarse visible",
]
"""What a mask is of."""


class OneMask(nn.Module):
    """Convolutions, an up-convolution, and a channel for each class."""

    def __init__(self, channels: int, width: int, layers: int, classes: int) -> None:
        super().__init__()
        self.convs = _convs(channels, width, layers)
        self.out = _Upward(width, classes)

    def forward(self, x: Float[Tensor, "r c s s"]) -> Float[Tensor, "r k t t"]:
        return self.out(self.convs(x))


class _Upward(nn.Sequential):
    """Twice the resolution, and logits."""

    def __init__(self, width: int, classes: int) -> None:
        up = nn.ConvTranspose2d(width, width, 2, stride=2)
        super().__init__(up, nn.ReLU(inplace=True), nn.Conv2d(width, classes, 1))


def _convs(channels: int, width: int, layers: int) -> nn.Sequential:
    made: list[nn.Module] = []
    for i in range(layers):
        made += [nn.Conv2d(channels if i == 0 else width, width, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*made)


class MaskHead(nn.Module):
    """One mask: amodal or visible."""

    def __init__(self, of: Part, channels: int, width: int, layers: int, classes: int) -> None:
        super().__init__()
        self.of: Part = of
        self.mask = OneMask(channels, width, layers, classes)

    def forward(
        self, x: Float[Tensor, "r c s s"], kind: Int[Tensor, "r"]
    ) -> dict[Part, Float[Tensor, "r k t t"]]:
        masks: dict[Part, Tensor] = {self.of: self.mask(x)}
        return masks


class OrcnnHead(nn.Module):
    def __init__(self, channels: int, width: int, layers: int, classes: int) -> None:
        super().__init__()
        self.amodal = OneMask(channels, width, layers, classes)
        self.visible = OneMask(channels, width, layers, classes)

    def forward(
        self, x: Float[Tensor, "r c s s"], kind: Int[Tensor, "r"]
    ) -> dict[Part, Float[Tensor, "r k t t"]]:
        amodal, visible = self.amodal(x), self.visible(x)
        return {"amodal": amodal, "visible": visible, "invisible": amodal - visible.relu()}


class NonLocal(nn.Module):
    """Every place of a region sees every other: softmax(Q Kᵀ / √c) V, added to what it saw before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.out = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Float[Tensor, "r c i j"]) -> Float[Tensor, "r c i j"]:
        q, k, v = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        seen = F.scaled_dot_product_attention(q, k, v)
        return x + self.out(seen.transpose(1, 2).unflatten(2, x.shape[2:]))


class _Layer(nn.Module):
    """A branch of BCNet, with its mask and its boundary."""

    def __init__(self, channels: int, width: int, layers: int, classes: int) -> None:
        super().__init__()
        first = max(layers // 2, 1)
        self.convs = nn.Sequential(
            _convs(channels, width, first), NonLocal(width), _convs(width, width, max(layers - first, 1))
        )
        self.mask, self.edge = _Upward(width, classes), _Upward(width, classes)

    def forward(self, x: Float[Tensor, "r c s s"]) -> tuple[Tensor, Tensor, Tensor]:
        features = self.convs(x)
        return features, self.mask(features), self.edge(features)


class BCNetHead(nn.Module):
    def __init__(self, channels: int, width: int, layers: int, classes: int) -> None:
        super().__init__()
        self.occluder = _Layer(channels, width, layers, classes)
        self.join = nn.Identity() if channels == width else nn.Conv2d(width, channels, 1)
        self.occludee = _Layer(channels, width, layers, classes)

    def forward(
        self, x: Float[Tensor, "r c s s"], kind: Int[Tensor, "r"]
    ) -> dict[Part, Float[Tensor, "r k t t"]]:
        features, occluder, occluder_edge = self.occluder(x)
        _, amodal, amodal_edge = self.occludee(x + self.join(features))
        return {
            "occluder": occluder,
            "occluder edge": occluder_edge,
            "amodal": amodal,
            "amodal edge": amodal_edge,
        }


def edges(mask: Float[Tensor, "r t t"]) -> Float[Tensor, "r t t"]:
    """1 for pixels of a mask that have a neighbour outside of it; beyond the region nothing is."""
    inside = -F.max_pool2d(-F.pad(mask[:, None], (1, 1, 1, 1)), 3, stride=1)[:, 0]
    return (mask > 0.5).to(mask) * (inside < 0.5).to(mask)


def mask_losses(
    logits: dict[Part, Float[Tensor, "r k t t"]],
    targets: dict[Part, Float[Tensor, "r t t"]],
    kind: Int[Tensor, "r"],
) -> dict[Part, Float[Tensor, ""]]:
    """Binary cross-entropy on the channel of the true class, the mean over the pixels of all regions; 0 without regions."""
    rows = torch.arange(len(kind), device=kind.device)
    return {
        part: F.binary_cross_entropy_with_logits(said[rows, kind].float(), targets[part], reduction="sum")
        / max(targets[part].numel(), 1)
        for part, said in logits.items()
    }


def parts_of(kind: Kind, of: Part) -> Sequence[Part]:
    """What a head says."""
    if kind == "mask":
        return (of,)
    if kind == "orcnn":
        return ("amodal", "visible", "invisible")
    if kind == "shapedict":
        return ("amodal", "visible", "coarse amodal", "coarse visible")
    return ("occluder", "occluder edge", "amodal", "amodal edge")
