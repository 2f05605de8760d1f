"""What a network costs: its parameters, and its floating point operations for a photo."""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gestalt3d.configs import Config
from gestalt3d.methods import method_of
from gestalt3d.methods.mask_rcnn import MaskRCNNConfig
from gestalt3d.methods.method import takes_views
from gestalt3d.methods.refiner import finds, refines
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

OBJECTS = 10
"""In the photo; they stand side by side."""


class Cost(NamedTuple):
    flops: int
    """Of convolutions and matrix products; a multiplication and its addition are two."""
    parameters: int

    def __add__(self, other: tuple[object, ...]) -> "Cost":
        assert isinstance(other, Cost)
        return Cost(self.flops + other.flops, self.parameters + other.parameters)


def cost(config: Config, vocabulary: Vocabulary, size: tuple[int, int]) -> Cost:
    """Of `OBJECTS` objects in a photo of that width and height: of finding them with their masks, where the method does that,
    else of completing their masks.
    """
    if isinstance(config, MaskRCNNConfig):
        # Whatever its weights, it finds just so many.
        config = replace(config, min_score=0.0, max_iou=1.0, most=OBJECTS)
    view = View(torch.zeros(3, size[1], size[0]))
    method = method_of(config).from_config(config, vocabulary)
    with FlopCounterMode(display=False) as counter:
        if takes_views(method) and finds(method):
            method.segment(view)
        elif refines(method):
            method.refine(view, _side_by_side(view, vocabulary))
    parameters = sum(p.numel() for p in method.parameters()) if isinstance(method, nn.Module) else 0
    return Cost(counter.get_total_flops(), parameters)


def _side_by_side(view: View, vocabulary: Vocabulary) -> Instances:
    height, width = view.image.shape[1:]
    columns = torch.arange(width) * OBJECTS // width
    pixels = torch.arange(height * width).view(height, width)[height // 4 : height // 2]
    return Instances(
        masks=Sets.of([pixels[:, columns == i].flatten() for i in range(OBJECTS)], height * width),
        classes=torch.zeros(OBJECTS, dtype=torch.int64),
        scores=torch.ones(OBJECTS),
        vocabulary=vocabulary,
    )
