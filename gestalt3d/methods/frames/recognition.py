"""The object recognition network of Deep Sliding Shapes (Song and Xiao, CVPR 2016, Sec. 4): what regions see, what it says."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods.frames.objects import turned, widened
from gestalt3d.methods.frames.space import Frame, SpaceConfig
from gestalt3d.nn.scene_volume import LAYOUT, SceneTrunk, Seen, volume_layer
from gestalt3d.ops.roi_align import points_in_boxes
from gestalt3d.ops.roi_align_2d import roi_align_2d
from gestalt3d.ops.roi_align_3d import roi_align_3d

Reduce = Literal["max", "mean"]
Place = Literal["align", "warp", "pool"]
_LOWEST = 0.02
"""Share of what is seen that may lie below the floor."""
_MEASURES, _MEASURED = 12, 64
"""Numbers of a region's geometry, and channels that they become."""
_PATCH = 7
"""Cells of a region's patch of the photo's features along each side."""


@dataclass(frozen=True)
class RecognitionConfig:
    """Defaults are those of the authors' code; `shared`, `turn` and `geometry` are ours."""

    size: Count = 30
    """Voxels along the sides of a region in the recognition network."""
    margin: Annotated[float, Within(least=1, most=4)] = 1.25
    """Of what it sees, in sizes of the region."""
    widths: tuple[Count, ...] = (96, 192, 384)
    """Channels of its convolutions, each but the last followed by pooling."""
    sizes: tuple[Count, ...] = (5, 3, 3)
    """Voxels along their sides."""
    shared: bool = False
    """Let regions see the trunk's features, too."""
    hidden: Count = 4096
    """Channels that the volume and the photo of a region become, each."""
    joint: Count = 1000
    """Channels of both together."""
    dropout: Annotated[float, Within(least=0, below=1)] = 0.5
    """Of these."""
    turn: bool = False
    """Learn the yaw of objects, too."""
    geometry: bool = False
    """Let it know how large a region is and where it lies to camera and floor, which bins of any size do not tell."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if len(self.widths) != len(self.sizes):
            raise UserError(f"widths and sizes must be as many, got {len(self.widths)} and {len(self.sizes)}")


class Encoded(NamedTuple):
    """What is known of frames whatever their regions."""

    seen: Seen
    image: Float[Tensor, "b c i j"] | None


class Recognised(NamedTuple):
    """Of regions."""

    classes: Float[Tensor, "r classes_plus_1"]
    """Logits, the last one of no object."""
    deltas: Float[Tensor, "r classes 6"]
    """To a better box, in the region's own axes."""
    turn: Float[Tensor, "r classes"]
    """To a better yaw, in quarters of half a turn."""


class RegionFeatures(nn.Module):
    """The volume inside boxes, and where asked for the trunk's maps, in cubes of as many bins."""

    def __init__(
        self,
        space: SpaceConfig,
        trunk: SceneTrunk,
        size: int,
        *,
        shared: bool,
        samples: int = 1,
        reduce: Reduce = "mean",
        place: Place = "align",
    ) -> None:
        super().__init__()
        self.space, self.pools = space, trunk.pools
        self.size, self.samples, self.shared = size, samples, shared
        self.reduce: Reduce = reduce
        self.place: Place = place
        self.channels = space.channels + (sum(trunk.widths) if shared else 0)

    def forward(
        self, frame: Frame, seen: Seen, boxes: Float[Tensor, "r 7"], rows: Int[Tensor, "r"]
    ) -> Float[Tensor, "r c s s s"]:
        voxel = self.space.voxel
        maps = [(frame.volume, voxel)]
        if self.shared:
            near = voxel * self.pools[0]
            maps += [(seen.near, near), (seen.far, near * self.pools[1])]
        found = [
            roi_align_3d(
                values, boxes, rows, origin=self.space.low, cell=cell, size=self.size, samples=self.samples,
                reduce=self.reduce, place=self.place,
            )
            for values, cell in maps
        ]  # fmt: skip
        joined = torch.cat([values.to(frame.volume.dtype) for values in found], dim=1)
        return joined.contiguous(memory_format=LAYOUT)


class Recognition(nn.Module):
    """The object recognition network (Sec. 4): the volume of a region and its patch of the photo side by side."""

    def __init__(
        self,
        config: RecognitionConfig,
        space: SpaceConfig,
        trunk: SceneTrunk,
        *,
        photo: int,
        classes: int,
        norm: bool,
    ) -> None:
        super().__init__()
        c = config
        self.features = RegionFeatures(space, trunk, c.size, shared=c.shared)
        layers: list[nn.Module] = []
        channels, side = self.features.channels, c.size
        for i, (width, size) in enumerate(zip(c.widths, c.sizes, strict=True)):
            layers.append(volume_layer(channels, width, size, norm=norm))
            channels = width
            if i < len(c.widths) - 1:
                layers.append(nn.MaxPool3d(2))
                side //= 2
        self.tower = nn.Sequential(*layers)
        self.of_volume = _dense(channels * side**3, c.hidden, c.dropout)
        self.of_photo = _dense(photo * _PATCH**2, c.hidden, c.dropout) if photo else None
        self.of_geometry = _dense(_MEASURES, _MEASURED, 0.0) if c.geometry else None
        known = c.hidden * (2 if photo else 1) + _MEASURED * c.geometry
        self.joint = _dense(known, c.joint, 0.0)
        self.to_class = nn.Linear(c.joint, classes + 1)
        self.to_box = nn.Linear(c.joint, classes * 6)
        self.to_turn = nn.Linear(c.joint, classes) if c.turn else None
        self.margin = c.margin

    def forward(
        self,
        frame: Frame,
        encoded: Encoded,
        boxes: Float[Tensor, "r 7"],
        rows: Int[Tensor, "r"],
    ) -> Recognised:
        wide = widened(boxes, self.margin)
        parts = [self.of_volume(self.tower(self.features(frame, encoded.seen, wide, rows)).flatten(1))]
        if self.of_photo is not None:
            assert encoded.image is not None
            at = image_boxes(frame, boxes, rows)
            scale = encoded.image.shape[-1] / frame.image.shape[-1]
            patch = roi_align_2d(encoded.image.float(), at, rows, scale=scale, size=_PATCH)
            parts.append(self.of_photo(patch.flatten(1)))
        if self.of_geometry is not None:
            parts.append(self.of_geometry(geometry_of(frame, boxes, rows)))
        x = self.joint(torch.cat(parts, dim=1))
        deltas = self.to_box(x).float().unflatten(1, (-1, 6))
        turn = torch.zeros_like(deltas[..., 0]) if self.to_turn is None else self.to_turn(x).float()
        return Recognised(self.to_class(x).float(), deltas, turn)


def _dense(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout(dropout))


@torch.no_grad()
def geometry_of(frame: Frame, boxes: Float[Tensor, "r 7"], rows: Int[Tensor, "r"]) -> Float[Tensor, "r 12"]:
    """In metres and the region's own axes: size and its logarithm, centre from the camera and how far it is, and how high
    bottom and top are above the floor.
    """
    rotation, shift = frame.camera_from_grid[:, :3, :3], frame.camera_from_grid[:, :3, 3]
    camera = -(rotation * shift[..., None]).sum(1)  # no matrix product, which autocast would round
    away = turned(boxes[:, :3] - camera[rows], boxes[:, 6])
    size, floor = boxes[:, 3:6], torch.stack([*map(_floor, frame.places, frame.seen)])[rows]
    ends = torch.stack([boxes[:, 2] - size[:, 2] / 2 - floor, boxes[:, 2] + size[:, 2] / 2 - floor], dim=1)
    return torch.cat(
        [size, size.clamp(min=0.01).log(), away, away[:, :2].norm(dim=1, keepdim=True), ends], dim=1
    )


def _floor(places: Float[Tensor, "h w 3"], seen: Bool[Tensor, "h w"]) -> Float[Tensor, ""]:
    """Height below which hardly anything of a frame lies; 0 where nothing is seen."""
    heights = places[..., 2][seen]
    if len(heights) == 0:
        return places.new_zeros(())
    return heights.kthvalue(1 + int(_LOWEST * (len(heights) - 1))).values


@torch.no_grad()
def image_boxes(frame: Frame, boxes: Float[Tensor, "r 7"], rows: Int[Tensor, "r"]) -> Float[Tensor, "r 4"]:
    """Left, top, right and bottom edge of the pixels that each region holds; all 0 where it holds none."""
    height, width = frame.places.shape[1:3]
    found = boxes.new_zeros(len(boxes), 4)
    for k in torch.unique(rows).tolist():
        own = (rows == k).nonzero()[:, 0]
        inside = points_in_boxes(frame.places[k].flatten(0, 1), boxes[own])
        sizes = inside.offsets.diff().to(own.device)
        region = torch.arange(len(own), device=own.device).repeat_interleave(sizes)
        pixel = inside.indices.to(own.device)
        u, v = (pixel % width).float(), (pixel // width).float()
        edges = [
            boxes.new_full((len(own),), start).scatter_reduce(0, region, values.to(boxes), how)
            for values, how, start in (
                (u, "amin", float(width)), (v, "amin", float(height)), (u + 1, "amax", 0.0), (v + 1, "amax", 0.0)
            )
        ]  # fmt: skip
        found[own] = torch.where((sizes > 0)[:, None], torch.stack(edges, dim=1), 0)
    return found
