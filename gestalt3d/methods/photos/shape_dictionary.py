"""ShapeDict's head (Xiao et al., "Amodal Segmentation Based on Visible Region Segmentation and Shape Prior", AAAI 2021).

Amodal and visible masks are said twice. What is said first of one tells the second saying of the other where to look, and the
refined amodal mask also sees the shapes of a dictionary that are most like the coarse one: true amodal masks of the training
data, of the region's class, compared by the code of an auto-encoder.

Readings: the dictionary holds the k-means centres of masks, whose codes follow from the auto-encoder as it is, where the paper
clusters codes of one that was trained before; so everything learns in one training. Left out are the paper's matching of features
and its second classification, which are no part of the masks.
"""

import warnings
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gestalt3d.methods.photos.mask_heads import OneMask, Part

_CODE_CHANNELS = 8
_MOST_MASKS = 4000
"""Of a class, that are clustered."""


class MaskCode(nn.Module):
    """An auto-encoder of masks: an eighth of the resolution in eight channels."""

    def __init__(self, side: int, width: int = 16) -> None:
        super().__init__()
        channels = (1, width, width, _CODE_CHANNELS)
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.ReLU(inplace=True))
                for a, b in pairwise(channels)
            )
        )
        self.side = side
        self.decoder = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in ((_CODE_CHANNELS, width), (width, width), (width, 1))
        )

    def encode(self, masks: Float[Tensor, "n t t"]) -> Float[Tensor, "n d"]:
        return self.encoder(masks[:, None]).flatten(1)

    def forward(self, masks: Float[Tensor, "n t t"]) -> Float[Tensor, "n t t"]:
        """Logits of the masks that come back."""
        x = self.encoder(masks[:, None])
        for number, layer in enumerate(self.decoder):
            size = -(-self.side // 2 ** (2 - number))
            x = layer(F.interpolate(x, (size, size), mode="bilinear", align_corners=False))
            x = x if number == 2 else x.relu()
        return x[:, 0]


class ShapeDictHead(nn.Module):
    """`priors` shapes of a dictionary of `centres` for each class help to complete a region's mask."""

    dictionary: Float[Tensor, "k n t t"]
    known: Bool[Tensor, "k n"]
    """Which entries of the dictionary there are."""

    def __init__(
        self, channels: int, width: int, layers: int, classes: int, *, side: int, priors: int, centres: int
    ) -> None:
        super().__init__()
        self.priors, self.centres, self.side = min(priors, centres), centres, side
        self.amodal = OneMask(channels, width, layers, classes)
        self.visible = OneMask(channels, width, layers, classes)
        self.fuse = nn.Sequential(
            nn.Conv2d(channels + self.priors, channels, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.code = MaskCode(side)
        self.register_buffer("dictionary", torch.zeros(classes, centres, side, side))
        self.register_buffer("known", torch.zeros(classes, centres, dtype=torch.bool))

    def forward(
        self, x: Float[Tensor, "r c s s"], kind: Int[Tensor, "r"]
    ) -> dict[Part, Float[Tensor, "r k t t"]]:
        """`kind` is the class of each region."""
        rows = torch.arange(len(kind), device=kind.device)
        coarse, seen = self.amodal(x), self.visible(x)
        refined_visible = self.visible(x * _attention(coarse[rows, kind]))
        shapes = self._nearest(coarse[rows, kind].detach().sigmoid(), kind)
        looked = x * _attention(refined_visible[rows, kind])
        fused = self.fuse(torch.cat([looked, F.avg_pool2d(shapes, 2).to(x)], dim=1))
        said: dict[Part, Tensor] = {
            "amodal": self.amodal(fused),
            "visible": refined_visible,
            "coarse amodal": coarse,
            "coarse visible": seen,
        }
        return said

    def _nearest(self, masks: Float[Tensor, "r t t"], kind: Int[Tensor, "r"]) -> Float[Tensor, "r p t t"]:
        """The dictionary's shapes whose codes are nearest to the masks', the nearest first; empty ones where there are fewer."""
        with torch.no_grad():
            flat = self.dictionary.flatten(0, 1)
            codes = self.code.encode(flat.to(masks)).unflatten(0, self.known.shape)
            query = self.code.encode(masks)
            apart = (query[:, None] - codes[kind]).square().sum(2)
            apart = torch.where(self.known[kind], apart, torch.inf)
            nearest = apart.topk(self.priors, largest=False)
            shapes = self.dictionary[kind[:, None], nearest.indices]
            return torch.where(nearest.values.isfinite()[..., None, None], shapes, 0)

    def reconstruction_loss(self, masks: Float[Tensor, "r t t"]) -> Float[Tensor, ""]:
        """Mean square of what the auto-encoder loses of true amodal masks."""
        return (self.code(masks).sigmoid() - masks).square().sum() / max(masks.numel(), 1)

    def learn_dictionary(self, masks: Iterable[tuple[int, Float[np.ndarray, "t t"]]]) -> None:
        """From the class and the mask, in its box, of each object; mirrored ones count, too."""
        from scipy.cluster.vq import kmeans2

        by_class: dict[int, list[np.ndarray]] = {}
        for kind, mask in masks:
            own = by_class.setdefault(kind, [])
            if len(own) < _MOST_MASKS:
                own += [mask, mask[:, ::-1]]
        self.dictionary.zero_()
        self.known.zero_()
        for kind, own in by_class.items():
            flat = np.stack(own).reshape(len(own), -1).astype(np.float64)
            if len(flat) > self.centres:
                first = np.random.default_rng(kind).choice(len(flat), self.centres, replace=False)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # an empty cluster keeps the shape that it began with
                    centres, _ = kmeans2(flat, flat[first], minit="matrix")
                flat = centres[np.isfinite(centres).all(1)]
            shapes = torch.from_numpy(flat).to(self.dictionary).reshape(-1, self.side, self.side)
            self.dictionary[kind, : len(shapes)] = shapes
            self.known[kind, : len(shapes)] = True


def _attention(logits: Float[Tensor, "r t t"]) -> Float[Tensor, "r 1 s s"]:
    """Where a mask is, at half its resolution."""
    return F.avg_pool2d(logits[:, None].float(), 2).sigmoid()
