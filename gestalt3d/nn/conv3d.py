"""Convolution of voxels, dense or on occupied voxels only, with the same weights.

A layer holds weights; a *space* says where they are applied. In `DenseSpace` empty voxels are zeros at the input and have
values after the first layer; in `SparseSpace` only occupied voxels have values, at every level. Where every voxel is
occupied the two agree.
"""

from functools import cached_property
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.ops.segment import segment_max
from gestalt3d.ops.sparse_conv import Coarser, Rules, sparse_conv, strided_rules, submanifold_rules


@runtime_checkable
class Space(Protocol):
    """Occupied voxels of a batch of scenes, and voxels twice as large above them."""

    def enter(self, features: Tensor) -> Tensor:
        """Values of the occupied voxels (v, c) in the space's own form."""
        ...

    def leave(self, values: Tensor) -> Tensor:
        """The way back."""
        ...

    def convolve(self, values: Tensor, weight: Tensor, *, dilation: int, coarse: bool) -> Tensor:
        """Cubic convolution that keeps the voxels; `weight` is (k, c, d), offsets with z fastest."""
        ...

    def pool(self, values: Tensor) -> Tensor:
        """Maximum over 2³ voxels, on the coarse level."""
        ...

    def upsample(self, values: Tensor, weight: Tensor) -> Tensor:
        """Transposed convolution from the coarse level, kernel 4³ and stride 2: `weight` is (64, c, d)."""
        ...


class SparseSpace:
    """`coordinates` are batch, x, y, z, all rows distinct. Rulebooks are made once."""

    def __init__(self, coordinates: Int[Tensor, "v 4"]) -> None:
        self.coordinates = coordinates
        self._rules: dict[tuple[int, int, bool], Rules] = {}

    @cached_property
    def coarser(self) -> Coarser:
        """The coarse voxels."""
        return strided_rules(self.coordinates)

    @cached_property
    def _coarse_row(self) -> Tensor:
        """Of every voxel."""
        rules = self.coarser.rules
        rows = rules.inputs.new_empty(len(self.coordinates), dtype=torch.int64)
        rows[rules.inputs.long()] = rules.outputs.long()
        return rows

    @cached_property
    def _way_back(self) -> Rules:
        near = self._rulebook(3, dilation=1, coarse=True)
        return upsampling_rules(near, self._coarse_row, self.coordinates)

    def enter(self, features: Tensor) -> Tensor:
        return features

    def leave(self, values: Tensor) -> Tensor:
        return values

    def convolve(self, values: Tensor, weight: Tensor, *, dilation: int, coarse: bool) -> Tensor:
        size = round(len(weight) ** (1 / 3))
        if size == 1:
            return values @ weight[0]
        return sparse_conv(values, weight, self._rulebook(size, dilation=dilation, coarse=coarse))

    def _rulebook(self, size: int, *, dilation: int, coarse: bool) -> Rules:
        key = (size, dilation, coarse)
        if key not in self._rules:
            at = self.coarser.coordinates if coarse else self.coordinates
            self._rules[key] = submanifold_rules(at, kernel_size=size, dilation=dilation)
        return self._rules[key]

    def pool(self, values: Tensor) -> Tensor:
        return segment_max(values, self._coarse_row, len(self.coarser.coordinates))

    def upsample(self, values: Tensor, weight: Tensor) -> Tensor:
        return sparse_conv(values, weight, self._way_back)


class DenseSpace:
    """The box around the scenes of a batch, the same for all, from the lowest coordinates to the highest."""

    def __init__(self, coordinates: Int[Tensor, "v 4"]) -> None:
        at = coordinates.long()
        low = at.amin(0) if len(at) else at.new_zeros(4)
        # The coarse grid's cells begin at even coordinates, as in the sparse space.
        low = torch.cat([low[:1] * 0, low[1:].div(2, rounding_mode="floor") * 2])
        self._at = tuple((at - low).unbind(1))
        high = (at - low).amax(0) + 1 if len(at) else at.new_ones(4)
        self._shape = tuple(int(n) for n in (high[0], *(high[1:] + high[1:] % 2)))

    def enter(self, features: Tensor) -> Tensor:
        grid = features.new_zeros((*self._shape, features.shape[1]))
        return grid.index_put(self._at, features).movedim(-1, 1)

    def leave(self, values: Tensor) -> Tensor:
        return values.movedim(1, -1)[self._at]

    def convolve(self, values: Tensor, weight: Tensor, *, dilation: int, coarse: bool) -> Tensor:
        size = round(len(weight) ** (1 / 3))
        return F.conv3d(values, _cube(weight, size), padding=size // 2 * dilation, dilation=dilation)

    def pool(self, values: Tensor) -> Tensor:
        return F.max_pool3d(values, 2)

    def upsample(self, values: Tensor, weight: Tensor) -> Tensor:
        return F.conv_transpose3d(values, _cube(weight, 4).transpose(0, 1), stride=2, padding=1)


def _cube(weight: Tensor, size: int) -> Tensor:
    """(k, c, d) → (d, c, x, y, z)."""
    return weight.unflatten(0, (size, size, size)).permute(4, 3, 0, 1, 2)


def upsampling_rules(near: Rules, parents: Int[Tensor, "v"], fine: Int[Tensor, "v 4"]) -> Rules:
    """`conv_transpose3d` with kernel 4³, stride 2 and padding 1, from coarse voxels to given fine ones.

    Fine voxel f takes from coarse voxel (f + 1 - offset) / 2 where that is whole and occupied: its parent or one of the
    neighbours that the rulebook `near`, 3³ on the coarse level, lists.
    """
    neighbours = _neighbours(near)
    odd = fine[:, 1:] % 2
    of_kind = [(odd == odd.new_tensor(kind)).all(1).nonzero()[:, 0] for kind in _cube_of(2)]
    inputs, outputs, starts = [], [], [0]
    for offset in _cube_of(4):
        kind = [(o + 1) % 2 for o in offset]
        x, y, z = ((odd + 1 - o) // 2 + 1 for odd, o in zip(kind, offset, strict=True))
        rows = of_kind[4 * kind[0] + 2 * kind[1] + kind[2]]
        found = neighbours[9 * x + 3 * y + z][parents[rows]]
        hit = found >= 0
        inputs.append(found[hit])
        outputs.append(rows[hit].to(torch.int32))
        starts.append(starts[-1] + len(outputs[-1]))
    return Rules(torch.cat(inputs), torch.cat(outputs), tuple(starts), near.rows_in, len(fine))


def _neighbours(rules: Rules) -> Int[Tensor, "k v"]:
    """Row of each voxel's neighbour at every offset, -1 for none."""
    table = rules.inputs.new_full((len(rules.starts) - 1, rules.rows_out), -1)
    table[rules.identity] = torch.arange(rules.rows_out, device=table.device)
    for k, (first, last) in enumerate(pairwise(rules.starts)):
        table[k, rules.outputs[first:last].long()] = rules.inputs[first:last]
    return table


def _cube_of(side: int) -> list[list[int]]:
    """Places in a cube, z fastest."""
    return [[x, y, z] for x in range(side) for y in range(side) for z in range(side)]


class Conv(nn.Module):
    """Cubic convolution, then batch norm where asked for, then ReLU where asked for. Without norm it has a bias."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        size: int = 3,
        dilation: int = 1,
        coarse: bool = False,
        norm: bool = False,
        relu: bool = True,
    ) -> None:
        super().__init__()
        self.dilation, self.coarse = dilation, coarse
        self.weight = he_weight(size**3, inputs, outputs)
        self.after = After(outputs, norm=norm, relu=relu)

    def forward(self, values: Tensor, space: Space) -> Tensor:
        return self.after(space.convolve(values, self.weight, dilation=self.dilation, coarse=self.coarse))


class Upsample(nn.Module):
    """Transposed convolution 4³, stride 2, from the coarse level."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool = False, relu: bool = False) -> None:
        super().__init__()
        # Of the 64 weights 8 reach a voxel.
        self.weight = he_weight(64, inputs, outputs, reaching=8)
        self.after = After(outputs, norm=norm, relu=relu)

    def forward(self, values: Tensor, space: Space) -> Tensor:
        return self.after(space.upsample(values, self.weight))


class After(nn.Module):
    """Batch norm over all voxels or a bias, then perhaps ReLU; channels are dimension 1."""

    def __init__(self, channels: int, *, norm: bool, relu: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels) if norm else None
        self.bias = None if norm else nn.Parameter(torch.zeros(channels))
        self.relu = relu

    def forward(self, values: Float[Tensor, "b c *xyz"]) -> Float[Tensor, "b c *xyz"]:
        if self.norm is not None:
            values = self._normalised(values, self.norm)
        elif self.bias is not None:
            values = values + self.bias.view(-1, *[1] * (values.ndim - 2)).to(values.dtype)
        return F.relu(values) if self.relu else values

    @staticmethod
    def _normalised(values: Tensor, norm: nn.BatchNorm1d) -> Tensor:
        # One voxel has no variance to divide by: it is judged by what earlier batches looked like.
        training = norm.training and values.numel() > values.shape[1]
        statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return F.batch_norm(values, *statistics, training, norm.momentum or 0.0, norm.eps)


def he_weight(offsets: int, inputs: int, outputs: int, *, reaching: int | None = None) -> nn.Parameter:
    """He et al.'s normal initialisation of (offsets, inputs, outputs), `reaching` of which meet in a voxel."""
    weight = torch.empty(offsets, inputs, outputs)
    # There weights are about to be loaded, and random numbers would import all of torch's compiler.
    if not weight.is_meta:
        weight.normal_().mul_((2 / ((reaching or offsets) * inputs)) ** 0.5)
    return nn.Parameter(weight)
