"""Quantiser for features that are normally distributed, as after batch norm: the Gaussian quantizer of A3IS (Eq. 6-9), which we
read as that of Cai et al. ("Deep Learning with Low Precision by Half-wave Gaussian Quantization", CVPR 2017).

Q(x) = q_i for x in (t_i, t_{i+1}], with levels and thresholds that make E[(Q(x) - x)²] least for x of N(0, 1). Without a further
condition they are those of Lloyd and Max: every level is the mean of x in its interval, every threshold the middle of two levels.
With levels a constant step apart, one number remains.
"""

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

_MOST_LEVELS = 256
_STEPS = 50


class GaussianQuantizer(nn.Module):
    """Replaces each value by one of a few levels; the gradient passes where the value is in their range, and is 0 elsewhere.

    `half_wave`: 0 for x ≤ 0, as after ReLU, and one of `levels` positive levels above; the gradient passes above 0 and up to the
    largest. Otherwise `levels` counts all of them, they are symmetric about 0, and the gradient passes between the outermost,
    inclusive. `uniform`: they are a constant step apart. The values given should have mean 0 and variance 1 in each channel: put
    batch norm before.
    """

    values: Float[Tensor, "i"]
    """All levels, ascending."""
    thresholds: Float[Tensor, "j"]
    """Between them."""

    def __init__(self, levels: int, half_wave: bool = True, uniform: bool = True) -> None:
        super().__init__()
        least = 1 if half_wave else 2
        if not least <= levels <= _MOST_LEVELS:
            raise ValueError(f"levels must be {least} to {_MOST_LEVELS}, got {levels}")
        self.half_wave = half_wave
        # Only positive levels are sought, those below 0 mirror them; `first` is where theirs begin, in first levels.
        odd = not half_wave and levels % 2 == 1
        count, first = (levels if half_wave else levels // 2), (0.5 if odd else 0.0)
        if uniform:
            factors = np.arange(count) + (1.0 if half_wave or odd else 0.5)
            positive = factors * _best_step(factors, first)
        else:
            positive = _lloyd_max(count, first)
        error = _errors(positive, first).sum()
        if half_wave:
            values, thresholds = np.array([0.0, *positive]), _edges(positive, first)[:-1]
        else:
            error = 2 * error + (_errors(np.zeros(1), 0.0, most=positive[0] / 2).sum() * 2 if odd else 0)
            values = np.concatenate([-positive[::-1], [0.0] * odd, positive])
            thresholds = (values[1:] + values[:-1]) / 2
        self.expected_error = float(error)
        """E[(Q(x) - x)²] for x of N(0, 1); with `half_wave` of max(x, 0) in the place of x, which is what it stands for."""
        # They follow from the arguments: no weights, but on the device of the weights.
        self.register_buffer("values", torch.from_numpy(values).float(), persistent=False)
        self.register_buffer("thresholds", torch.from_numpy(thresholds).float(), persistent=False)

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        wide = torch.promote_types(x.dtype, torch.float32)
        index = torch.bucketize(x.detach().to(wide).contiguous(), self.thresholds.to(wide))
        levels = self.values.to(wide)
        below = x <= 0 if self.half_wave else x < levels[0]
        # NaN is in no comparison, and stays NaN.
        passing = ~(below | (x > levels[-1]))
        return levels[index].to(x.dtype) + torch.where(passing, x - x.detach(), 0)

    def error(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
        """The mean of (Q(x) - x)², with `half_wave` of max(x, 0) in the place of x; without gradient, 0 of nothing."""
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
        apart = self(x) - (x.clamp(min=0) if self.half_wave else x)
        return apart.square().mean() if x.numel() else x.new_zeros(())


def _edges(
    positive: Float64[np.ndarray, "i"], first: float, most: float = np.inf
) -> Float64[np.ndarray, "i_plus_1"]:
    """The thresholds around the positive levels."""
    return np.array([first * positive[0], *((positive[1:] + positive[:-1]) / 2), most])


def _parts(edges: Float64[np.ndarray, "i_plus_1"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of N(0, 1): the density at the edges, and the integrals of p, x p and x² p between them."""
    from scipy.special import erfc  # pyright: ignore[reportAttributeAccessIssue]

    density = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    above = erfc(edges / np.sqrt(2)) / 2
    times = np.where(density > 0, edges, 0) * density
    share = above[:-1] - above[1:]
    return density, share, density[:-1] - density[1:], share + times[:-1] - times[1:]


def _errors(positive: np.ndarray, first: float, most: float = np.inf) -> Float64[np.ndarray, "i"]:
    """The integral of (q - x)² p over the interval of each level."""
    _, share, mean, square = _parts(_edges(positive, first, most))
    return square - 2 * positive * mean + positive**2 * share


def _best_step(factors: Float64[np.ndarray, "i"], first: float) -> float:
    """The step between uniform levels, where the derivative of their error is 0; thresholds in the middle contribute none."""
    from scipy.optimize import brentq

    def derivative(step: float) -> float:
        _, share, mean, _ = _parts(_edges(factors * step, first))
        return float((factors * (factors * step * share - mean)).sum())

    return brentq(derivative, 1e-6, 4.0, xtol=1e-14)  # pyright: ignore[reportReturnType]


def _lloyd_max(count: int, first: float) -> Float64[np.ndarray, "i"]:
    """Levels that are the means of their intervals: Newton's steps from where the levels of many would be."""
    from scipy.special import ndtri  # pyright: ignore[reportAttributeAccessIssue]

    total = 2 * count + (first > 0)
    levels = np.sqrt(3) * ndtri((np.arange(total - count, total) + 0.5) / total)
    for _ in range(_STEPS):
        edges = _edges(levels, first)
        density, share, mean, _ = _parts(edges)
        centre = mean / share
        # How the mean of an interval moves with its two edges, and an edge with the two levels beside it.
        low = density[:-1] * (centre - edges[:-1]) / share
        high = density[1:] * (np.where(density[1:] > 0, edges[1:], 0) - centre) / share
        slope = np.eye(count) - np.diag(low[1:] / 2, -1) - np.diag(high[:-1] / 2, 1)
        slope -= np.diag(np.array([first * low[0], *(low[1:] / 2)]) + np.array([*(high[:-1] / 2), 0.0]))
        step = np.linalg.solve(slope, levels - centre)
        levels = levels - step
        if np.abs(step).max() < 1e-12:
            break
    return levels
