"""R-PointNet on a scene of 20,000 points by stage, with the share of its operators, and Chamfer distance beside others.

A synthetic room, thinned to 20,000 points that all take part. The network has the paper's widths and contexts, or the settings of
`rpointnet-rooms`, and random weights: every proposal that survives suppression is classified and the 100 surest get a mask. Each
row is the second run of a process of its own; memory is that process's greatest, interpreter and libraries included. "operators"
is the share of the CPU time of a third run that is spent inside this package's operators, as PyTorch's profiler counts it.

Chamfer distance is that of 192 pairs of 512 generated and 512 true points, both ways, forward alone: distances and indices of
nearest points. point-cloud-utils takes part where it is installed.
"""

import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mtml import peak
from scipy.spatial import cKDTree
from torch.profiler import ProfilerActivity, profile

from gestalt3d.data.relabel import relabel
from gestalt3d.methods.gspn import GSPNConfig
from gestalt3d.methods.pointnet2 import PointNet2Config
from gestalt3d.methods.rpointnet import RPointNet, RPointNetConfig
from gestalt3d.ops.chamfer import nearest_both_ways
from gestalt3d.ops.farthest_points import farthest_points
from gestalt3d.recipes import recipe
from gestalt3d.stages import measure
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import SCANNET21
from gestalt3d.synth.rooms import SPLITS, make_room

POINTS = 20_000


def scene() -> PointCloud:
    cloud = relabel(make_room(SPLITS["test"]), SCANNET21).input
    return cloud[farthest_points(cloud.points[None], min(POINTS, len(cloud)))[0]]


def settings(name: str, seeds: int) -> RPointNetConfig:
    if name == "paper":
        made = RPointNetConfig(gspn=GSPNConfig(points=POINTS), semantics=PointNet2Config(points=POINTS))
    else:
        model = recipe("rpointnet-rooms").model
        assert isinstance(model, RPointNetConfig)
        made = replace(model, gspn=replace(model.gspn, points=POINTS))
    return replace(made, gspn=replace(made.gspn, test_seeds=seeds), min_score=0.0)


def measured(name: str, seeds: int) -> dict[str, Any]:
    """One row."""
    torch.manual_seed(0)
    cloud, method = scene(), RPointNet.from_config(settings(name, seeds), SCANNET21)
    for _ in range(2):
        start, used = time.perf_counter(), time.process_time()
        with measure() as work:
            found = method.segment(cloud)
        used, seconds = time.process_time() - used, time.perf_counter() - start
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        method.segment(cloud)
    events = watched.key_averages()
    own = sum(event.self_cpu_time_total for event in events if event.key.startswith("gestalt3d::"))
    share = own / max(sum(event.self_cpu_time_total for event in events), 1)
    row = {"case": f"{name}, {seeds} seeds", "of points": len(cloud), "instances": len(found)}
    times = {"seconds": seconds, "CPU seconds": used, "operators": share, "peak GB": peak()}
    return {**row, **work.shares, **times}


def chamfer() -> list[dict[str, Any]]:
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.rand(192, 512, 3, generator=rng) for _ in range(2))

    def plain() -> object:
        apart = torch.cdist(a, b)
        return apart.min(2), apart.min(1)

    def trees() -> object:
        pairs = zip(a.numpy(), b.numpy(), strict=True)
        return [(cKDTree(y).query(x), cKDTree(x).query(y)) for x, y in pairs]

    ways: dict[str, Callable[[], object]] = {
        "gestalt3d": lambda: nearest_both_ways(a, b),
        "torch.cdist": plain,
        "SciPy cKDTree": trees,
    }
    if importlib.util.find_spec("point_cloud_utils") is not None:
        import point_cloud_utils  # pyright: ignore[reportMissingImports]

        ways["point-cloud-utils"] = lambda: [
            (point_cloud_utils.k_nearest_neighbors(x, y, 1), point_cloud_utils.k_nearest_neighbors(y, x, 1))
            for x, y in zip(a.numpy(), b.numpy(), strict=True)
        ]
    seconds = {name: best(way) for name, way in ways.items()}
    return [
        {"case": f"Chamfer, {name}", "seconds": each, "times gestalt3d": each / seconds["gestalt3d"]}
        for name, each in seconds.items()
    ]


def best(way: Callable[[], object]) -> float:
    """Seconds of the fastest of five runs, after one that compiles."""
    way()
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        way()
        taken.append(time.perf_counter() - start)
    return float(np.min(taken))


def run() -> list[dict[str, Any]]:
    os.environ["KINETO_LOG_LEVEL"] = "99"  # the profiler would tell of devices that are not there
    rows: list[dict[str, Any]] = []
    spawn = multiprocessing.get_context("spawn")
    for name in ("paper", "rpointnet-rooms"):
        for seeds in (512, 2048):
            with spawn.Pool(1) as process:
                rows.append(process.apply(measured, (name, seeds)))
    return [*rows, *chamfer()]
