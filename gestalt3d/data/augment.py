"""Random changes of a labelled cloud that leave its objects what they are.

Made so that weights trained on synthetic rooms carry over to scanners, phones and depth cameras: coarse
meshes, rooms without ceiling or upper half, holes, noise, colourless clouds, odd white balance.
Labels follow their points, and whole shapes go where their places go, without the holes and the noise.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch

from gestalt3d.configs import (
    CountOrNone,
    Interval,
    Lengths,
    NotNegative,
    Share,
    Shares,
    Within,
    check_ranges,
)
from gestalt3d.ops.normals import normals_of_neighbours
from gestalt3d.ops.segment import segment_mean
from gestalt3d.ops.sparse_conv import neighbourhoods
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.instances import Instances, Shape
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.voxelgrid import VoxelGrid


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges are drawn from uniformly; `p_…` is the probability of a change. Lengths in metres."""

    rotation: bool = True
    """Turn about z by any angle."""
    flip: bool = True
    """Mirror x, y or both."""
    scale: Lengths = (0.9, 1.1)
    """Factor of the size of the whole scan."""
    stretch: Annotated[float, Within(least=0, below=1)] = 0.03
    """Each axis differs from the common scale by at most this fraction."""
    tilt_degrees: Annotated[float, Within(least=0, most=180)] = 3.0
    """Largest rotation about a horizontal axis, as of a scan levelled badly."""
    p_tilt: Share = 0.5
    """Probability of a tilt."""
    elastic: Interval = (0.0, 0.015)
    """Largest amplitude of a smooth random displacement, in metres."""
    elastic_wavelength: Lengths = (0.6, 3.0)
    """Wavelength of that displacement, in metres."""
    p_elastic: Share = 0.5
    """Probability of that displacement."""
    p_bumps: Share = 0.0
    """Probability of dents and swells, as where views of a depth camera are fused that do not quite agree."""
    bumps: Interval = (0.0, 0.04)
    """Root mean square of the dents and swells along each axis, in metres."""
    bump_wavelength: Lengths = (0.25, 1.5)
    """Wavelength of the dents and swells, in metres."""
    noise: Interval = (0.0, 0.006)
    """Standard deviation of the independent error of every coordinate, in metres."""
    # As in a surface that was fitted to many views.
    p_smooth: Share = 0.0
    """Probability that points fall onto the plane around them: noise goes, edges grow round, thin things melt."""
    smooth: Lengths = (0.02, 0.06)
    """The surroundings of a point are 3³ voxels of this side, in metres."""

    p_crop: Share = 0.3
    """Probability that a part of the room is kept: the points nearest to a random one in an oblong, turned window."""
    crop: Shares = (0.3, 0.9)
    """Share of the points a crop keeps."""
    p_no_ceiling: Share = 0.3
    """Probability that the ceiling goes."""
    p_cut_height: Share = 0.1
    """Probability that all above a height goes, as in scans made by hand."""
    cut_height: Interval = (1.2, 2.2)
    """That height over the lowest point, in metres."""

    p_thin: Share = 0.3
    """Probability that one point per voxel stays, as in a mesh's vertices."""
    thin: Lengths = (0.01, 0.035)
    """Edge of that voxel, in metres."""
    p_dropout: Share = 0.5
    """Probability that points are lost anywhere."""
    dropout: Shares = (0.1, 0.6)
    """Share of the points that are lost so."""
    p_falloff: Share = 0.3
    """Probability that density falls with the squared distance from a random place, as around a scanner."""
    falloff: Lengths = (1.0, 3.0)
    """Distance from which it falls, in metres."""
    p_holes: Share = 0.3
    """Probability of round holes."""
    holes: Annotated[tuple[CountOrNone, CountOrNone], Within(rising=True)] = (1, 8)
    """Number of the holes."""
    hole_radius: Interval = (0.05, 0.25)
    """Radius of a hole, in metres."""

    p_no_color: Share = 0.2
    """Probability that the whole scan loses its colours."""
    p_gray: Share = 0.05
    """Probability that colours become grey."""
    p_color: Share = 0.8
    """Probability of the changes of colour from here to `color_noise`, all together."""
    brightness: NotNegative = 0.2
    """Most that is added to all channels, or taken off, where white is 1."""
    contrast: Interval = (0.6, 1.4)
    """Factor of the differences from the mean colour."""
    gamma: Lengths = (0.7, 1.4)
    """Power that the channels are raised to."""
    saturation: Interval = (0.4, 1.5)
    """Factor of the differences from grey."""
    hue_degrees: Annotated[float, Within(least=0, most=180)] = 25.0
    """Largest turn of the hues, in degrees."""
    white_balance: Interval = (0.8, 1.2)
    """Factor of each channel."""
    color_noise: Interval = (0.0, 0.04)
    """Standard deviation of the independent error of every channel."""
    p_shading: Share = 0.5
    """Probability of light and shadow that vary smoothly over the room, as from lamps, windows and a camera's exposure."""
    shading: Interval = (0.0, 0.35)
    """Deviation from 1 of the factor by which light and shadow change the brightness."""
    shading_wavelength: Lengths = (0.6, 5.0)
    """Metres over which light and shadow vary."""
    p_paint: Share = 0.3
    """Probability that objects, walls and floors are painted anew, each with its own contrast, brightness and colour cast."""
    paint_share: Share = 0.5
    """Share of the objects, walls and floors that are painted anew."""
    paint_brightness: NotNegative = 0.15
    """Standard deviation of what painting adds to all channels alike."""
    paint_cast: NotNegative = 0.06
    """Standard deviation of what painting adds to each channel on its own."""

    min_points: CountOrNone = 500
    """A removal that would leave fewer points does not happen."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def __call__(self, sample: Scan, rng: np.random.Generator) -> Scan:
        """`augment`."""
        return augment(sample, rng, self)

    def changes_nothing(self) -> bool:
        """Whether every scan stays what it is."""
        return self == PLAIN


PLAIN = AugmentConfig(
    rotation=False, flip=False, scale=(1.0, 1.0), stretch=0.0, p_tilt=0.0, p_elastic=0.0, p_bumps=0.0, noise=(0.0, 0.0),
    p_smooth=0.0, p_crop=0.0, p_no_ceiling=0.0, p_cut_height=0.0, p_thin=0.0, p_dropout=0.0, p_falloff=0.0, p_holes=0.0,
    p_no_color=0.0, p_gray=0.0, p_color=0.0, p_shading=0.0, p_paint=0.0,
)  # fmt: skip
"""Every scan stays what it is."""


def augment(scan: Scan, rng: np.random.Generator, config: AugmentConfig = AugmentConfig()) -> Scan:
    """A changed copy: instances that lost all their points are gone, and so are visible boxes, normals and shapes of voxels.

    Other whole shapes and amodal boxes are turned, stretched and bent as the scan is; the boxes stay upright, each around its
    shape or, where there is none, around the corners that it had.
    """
    points = scan.input.points.numpy()
    kept = _surviving_points(points, _is_ceiling(scan), rng, config)
    motion = _Motion.drawn(points[kept], rng, config)
    points = _measured(motion, points[kept], rng, config)
    colors = scan.input.colors
    colors = None if colors is None else _recolored(colors.numpy()[kept], rng, config)
    if colors is not None and config.p_shading and rng.random() < config.p_shading:
        colors = _shaded(colors, points, rng, config)
    if colors is not None and config.p_paint and rng.random() < config.p_paint:
        colors = _painted(colors, scan.truth.to_labels().numpy()[kept], rng, config)
    tinted = None if colors is None else torch.from_numpy(colors)
    given = scan.input[torch.from_numpy(kept)]
    cloud = PointCloud(
        torch.from_numpy(points),
        tinted,
        origin=given.origin,
        semantic=given.semantic,
        features=given.features,
    )
    return Scan(scan.name, cloud, _with_whole(_restricted(scan.truth, torch.from_numpy(kept)), motion))


def _is_ceiling(scan: Scan) -> np.ndarray | None:
    found = scan.truth
    if found.element_classes is None or "ceiling" not in found.vocabulary.names:
        return None
    return (found.element_classes == found.vocabulary.id("ceiling")).numpy()


def _surviving_points(
    points: np.ndarray, is_ceiling: np.ndarray | None, rng: np.random.Generator, config: AugmentConfig
) -> np.ndarray:
    """Ascending indices. Removals run from coarse to fine, each on what the ones before left."""
    kept = np.arange(len(points))

    def remove(gone: np.ndarray) -> None:
        nonlocal kept
        if len(gone) - np.count_nonzero(gone) >= config.min_points:
            kept = kept[~gone]

    if len(points) <= config.min_points:
        return kept
    if rng.random() < config.p_crop:
        remove(_outside_window(points[kept], rng.uniform(*config.crop), rng))
    if rng.random() < config.p_no_ceiling and is_ceiling is not None:
        remove(is_ceiling[kept])
    if rng.random() < config.p_cut_height:
        height = points[kept, 2]
        remove(height > np.quantile(height, 0.005) + rng.uniform(*config.cut_height))
    if rng.random() < config.p_holes:
        remove(_in_holes(points[kept], rng, config))
    if rng.random() < config.p_falloff:
        remove(_too_far(points[kept], rng.uniform(*config.falloff), rng))
    if rng.random() < config.p_dropout:
        remove(rng.random(len(kept), dtype=np.float32) < rng.uniform(*config.dropout))
    if rng.random() < config.p_thin:
        remove(_crowded(points[kept], rng.uniform(*config.thin), rng))
    return kept


def _outside_window(points: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """All but the `share` of points nearest to a random one, by the larger of two horizontal distances."""
    angle, aspect = rng.uniform(0, np.pi), np.exp(rng.uniform(-0.5, 0.5))
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [aspect, 1 / aspect]
    flat = (points[:, :2] - points[rng.integers(len(points)), :2]) @ axes.astype(np.float32)
    distance = np.abs(flat).max(axis=1)
    return distance > np.quantile(distance, share)


def _in_holes(points: np.ndarray, rng: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    gone = np.zeros(len(points), dtype=bool)
    for _ in range(rng.integers(config.holes[0], config.holes[1] + 1)):
        offset = points - points[rng.integers(len(points))]
        gone |= np.einsum("nc,nc->n", offset, offset) < rng.uniform(*config.hole_radius) ** 2
    return gone


def _too_far(points: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    offset = points - points[rng.integers(len(points))]
    dist2 = np.einsum("nc,nc->n", offset, offset)
    return rng.random(len(points), dtype=np.float32) * np.maximum(dist2, distance**2) > distance**2


def _crowded(points: np.ndarray, voxel_size: float, rng: np.random.Generator) -> np.ndarray:
    """All but one random point of each voxel."""
    cell = ((points - points.min(axis=0)) / voxel_size).astype(np.int64)
    size = cell.max(axis=0) + 1
    key = (cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]
    order = rng.permutation(len(points))
    _, first = np.unique(key[order], return_index=True)
    gone = np.ones(len(points), dtype=bool)
    gone[order[first]] = False
    return gone


@dataclass(frozen=True)
class _Waves:
    """A sum of plane waves of random direction: (n, 3) places → (n, channels), alike in neighbours and not in far places."""

    waves: np.ndarray
    """(k, 3) radians a metre."""
    phases: np.ndarray
    amplitudes: np.ndarray
    """(k, channels)."""

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        wavelength: tuple[float, float],
        amplitude: float,
        channels: int,
        count: int = 4,
    ) -> "_Waves":
        """`amplitude` is the root mean square, over many draws, of what a channel can reach."""
        directions = rng.standard_normal((count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        waves = directions * (2 * np.pi / rng.uniform(*wavelength, (count, 1)))
        amplitudes = rng.standard_normal((count, channels)) * amplitude / np.sqrt(count)
        phases = rng.uniform(0, 2 * np.pi, count)
        return cls(waves.astype(np.float32), phases.astype(np.float32), amplitudes.astype(np.float32))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return np.sin(points @ self.waves.T + self.phases) @ self.amplitudes


@dataclass(frozen=True)
class _Motion:
    """Where a place goes: (n, 3) → (n, 3) float32 about the centre, which stays where it is."""

    centre: np.ndarray
    pose: np.ndarray
    waves: tuple[_Waves, ...]

    @classmethod
    def drawn(cls, points: np.ndarray, rng: np.random.Generator, config: AugmentConfig) -> "_Motion":
        """About the centre of the points."""
        centre = points.mean(axis=0) if len(points) else np.zeros(3, dtype=np.float32)
        pose, waves = _pose(rng, config).astype(np.float32), []
        if rng.random() < config.p_elastic:
            waves.append(_Waves.drawn(rng, config.elastic_wavelength, rng.uniform(*config.elastic), 3))
        if config.p_bumps and rng.random() < config.p_bumps:
            # The mean square of a sine is half the square of its amplitude. A dozen waves no longer look like waves.
            size = 2**0.5 * rng.uniform(*config.bumps)
            waves.append(_Waves.drawn(rng, config.bump_wavelength, size, 3, count=12))
        return cls(centre, pose, tuple(waves))

    def about_centre(self, points: np.ndarray) -> np.ndarray:
        points = (points - self.centre) @ self.pose.T
        for waves in self.waves:
            points = points + waves(points)
        return points

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return (self.about_centre(points) + self.centre).astype(np.float32)


def _measured(
    motion: _Motion, points: np.ndarray, rng: np.random.Generator, config: AugmentConfig
) -> np.ndarray:
    """(n, 3) float32: the points at their new places, as inexact as a scanner and what fuses its views make them."""
    points = motion.about_centre(points)
    deviation = rng.uniform(*config.noise)
    if deviation > 0:
        points = points + rng.standard_normal(points.shape, dtype=np.float32) * np.float32(deviation)
    if config.p_smooth and rng.random() < config.p_smooth:
        points = _smoothed(points, rng.uniform(*config.smooth))
    return (points + motion.centre).astype(np.float32)


def _pose(rng: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    """(3, 3): stretch, then flip, then turn, then tilt."""
    size = rng.uniform(*config.scale) * (1 + rng.uniform(-config.stretch, config.stretch, 3))
    if config.flip:
        size[:2] *= rng.choice([-1, 1], 2)
    pose = np.diag(size)
    if config.rotation:
        pose = _rotation(np.array([0.0, 0.0, 1.0]), rng.uniform(0, 2 * np.pi)) @ pose
    if rng.random() < config.p_tilt:
        heading, angle = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(0, config.tilt_degrees))
        pose = _rotation(np.array([np.cos(heading), np.sin(heading), 0.0]), angle) @ pose
    return pose


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues: (3, 3) about a unit axis."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _smoothed(points: np.ndarray, size: float) -> np.ndarray:
    """Every point on the plane that fits the means of its voxel's surroundings; where these span none, as it is."""
    source = torch.from_numpy(points.astype(np.float32))
    voxels = voxelize(source, voxel_size=size)
    means = segment_mean(source, voxels.voxel_of_point, len(voxels.counts))
    near = neighbourhoods(voxels.coordinates)
    known = near >= 0
    mean_about = (means[near.clamp(min=0)] * known[..., None]).sum(1) / known.sum(1, keepdim=True)
    normals = normals_of_neighbours(means[None], near[None])[0][voxels.voxel_of_point]
    height = ((source - mean_about[voxels.voxel_of_point]) * normals).sum(1, keepdim=True)
    return (source - height * normals).numpy()


_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _recolored(colors: np.ndarray, rng: np.random.Generator, config: AugmentConfig) -> np.ndarray | None:
    if rng.random() < config.p_no_color:
        return None
    if rng.random() < config.p_gray:
        colors = np.repeat((colors @ _LUMA)[:, None], 3, axis=1)
    if rng.random() >= config.p_color or not len(colors):
        return colors
    gain = rng.uniform(*config.white_balance, (3, 1)) * _hue_and_saturation(rng, config)
    contrast, mean = np.float32(rng.uniform(*config.contrast)), colors.mean()
    shift = mean + np.float32(rng.uniform(-config.brightness, config.brightness))
    changed = (colors @ gain.astype(np.float32).T - mean) * contrast + shift
    changed += rng.standard_normal(colors.shape, dtype=np.float32) * np.float32(
        rng.uniform(*config.color_noise)
    )
    return (np.clip(changed, 0, 1) ** rng.uniform(*config.gamma)).astype(np.float32)


def _shaded(
    colors: np.ndarray, points: np.ndarray, rng: np.random.Generator, config: AugmentConfig
) -> np.ndarray:
    """(n, 3): brighter here and darker there, by a factor of 1 + the waves."""
    light = _Waves.drawn(rng, config.shading_wavelength, rng.uniform(*config.shading), 1)(points)
    return np.clip(colors * (1 + light), 0, 1).astype(np.float32)


def _painted(
    colors: np.ndarray, labels: np.ndarray, rng: np.random.Generator, config: AugmentConfig
) -> np.ndarray:
    """(n, 3): some instances with another contrast about their mean colour, and another mean."""
    row = labels + 1  # what belongs to no instance is painted as one
    count = int(row.max(initial=0)) + 1
    number = np.maximum(np.bincount(row, minlength=count), 1)[:, None]
    mean = np.stack([np.bincount(row, colors[:, c], count) for c in range(3)], axis=1) / number
    contrast = rng.uniform(*config.contrast, (count, 1))
    shift = rng.normal(0, config.paint_brightness, (count, 1)) + rng.normal(0, config.paint_cast, (count, 3))
    chosen = rng.random((count, 1)) < config.paint_share
    contrast, shift = np.where(chosen, contrast, 1), np.where(chosen, shift, 0)
    changed = colors * contrast[row] + ((1 - contrast) * mean + shift)[row]
    return np.clip(changed, 0, 1).astype(np.float32)


def _hue_and_saturation(rng: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    """(3, 3): a rotation about the grey axis, then a blend with the grey of the same brightness."""
    angle = np.deg2rad(rng.uniform(-config.hue_degrees, config.hue_degrees))
    saturation = rng.uniform(*config.saturation)
    gray = np.tile(_LUMA, (3, 1))
    return (saturation * np.eye(3) + (1 - saturation) * gray) @ _rotation(np.full(3, 3**-0.5), angle)


def _restricted(found: Instances, kept: torch.Tensor) -> Instances:
    """The instances that have points at `kept`, in their old order; what overlaps still does."""
    masks = found.masks.restricted(kept)
    restricted = replace(
        found,
        masks=masks,
        whole=None if found.whole is None else found.whole.restricted(kept),
        element_classes=None if found.element_classes is None else found.element_classes[kept],
        boxes=None,
        image_boxes=None,
        source_from_cloud=None,
    )
    return restricted[masks.sizes > 0]


def _with_whole(found: Instances, motion: _Motion) -> Instances:
    """Whole shapes and amodal boxes at their new places."""
    shapes, boxes = _moved_shapes(found.shapes, motion), found.amodal_boxes
    if boxes is not None:
        inside = [_points_of(shape) for shape in shapes] if shapes else [np.zeros((0, 3))] * len(found)
        rows = [_moved_box(box, own, motion) for box, own in zip(boxes.numpy(), inside, strict=True)]
        boxes = torch.from_numpy(np.array(rows, np.float32).reshape(-1, 7))
    return replace(found, shapes=shapes, amodal_boxes=boxes)


def _moved_shapes(shapes: tuple[Shape, ...] | None, motion: _Motion) -> tuple[PointCloud | Mesh, ...] | None:
    """None where one is a voxel grid, which cannot be turned."""
    moved: list[PointCloud | Mesh] = []
    for shape in shapes or ():
        if isinstance(shape, VoxelGrid):
            return None
        points = torch.from_numpy(motion(_points_of(shape)))
        moved.append(Mesh(points, shape.faces) if isinstance(shape, Mesh) else PointCloud(points))
    return None if shapes is None else tuple(moved)


def _points_of(shape: PointCloud | Mesh) -> np.ndarray:
    """(k, 3) float32 in the frame of the scan."""
    return shape.vertices.numpy() if isinstance(shape, Mesh) else shape.world_points.float().numpy()


def _moved_box(box: np.ndarray, inside: np.ndarray, motion: _Motion) -> np.ndarray:
    """(7,): upright, turned as it is, around the points that have moved already or, without any, its corners moved."""
    heading = motion.pose[:2, :2] @ [np.cos(box[6]), np.sin(box[6])]
    yaw = float(np.arctan2(heading[1], heading[0]))
    if not len(inside):
        corners = (_CORNERS * box[3:6]) @ turn_matrix(float(box[6])).numpy().T + box[:3]
        inside = motion(corners.astype(np.float32))
    turn = turn_matrix(yaw).numpy()
    low, high = (inside @ turn).min(axis=0), (inside @ turn).max(axis=0)
    return np.concatenate([turn @ ((low + high) / 2), high - low, [yaw]])


_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
