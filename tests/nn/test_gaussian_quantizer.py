"""The best levels for a normal distribution: published constants, Lloyd's and Max's conditions, the gradient's range."""

import math

import pytest
import torch
from torch import nn

from gestalt3d.nn import gaussian_quantizer as module
from gestalt3d.nn.gaussian_quantizer import GaussianQuantizer

KINDS = [
    (levels, half_wave, uniform)
    for half_wave in (True, False)
    for uniform in (True, False)
    for levels in ((1, 2, 3, 7, 15, 256) if half_wave else (2, 3, 4, 5, 16, 33, 256))
]


@pytest.mark.parametrize(
    ("levels", "step", "uniform", "best", "digits"),
    [
        (2, 1.5958, 0.3634, 0.3634, 4),
        (4, 0.9957, 0.1188, 0.1175, 4),
        (8, 0.5860, 0.03744, 0.03455, 5),
        (16, 0.3352, 0.01154, 0.00950, 5),
        (32, 0.1881, 0.00350, 0.00250, 5),
        (64, 0.1041, 0.00104, 0.00064, 5),
    ],
)
def test_steps_and_errors_of_symmetric_levels(
    levels: int, step: float, uniform: float, best: float, digits: int
) -> None:
    even, free = (GaussianQuantizer(levels, half_wave=False, uniform=u) for u in (True, False))
    assert even.values.diff().mean().item() == pytest.approx(step, abs=0.5e-4)
    assert even.expected_error == pytest.approx(uniform, abs=0.51 * 10**-digits)
    assert free.expected_error == pytest.approx(best, abs=0.51 * 10**-digits)


@pytest.mark.parametrize(
    ("levels", "positive"),
    [
        (2, [0.7979]),
        (4, [0.4528, 1.5104]),
        (8, [0.2451, 0.7560, 1.3439, 2.1519]),
        (16, [0.1284, 0.3880, 0.6568, 0.9423]),
    ],
)
def test_levels_of_lloyd_and_max(levels: int, positive: list[float]) -> None:
    found = GaussianQuantizer(levels, half_wave=False, uniform=False).values
    assert found[levels // 2 :][: len(positive)].tolist() == pytest.approx(positive, abs=0.51e-4)
    torch.testing.assert_close(found, -found.flip(0))


@pytest.mark.parametrize(
    ("levels", "step", "within"),
    [(1, 0.798, 5e-4), (3, 0.5388, 1e-4), (7, 0.3217, 1e-4), (15, 0.1842, 1e-4)],
)
def test_steps_of_half_waves(levels: int, step: float, within: float) -> None:
    """Those that the paper publishes for two bits are .538, 1.076 and 1.614, cut off after three digits."""
    found = GaussianQuantizer(levels).values
    torch.testing.assert_close(found, step * torch.arange(levels + 1.0), atol=levels * within, rtol=0)


def test_levels_of_half_waves_without_a_step() -> None:
    three, seven = GaussianQuantizer(3, uniform=False), GaussianQuantizer(7, uniform=False)
    assert three.values.tolist() == pytest.approx([0, 0.3177, 1.0001, 1.8936], abs=0.51e-4)
    assert three.thresholds.tolist() == pytest.approx([0, 0.6589, 1.4469], abs=0.51e-4)
    assert seven.values[[1, -1]].tolist() == pytest.approx([0.1457, 2.6251], abs=0.51e-4)


@pytest.mark.parametrize(
    ("levels", "half_wave"), [(4, False), (5, False), (33, False), (3, True), (15, True)]
)
def test_every_free_level_is_the_mean_of_its_interval(levels: int, half_wave: bool) -> None:
    quantizer = GaussianQuantizer(levels, half_wave=half_wave, uniform=False)
    edges = [-math.inf, *quantizer.thresholds.tolist(), math.inf]
    for value, low, high in zip(quantizer.values.tolist(), edges, edges[1:], strict=False):
        if half_wave and high <= 0:
            continue
        x = torch.linspace(max(low, -12), min(high, 12), 200_001, dtype=torch.float64)
        p = torch.exp(-(x**2) / 2)
        mean = torch.trapezoid(x * p, x) / torch.trapezoid(p, x)
        assert value == pytest.approx(float(mean), abs=1e-6)


@pytest.mark.parametrize("factor", [0.97, 0.99, 1.01, 1.03])
@pytest.mark.parametrize(("levels", "half_wave"), [(2, False), (5, False), (16, False), (1, True), (7, True)])
def test_no_other_step_is_better(levels: int, half_wave: bool, factor: float) -> None:
    best, other, free = (GaussianQuantizer(levels, half_wave, uniform) for uniform in (True, True, False))
    other.values *= factor
    other.thresholds *= factor
    x = torch.linspace(-9, 9, 400_000, dtype=torch.float64)
    p = torch.exp(-x.square() / 2)
    stands_for = x.clamp(min=0) if half_wave else x
    found, worse, least = (
        float(((q(x) - stands_for).square() * p).sum() / p.sum()) for q in (best, other, free)
    )
    assert found < worse
    assert found == pytest.approx(best.expected_error, abs=1e-7)
    assert least == pytest.approx(free.expected_error, abs=1e-7)


@pytest.mark.parametrize(("levels", "half_wave", "uniform"), KINDS)
def test_is_monotone_takes_its_levels_and_the_nearest_of_them(
    levels: int, half_wave: bool, uniform: bool
) -> None:
    quantizer = GaussianQuantizer(levels, half_wave, uniform)
    x = torch.linspace(-6, 6, 40_001)
    found = quantizer(x)
    assert bool((found.diff() >= 0).all()) and bool((quantizer.values.diff() > 0).all())
    assert set(found.tolist()) <= set(quantizer.values.tolist())
    assert (
        len(quantizer.values) == levels + half_wave and len(quantizer.thresholds) == len(quantizer.values) - 1
    )
    some = x[x > 0] if half_wave else x
    among = quantizer.values[1:] if half_wave else quantizer.values
    best = (some[:, None] - among).abs().amin(1)
    torch.testing.assert_close((quantizer(some) - some).abs(), best, atol=1e-6, rtol=0)
    assert not quantizer(-x[x >= 0]).any() or not half_wave


@pytest.mark.parametrize(("levels", "half_wave", "uniform"), KINDS)
def test_free_levels_are_no_worse_and_more_are_better(levels: int, half_wave: bool, uniform: bool) -> None:
    one = GaussianQuantizer(levels, half_wave, uniform).expected_error
    assert one >= GaussianQuantizer(levels, half_wave, False).expected_error - 1e-12
    if levels < 256:
        assert one > GaussianQuantizer(levels + 1, half_wave, uniform).expected_error > 0


def test_the_step_agrees_for_half_waves_of_the_same_intervals() -> None:
    """Free levels do not know whether the other half is there."""
    half, both = GaussianQuantizer(6, uniform=False), GaussianQuantizer(12, half_wave=False, uniform=False)
    torch.testing.assert_close(half.values[1:], both.values[6:])
    assert 2 * half.expected_error == pytest.approx(both.expected_error, abs=1e-12)


def test_a_value_on_a_threshold_takes_the_lower_level() -> None:
    half, both = GaussianQuantizer(3), GaussianQuantizer(4, half_wave=False)
    for quantizer in (half, both):
        assert torch.equal(quantizer(quantizer.thresholds), quantizer.values[:-1])
        assert torch.equal(quantizer(quantizer.values), quantizer.values)


def test_the_gradient_passes_in_the_range_of_the_levels() -> None:
    half, both = GaussianQuantizer(3), GaussianQuantizer(4, half_wave=False)
    for quantizer in (half, both):
        most = float(quantizer.values[-1])
        low = 0.0 if quantizer.half_wave else -most
        step = 1e-6
        x = torch.tensor([-torch.inf, low - 0.1, low, low + step, 0.3, most, most + step, torch.inf])
        x.requires_grad_()
        quantizer(x).backward(torch.arange(1.0, 9))
        assert x.grad is not None
        at_low = 0 if quantizer.half_wave else 3
        assert x.grad.tolist() == [0, 0, at_low, 4, 5, 6, 0, 0]


def test_nan_stays_and_what_is_infinite_takes_the_outermost() -> None:
    for quantizer in (GaussianQuantizer(3), GaussianQuantizer(4, half_wave=False)):
        found = quantizer(torch.tensor([torch.nan, torch.inf, -torch.inf]))
        assert bool(found[0].isnan()) and found[1:].tolist() == quantizer.values[[-1, 0]].tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_type_stays(dtype: torch.dtype) -> None:
    quantizer = GaussianQuantizer(3)
    x = torch.randn(50, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert quantizer(x).dtype == dtype
    torch.testing.assert_close(quantizer(x), quantizer(x.float()).to(dtype))
    assert quantizer(torch.zeros(0, 3)).shape == (0, 3)


def test_the_error_of_normal_values_is_the_expected_one() -> None:
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    for quantizer in (GaussianQuantizer(3), GaussianQuantizer(4, half_wave=False, uniform=False)):
        # A mean of n squares between 0 and about 1 varies by less than 1 / sqrt(n).
        assert float(quantizer.error(x)) == pytest.approx(quantizer.expected_error, abs=200_000**-0.5)
        assert float(quantizer.error(torch.zeros(0))) == 0
    assert float(GaussianQuantizer(3).error(torch.tensor([-5.0, 0.0]))) == 0


def test_it_has_nothing_to_save_and_follows_its_network() -> None:
    network = nn.Sequential(nn.BatchNorm1d(4), GaussianQuantizer(3))
    assert not any("1." in name for name in network.state_dict())
    assert network.double()(torch.randn(8, 4).double()).dtype == torch.float64


@pytest.mark.parametrize(("levels", "half_wave"), [(0, True), (1, False), (257, True), (-3, False)])
def test_what_makes_no_sense_is_refused(levels: int, half_wave: bool) -> None:
    with pytest.raises(ValueError, match="levels must be"):
        GaussianQuantizer(levels, half_wave=half_wave)


def test_newton_arrives_long_before_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = GaussianQuantizer(256, half_wave=False, uniform=False).expected_error
    monkeypatch.setattr(module, "_STEPS", 12)
    found = GaussianQuantizer(256, half_wave=False, uniform=False).expected_error
    assert found == pytest.approx(expected, rel=1e-9)
