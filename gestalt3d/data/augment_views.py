"""Random changes of a labelled RGB-D frame that leave its objects what they are."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import CountOrNone, Interval, Lengths, NotNegative, Share, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.structures.camera import Camera
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.samples import Input, Sample
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View


@dataclass(frozen=True)
class ViewAugment:
    """Ranges are drawn from uniformly; `p_…` is the probability of a change."""

    p_mirror: Share = 0.5
    """Probability that left becomes right, in image and world."""
    p_gray: Share = 0.05
    """Probability that the photo becomes grey."""
    p_color: Share = 0.8
    """Probability of all changes of colour below together."""
    brightness: NotNegative = 0.15
    """Most that is added to all channels, or taken off, where white is 1."""
    contrast: Interval = (0.7, 1.3)
    """Factor of the differences from the mean colour."""
    gamma: Lengths = (0.75, 1.35)
    """Power that the channels are raised to."""
    white_balance: Lengths = (0.85, 1.15)
    """Factor of each channel."""
    color_noise: Interval = (0.0, 0.03)
    """Standard deviation of the independent error of every channel."""
    p_holes: Share = 0.5
    """Probability that patches of the depth are lost."""
    holes: Annotated[tuple[CountOrNone, CountOrNone], Within(rising=True)] = (1, 6)
    """Number of these patches."""
    hole_size: Annotated[tuple[CountOrNone, CountOrNone], Within(rising=True)] = (4, 24)
    """Sides of a patch in pixels of an image 320 wide."""

    def __post_init__(self) -> None:
        check_ranges(self)

    def changes_nothing(self) -> bool:
        """Whether every frame stays what it is."""
        return self.p_mirror == self.p_gray == self.p_color == self.p_holes == 0

    def __call__(self, sample: Sample[Input], rng: np.random.Generator) -> Sample[Input]:
        """A changed copy, without what a synthetic world knows besides the truth; the sample itself where nothing is changed.

        `UserError` for clouds.
        """
        view, truth = sample.input, sample.truth
        if not isinstance(view, View):
            raise UserError(f"{sample.name}: is a cloud, and ViewAugment changes frames")
        if self.changes_nothing():
            return sample
        if rng.random() < self.p_mirror:
            view, truth = _mirrored(view, truth)
        view = replace(view, image=self._recolored(view.image, rng), depth=self._with_holes(view.depth, rng))
        return Sample(sample.name, view, truth)

    def _recolored(self, image: Float[Tensor, "3 h w"], rng: np.random.Generator) -> Float[Tensor, "3 h w"]:
        if rng.random() < self.p_gray:
            image = image.mean(0, keepdim=True).expand_as(image)
        if rng.random() >= self.p_color:
            return image.contiguous()
        factor = rng.uniform(*self.contrast) * rng.uniform(*self.white_balance, size=3)
        image = image.clamp(0, 1) ** float(rng.uniform(*self.gamma))
        mean = image.mean()
        scaled = (image - mean) * torch.from_numpy(factor).float()[:, None, None] + mean
        scaled = scaled + float(rng.uniform(-self.brightness, self.brightness))
        noise = rng.standard_normal(tuple(image.shape), dtype=np.float32) * rng.uniform(*self.color_noise)
        return (scaled + torch.from_numpy(noise.astype(np.float32))).clamp(0, 1)

    def _with_holes(self, depth: Tensor | None, rng: np.random.Generator) -> Tensor | None:
        if depth is None or rng.random() >= self.p_holes:
            return depth
        depth, (height, width) = depth.clone(), depth.shape
        for _ in range(int(rng.integers(self.holes[0], self.holes[1] + 1))):
            sides = rng.integers(self.hole_size[0], self.hole_size[1] + 1, size=2) * width / 320
            row, column = int(rng.integers(height)), int(rng.integers(width))
            depth[row : row + int(sides[0]) + 1, column : column + int(sides[1]) + 1] = 0
        return depth


AS_IT_IS = ViewAugment(p_mirror=0.0, p_gray=0.0, p_color=0.0, p_holes=0.0)
"""Every frame stays what it is."""
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def _mirrored(view: View, truth: Instances) -> tuple[View, Instances]:
    """Left is right: x of camera and world change their sign."""
    width, height = view.image.shape[2], view.image.shape[1]
    camera = view.camera
    if camera is not None:
        k = camera.intrinsics.copy()
        k[0, 2], k[0, 1] = width - 1 - k[0, 2], -k[0, 1]
        camera = Camera(k, _MIRROR @ camera.world_from_camera @ _MIRROR, camera.size)
    depth = None if view.depth is None else view.depth.flip(1).contiguous()
    mirrored = View(view.image.flip(2).contiguous(), depth, camera, view.path, view.notes)
    other = torch.arange(width * height).reshape(height, width).flip(1).flatten()
    boxes = {
        name: None if boxes is None else boxes * torch.tensor([-1.0, 1, 1, 1, 1, 1, -1])
        for name, boxes in (("boxes", truth.boxes), ("amodal_boxes", truth.amodal_boxes))
    }
    edges = truth.image_boxes
    if edges is not None:
        edges = torch.stack([width - edges[:, 2], edges[:, 1], width - edges[:, 0], edges[:, 3]], dim=1)
    shapes = truth.shapes
    if shapes is not None:
        shapes = tuple(_mirrored_mesh(shape) for shape in shapes if isinstance(shape, Mesh))
        shapes = shapes if len(shapes) == len(truth) else None
    classes = truth.element_classes
    return mirrored, replace(
        truth,
        masks=_at(truth.masks, other),
        whole=None if truth.whole is None else _at(truth.whole, other),
        image_boxes=edges,
        shapes=shapes,
        element_classes=None if classes is None else classes[other],
        **boxes,
    )


def _mirrored_mesh(mesh: Mesh) -> Mesh:
    """Faces keep their outsides."""
    return Mesh(mesh.vertices * torch.tensor([-1.0, 1, 1]), mesh.faces.flip(1))


def _at(sets: Sets, other: Int[Tensor, "n"]) -> Sets:
    """Elements renamed, ascending in every set."""
    moved, parts = other[sets.indices], list[Tensor]()
    for first, last in zip(sets.offsets[:-1].tolist(), sets.offsets[1:].tolist(), strict=True):
        parts.append(moved[first:last].sort().values)
    return Sets(sets.offsets, torch.cat([moved[:0], *parts]), sets.size)
