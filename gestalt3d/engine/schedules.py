"""What changes from step to step: the learning rate, batch norm's momentum, averaged weights."""

import math

import torch
from torch import nn

from gestalt3d.engine.recipe import Optim


def learning_rate(optim: Optim, step: int) -> float:
    """Rate of step `step` (from 0): linear warm-up, then the recipe's schedule, never below its floor."""
    if step < optim.warmup:
        return optim.lr * (step + 1) / optim.warmup
    if optim.schedule == "halving":
        rate = optim.lr * 0.5 ** (step * optim.samples_per_step // optim.halve_every)
    elif optim.schedule == "cosine":
        done = (step - optim.warmup) / max(optim.steps - optim.warmup, 1)
        rate = optim.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    else:
        rate = optim.lr
    return max(rate, optim.lr_floor)


def bn_momentum(optim: Optim, step: int) -> float:
    """Batch norm's share of the new batch: halves with the rate, from `bn_momentum` down to .01 (PointNet's schedule)."""
    halvings = step * optim.samples_per_step // optim.halve_every
    return max(0.01, optim.bn_momentum * 0.5**halvings)


class Averaged:
    """Exponential moving average of the weights (EMA); buffers are copied. Used for evaluation when the recipe asks for it."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        # A short memory at first, or the average would start from random weights.
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            mean = self.tensors[name]
            if mean.is_floating_point() and "running_" not in name:
                mean.lerp_(value.detach().to(mean.dtype), 1 - decay)
            else:
                mean.copy_(value)
