"""Convolution of voxels, dense or on occupied voxels only, with the same weights.

A layer holds weights; a *space* says where they are applied. In `DenseSpace` empty voxels are zeros at the input and have
values after the first layer; in `SparseSpace` only occupied voxels have values, at every level. Where every voxel is
occupied the two agree.
"""

from functools import cached_property
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

    channel_dim: int
    """Of the values inside."""

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

    channel_dim = 1

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
        return upsampling_rules(self.coarser.coordinates, self.coordinates)

    def enter(self, features: Tensor) -> Tensor:
        return features

    def leave(self, values: Tensor) -> Tensor:
        return values

    def convolve(self, values: Tensor, weight: Tensor, *, dilation: int, coarse: bool) -> Tensor:
        size = round(len(weight) ** (1 / 3))
        if size == 1:
            return values @ weight[0]
        key = (size, dilation, coarse)
        if key not in self._rules:
            at = self.coarser.coordinates if coarse else self.coordinates
            self._rules[key] = submanifold_rules(at, kernel_size=size, dilation=dilation)
        return sparse_conv(values, weight, self._rules[key])

    def pool(self, values: Tensor) -> Tensor:
        # The kernel knows no bfloat16; the maximum of rounded values is one of them.
        found = segment_max(values.float(), self._coarse_row, len(self.coarser.coordinates))
        return found.to(values.dtype)

    def upsample(self, values: Tensor, weight: Tensor) -> Tensor:
        return sparse_conv(values, weight, self._way_back)


class DenseSpace:
    """The box around the scenes of a batch, the same for all, from the lowest coordinates to the highest."""

    channel_dim = 1

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


def upsampling_rules(coarse: Int[Tensor, "m 4"], fine: Int[Tensor, "v 4"]) -> Rules:
    """`conv_transpose3d` with kernel 4³, stride 2 and padding 1, from coarse voxels to given fine ones.

    Fine voxel f takes from coarse voxel (f + 1 - offset) / 2 where that is whole and occupied.
    """
    inputs, outputs, starts = [], [], [0]
    keys, order, key_of = _lookup(coarse)
    for x in range(4):
        for y in range(4):
            for z in range(4):
                wanted = fine.long() + fine.new_tensor([0, 1 - x, 1 - y, 1 - z])
                rows = (wanted[:, 1:] % 2 == 0).all(1).nonzero()[:, 0]
                wanted = wanted[rows]
                wanted[:, 1:] //= 2
                key = key_of(wanted)
                place = torch.searchsorted(keys, key).clamp_(max=max(len(keys) - 1, 0))
                hit = keys[place] == key if len(keys) else key < 0
                inputs.append(order[place[hit]])
                outputs.append(rows[hit])
                starts.append(starts[-1] + len(outputs[-1]))
    as_rows = lambda parts: torch.cat(parts).to(torch.int32)  # noqa: E731
    return Rules(as_rows(inputs), as_rows(outputs), tuple(starts), len(coarse), len(fine))


def _lookup(coordinates: Tensor):
    """Ascending keys, their rows, and the function that makes the key of a row within one cell of the grid."""
    at = coordinates.long()
    low = at.amin(0) - 1 if len(at) else at.new_zeros(4)
    _, x, y, z = ((at.amax(0) - low) + 2 if len(at) else at.new_ones(4)).tolist()

    def key_of(rows: Tensor) -> Tensor:
        b, i, j, k = (rows.long() - low).unbind(1)
        return ((b * x + i) * y + j) * z + k

    keys, order = torch.sort(key_of(at))
    return keys, order, key_of


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
    return nn.Parameter(torch.randn(offsets, inputs, outputs) * (2 / ((reaching or offsets) * inputs)) ** 0.5)
