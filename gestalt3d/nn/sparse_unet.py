"""U-Net on occupied voxels (Graham et al., "3D Semantic Segmentation with Submanifold Sparse Convolutional Networks",
CVPR 2018): width, 2 width, 3 width … channels, each level on voxels twice as large.

Ours normalises after each convolution, not before it: folded into the weight outside training, it then costs nothing.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.nn.conv3d import he_weight
from gestalt3d.nn.norm import folded, rectified
from gestalt3d.ops.sparse_conv import Rules, sparse_conv, strided_rules, submanifold_rules


class SparseLayer(nn.Module):
    """Sparse convolution through `offsets` weights, batch norm over all voxels, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, offsets: int = 27):
        super().__init__()
        self.weight = he_weight(offsets, inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs, eps=1e-3)

    def forward(self, features: Float[Tensor, "n c"], rules: Rules) -> Float[Tensor, "m d"]:
        if self.norm.training:
            return rectified(self.norm, sparse_conv(features, self.weight, rules))
        scale, bias = folded(self.norm)
        values = sparse_conv(features, self.weight * scale, rules)
        return rectified(self.norm, values + bias.to(values.dtype))


class SparseBlock(nn.Module):
    """Submanifold 3³ layers one after the other."""

    def __init__(self, inputs: int, outputs: int, *, repeats: int):
        super().__init__()
        widths = [inputs, *[outputs] * repeats]
        self.layers = nn.ModuleList(SparseLayer(a, b) for a, b in pairwise(widths))

    def forward(self, features: Float[Tensor, "v c"], rules: Rules) -> Float[Tensor, "v d"]:
        for layer in self.layers:
            features = layer(features, rules)
        return features


class Level(NamedTuple):
    within: Rules
    down: Rules | None
    """To the next level, None at the last one; inverted, the way back."""


def pyramid(coordinates: Int[Tensor, "v 4"], *, levels: int) -> tuple[Level, ...]:
    """The rulebooks of all levels, each made once; `coordinates` are batch, x, y, z."""
    made = []
    for _ in range(levels - 1):
        coarser = strided_rules(coordinates)
        made.append(Level(submanifold_rules(coordinates), coarser.rules))
        coordinates = coarser.coordinates
    return (*made, Level(submanifold_rules(coordinates), None))


class SparseUNet(nn.Module):
    """From `inputs` channels per voxel to `width`; `repeats` layers on the way down and up at each of the `levels`.

    Voxels may come in any order, and the output has the same. Moving the grid by a multiple of `2 ** (levels - 1)`
    voxels changes nothing; other moves shift the coarser grids against the scene.
    """

    def __init__(self, inputs: int, *, width: int = 16, levels: int = 5, repeats: int = 1):
        super().__init__()
        if min(inputs, width, levels, repeats) < 1:
            raise ValueError(
                f"inputs, width, levels and repeats must be at least 1, got {inputs}, {width}, {levels}, {repeats}"
            )
        widths = [width * (i + 1) for i in range(levels)]
        self.stem = SparseLayer(inputs, width)
        self.before = nn.ModuleList(SparseBlock(w, w, repeats=repeats) for w in widths)
        self.down = nn.ModuleList(SparseLayer(a, b, offsets=8) for a, b in pairwise(widths))
        self.up = nn.ModuleList(SparseLayer(b, a, offsets=8) for a, b in pairwise(widths))
        self.after = nn.ModuleList(SparseBlock(2 * w, w, repeats=repeats) for w in widths[:-1])
        self.channels = width
        wide = 2 ** (levels - 1)
        # The stem, the layers of all levels, and that the cells of each level reach past those of the one above.
        self.reach = 1 + 2 * repeats * (wide - 1) + repeats * wide + wide - 1
        """The farthest voxel that an answer depends on, half the receptive field."""

    def forward(
        self, coordinates: Int[Tensor, "v 4"], features: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v d"]:
        levels = pyramid(coordinates, levels=len(self.before))
        *upper, bottom = levels
        x, skips = self.stem(features, levels[0].within), []
        for level, before, down in zip(upper, self.before, self.down, strict=False):
            skips.append(before(x, level.within))
            x = down(skips[-1], level.down)
        x = self.before[-1](x, bottom.within)
        for level, skip, up, after in reversed([*zip(upper, skips, self.up, self.after, strict=True)]):
            assert level.down is not None
            x = after(torch.cat([skip, up(x, level.down.inverse())], dim=1), level.within)
        return x
