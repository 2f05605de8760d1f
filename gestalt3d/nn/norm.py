"""Batch norm's momentum, which the training schedules."""

from torch import nn


def set_bn_momentum(module: nn.Module, momentum: float) -> None:
    """Weight of the newest batch in every running mean and variance; PointNet's falls from 0.5 to 0.01."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = momentum
