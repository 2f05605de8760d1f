"""What a person's first lines do in a new process. To import this file imports nothing of the package."""

import sys

import numpy as np
import torch

COMPILER = "torch._dynamo"
"""Its import takes longer than all other work on a small scan."""


def loads_the_compiler(name: str) -> bool:
    """Whether loading a shipped weight imports torch's compiler."""
    assert COMPILER not in sys.modules
    import gestalt3d as g3

    g3.load(name)
    return COMPILER in sys.modules


def segmented(name: str) -> int:
    """Length of the masks that a shipped weight finds, or completes, among 60 points or pixels."""
    assert "gestalt3d" not in sys.modules
    import gestalt3d as g3

    points = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    cloud = g3.PointCloud(points, semantic=torch.zeros(60, dtype=torch.int64))
    camera = g3.Camera.from_focal(9.0, (10, 6), np.eye(4))
    view = g3.View(torch.rand(3, 6, 10), torch.rand(6, 10) + 1, camera)
    model = g3.load(name)
    if model.takes is not g3.View:
        return model.segment(cloud).masks.size
    if model.finds:
        return model.segment(view).masks.size
    seen = g3.Instances(
        masks=g3.Sets.of([torch.arange(20)], 60), classes=torch.tensor([-1]), scores=torch.ones(1),
        vocabulary=model.vocabulary,
    )  # fmt: skip
    whole = model.refine(view, seen).whole
    assert whole is not None
    return whole.size
