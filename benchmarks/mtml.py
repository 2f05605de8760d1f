"""MTML on a scene of the paper's size by stage: seconds and memory of network and post-processing.

Synthetic rooms side by side until their boxes hold 1.6 million voxels of 10 cm, true semantics as input, ScanNet's
classes. The network has the default widths and random weights. What it says is of no use, so the clustering gets what a
trained one might say in its place: in each room every instance's features lie around a centre of their own, 2 delta_dist
from the room's others, a tenth of the voxels astray; rooms share the space of features, as rooms beyond the receptive
field do. The row "untrained" goes on with the network's own answer. Each row is the second run of a process of its own;
memory is that process's greatest, interpreter and libraries included. "proposals" holds components and mean shift. Where
the machine has other work, CPU seconds say more than seconds.
"""

import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gestalt3d.bench import MAXRSS
from gestalt3d.data.relabel import relabel
from gestalt3d.methods.mtml import MTML, MTMLConfig, Prediction
from gestalt3d.methods.staged import StagedConfig
from gestalt3d.methods.voxels.grouping import Scored
from gestalt3d.methods.voxels.labelled import classes_of_voxels, is_object
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.ops.centers import to_centers
from gestalt3d.ops.segment import segment_mode
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.recipes import recipe
from gestalt3d.stages import measure
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SCANNET20
from gestalt3d.synth.rooms import SPLITS, make_room

VOLUME = 1_600_000
"""Voxels of the paper's scenes (Sec. 4, "Setup")."""
VOXEL_SIZE = 0.1
IN_A_ROW = 4
GAP = 0.2
"""Metres between rooms."""


class Scene:
    """Rooms on shelves, floors level."""

    def __init__(self, volume: int = VOLUME, *, first: int = SPLITS["test"]) -> None:
        self.rooms: list[Scan] = []
        self._points: list[Tensor] = []
        self._x = self._y = self._depth = 0.0
        self.volume = 0
        while self.volume < volume:
            self._add(relabel(make_room(first + len(self.rooms)), SCANNET20))

    def _add(self, room: Scan) -> None:
        points = room.input.points - room.input.points.amin(0)
        if len(self.rooms) % IN_A_ROW == 0:
            self._x, self._y, self._depth = 0.0, self._y + self._depth, 0.0
        self.volume += int((points.amax(0) / VOXEL_SIZE).ceil().prod())
        width, depth, _ = (points.amax(0) + GAP).tolist()
        self._points.append(points + torch.tensor([self._x, self._y, 0.0]))
        self._x, self._depth = self._x + width, max(self._depth, depth)
        self.rooms.append(room)

    def cloud(self) -> PointCloud:
        """With the true classes as given semantics."""
        classes = [room.truth.element_classes for room in self.rooms]
        return PointCloud(torch.cat(self._points), semantic=torch.cat([c for c in classes if c is not None]))

    def owners(self) -> tuple[Tensor, Tensor]:
        """Instance of each point, counted through all rooms, and the room of each instance."""
        sizes = [len(room.truth) for room in self.rooms]
        first = np.cumsum([0, *sizes[:-1]]).tolist()
        labels = [room.truth.to_labels() for room in self.rooms]
        labels = [torch.where(own < 0, own, own + start) for own, start in zip(labels, first, strict=True)]
        return torch.cat(labels), torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


def centres(count: int, *, apart: float, rng: np.random.Generator) -> np.ndarray:
    """(count, 4) features of one room's instances, no two nearer than `apart`."""
    found: list[np.ndarray] = []
    reach = apart
    while len(found) < count:
        reach *= 1.002
        c = rng.uniform(-reach, reach, 4)
        if all(np.linalg.norm(c - other) >= apart for other in found):
            found.append(c)
    return np.array(found).reshape(count, 4)


def as_trained(
    owners: Tensor, rooms: Tensor, coordinates: Tensor, config: MTMLConfig, *, seed: int
) -> Prediction:
    """What a trained network would say about voxels of these instances."""
    rng = np.random.default_rng(seed)
    counts = torch.bincount(rooms).tolist()
    means = np.concatenate([centres(n, apart=2 * config.delta_dist, rng=rng) for n in counts])
    own = means[owners.numpy()] + rng.normal(0, 0.4 * config.delta_var, (len(owners), 4))
    own[owners.numpy() < 0] = rng.normal(0, 2, (int((owners < 0).sum()), 4))
    astray = rng.random(len(own)) < 0.1
    own[astray] += rng.normal(0, 2 * config.delta_var, (int(astray.sum()), 4))
    target, _ = to_centers(coordinates.float(), owners, len(means))
    return Prediction(target + 0.3 * torch.randn(target.shape), torch.from_numpy(own).float())


class Stand(MTML):
    """The network runs; the clustering hears `answers`, one a look."""

    answers: Sequence[Prediction] = ()

    def group(
        self,
        looks: Sequence[Prediction],
        coordinates: Tensor,
        classes: Tensor,
        semantics: Tensor | None = None,
    ) -> Scored:
        return super().group(self.answers or looks, coordinates, classes, semantics)


def measured(name: str, trained: bool, volume: int, config: MTMLConfig) -> dict[str, Any]:
    """One row."""
    torch.manual_seed(0)
    scene = Scene(volume)
    cloud = scene.cloud()
    method = Stand.from_config(config, SCANNET20)
    assert isinstance(method, Stand)
    voxels = voxelize(cloud.points, voxel_size=config.voxel_size)
    assert cloud.semantic is not None
    classes = classes_of_voxels(cloud.semantic, voxels, SCANNET20)
    objects = is_object(classes, SCANNET20)
    if trained:
        labels, rooms = scene.owners()
        owners = segment_mode(labels, voxels.voxel_of_point, len(classes), len(rooms))
        seen = owners[objects], rooms, voxels.coordinates[objects], config
        method.answers = [as_trained(*seen, seed=turn) for turn in range(config.turns)]
    for _ in range(2):
        start, used = time.perf_counter(), time.process_time()
        with measure() as work:
            found = method.segment(cloud)
        used, seconds = time.process_time() - used, time.perf_counter() - start
    row = {
        "case": f"{name}, {len(scene.rooms)} rooms, {config.space}",
        "volume": scene.volume,
        "occupied": len(classes),
        "of objects": int(objects.sum()),
        "instances": len(found),
    }
    return {**row, **work.shares, **work.within, "seconds": seconds, "CPU seconds": used, "peak GB": peak()}


def peak() -> float | None:
    """Gigabytes this process has had at most; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS / 1e9


def run(*, volume: int = VOLUME) -> list[dict[str, Any]]:
    rows, paper = [], MTMLConfig(norm=True)
    rooms = recipe("mtml-rooms").model
    assert isinstance(rooms, StagedConfig) and isinstance(rooms.parter, MTMLConfig)
    cases = (
        ("as trained", True, paper),
        (
            "as trained, settings of mtml-rooms",
            True,
            replace(rooms.parter, semantic_noise=SemanticNoiseConfig()),
        ),
        ("untrained", False, paper),
    )
    spawn = multiprocessing.get_context("spawn")
    for name, trained, config in cases:
        with spawn.Pool(1) as process:
            rows.append(process.apply(measured, (name, trained, volume, config)))
    return rows
