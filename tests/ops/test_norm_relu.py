"""Batch norm with ReLU: torch's own as oracle, both precisions, gradients, large means."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gestalt3d.ops.norm_relu import _op, norm_relu, norm_relu_reference
from tests.ops import kit

OP = kit.Op(torch.ops.gestalt3d.norm_relu, norm_relu_reference, _op)


def case(rows: int, c: int, *, mean: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, c, generator=g) * 2 + mean
    return x, torch.randn(c, generator=g), torch.randn(c, generator=g)


@pytest.mark.parametrize(("rows", "c"), [(1, 3), (7, 5), (640, 33), (2048, 32)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_torchs_batch_norm_and_relu(rows: int, c: int, dtype: torch.dtype) -> None:
    x, weight, bias = case(rows, c)
    x = x.to(dtype)
    grad = torch.randn(rows, c).to(dtype)
    found, oracle = [], []
    for inputs, out in (([x, weight, bias], found), ([x.double(), weight.double(), bias.double()], oracle)):
        leaves = [i.clone().requires_grad_() for i in inputs]
        if out is found:
            y = norm_relu(*leaves, eps=1e-3).out
        elif rows == 1:
            y = F.relu(leaves[0] * 0 + leaves[2])
        else:
            y = F.relu(F.batch_norm(leaves[0], None, None, leaves[1], leaves[2], True, eps=1e-3))
        y.backward(grad.to(y.dtype))
        out += [y.detach(), *(leaf.grad for leaf in leaves)]
    step = torch.finfo(dtype).eps  # results are rounded once; sums of float32 stay far below bfloat16's step
    for f, o in zip(found, oracle, strict=True):
        f = torch.zeros_like(o) if f is None else f
        o = torch.zeros_like(f) if o is None else o
        near_zero = 20 * max(step, 1e-5) if dtype == torch.float32 else 0.03
        torch.testing.assert_close(f.double(), o.double(), rtol=4 * max(step, 1e-5), atol=near_zero)


def test_a_large_mean_does_not_swallow_the_variance() -> None:
    x, weight, bias = case(4096, 8, mean=1000.0)
    _, mean, var = norm_relu(x, weight, bias, eps=0.0)
    torch.testing.assert_close(mean.double(), x.double().mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(var.double(), x.double().var(0, correction=0), rtol=1e-4, atol=0)


def test_is_deterministic_and_ignores_memory_layout() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x, weight, bias = case(6000, 24)
        kit.check_deterministic(OP, x.to(dtype), weight, bias, 1e-3)
        kit.check_layouts(OP, x.to(dtype), weight, bias, 1e-3)


def test_backward_is_deterministic() -> None:
    x, weight, bias = case(6000, 24)
    out, mean, var = norm_relu(x, weight, bias, eps=1e-3)
    backward = torch.ops.gestalt3d.norm_relu_backward
    kit.check_deterministic(kit.Op(backward, backward), torch.randn_like(x), x, out, weight, mean, var, 1e-3)


def test_gradients() -> None:
    x, weight, bias = (v.double().requires_grad_() for v in case(9, 3))
    assert torch.autograd.gradcheck(lambda *a: norm_relu(*a, eps=1e-3).out, (x, weight, bias))


def test_registration() -> None:
    x, weight, bias = case(16, 4)
    kit.check_registration(OP, x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_(), 1e-3)


def test_nan_stays_visible() -> None:
    x, weight, bias = case(16, 4)
    x[3, 2] = torch.nan
    assert norm_relu(x, weight, bias, eps=1e-3).out[:, 2].isnan().all()


def test_no_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        norm_relu(torch.zeros(0, 3), torch.ones(3), torch.zeros(3), eps=1e-3)
