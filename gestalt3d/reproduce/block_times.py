"""Milliseconds for one block, split into network and grouping as in ASIS Table 5, scikit-learn's mean shift beside."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch

from gestalt3d.data import open_data
from gestalt3d.engine.model import Model
from gestalt3d.methods.asis import ASISConfig
from gestalt3d.methods.rooms.blockwise import looks_at_blocks

Result = TypeVar("Result")


def block_times(model: Model, *, blocks: int = 8, points: int = 4096) -> dict[str, float]:
    """Medians over blocks of so many points of test rooms, in the same process on the same blocks; nothing of other methods.

    "scikit-learn grouping ms" clusters the same embeddings with the usual choice, where the method clusters an embedding and
    scikit-learn is installed.
    """
    method = model.method
    if not looks_at_blocks(method):
        return {}
    sampler = copy.copy(method)  # shares the weights, not the settings
    sampler.config = replace(
        method.config,
        blocks=replace(method.config.blocks, points=points),
        training=replace(method.config.training, blocks_per_scan=1),
    )
    rng = np.random.default_rng(0)
    scans = open_data("rooms:test", vocabulary=model.vocabulary, limit=4)
    batches = [sampler.prepare(scans[i % len(scans)], rng) for i in range(blocks)]
    network: list[float] = []
    grouping: list[float] = []
    usual: list[float] = []
    with torch.inference_mode():
        for batch in [batch.to(method.mean_sizes.device) for batch in batches]:
            method(batch)  # compiled kernels and caches are warm
            took, prediction = _timed(lambda b=batch: method(b))
            network.append(took)
            prediction = type(prediction)(*(values.cpu() for values in prediction))
            method.group(prediction)
            took, _ = _timed(lambda p=prediction: method.group(p))
            grouping.append(took)
            if isinstance(method.config, ASISConfig):
                usual.append(_scikit_learn(prediction.embedding[0].double().numpy(), method.config.bandwidth))
    result = {"network ms": statistics.median(network), "grouping ms": statistics.median(grouping)}
    result["overall ms"] = result["network ms"] + result["grouping ms"]
    if usual and not any(np.isnan(usual)):
        result["scikit-learn grouping ms"] = statistics.median(usual)
    return result


def _timed(call: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3, result


def _scikit_learn(embedding: np.ndarray, bandwidth: float) -> float:
    try:
        from sklearn.cluster import MeanShift
    except ImportError:
        return float("nan")
    return _timed(lambda: MeanShift(bandwidth=bandwidth, bin_seeding=True).fit(embedding))[0]
