"""Operators as `torch.library` knows them, without waking its compiler."""

import subprocess
import sys

import pytest
import torch

from gestalt3d.ops.operator import Operator


def test_reference_kernel_shapes_and_gradient() -> None:
    calls = []
    cube = Operator("gestalt3d::test_cube", lambda x: x * x * x, schema="(Tensor x) -> Tensor")

    @cube.register_fake
    def fake(x):
        return torch.empty_like(x)

    cube.register_autograd(
        lambda ctx, grad: grad * 3 * ctx.saved_tensors[0] ** 2,
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
    )
    x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    torch.library.opcheck(cube.overload, (x,))
    assert cube(x).tolist() == [1.0, -8.0] and torch.autograd.gradcheck(cube, x)

    @cube.register_kernel("cpu")
    def kernel(x):
        calls.append(len(x))
        return x**3

    assert torch.ops.gestalt3d.test_cube(x).tolist() == [1.0, -8.0] and calls == [2]
    assert cube(x.to("meta")).shape == x.shape and calls == [2]


def test_without_a_gradient_to_ask_for_one_is_an_error() -> None:
    double = Operator("gestalt3d::test_double", lambda x: x + x, schema="(Tensor x) -> Tensor")
    double.register_fake(torch.empty_like)
    x = torch.ones(2, requires_grad=True)
    torch.library.opcheck(double.overload, (x.detach(),))
    with pytest.raises(RuntimeError, match="test_double has no gradient"):
        double(x).sum().backward()


@pytest.mark.parametrize("name", ["asis-rooms", "mtml-rooms", "a3is-rooms"])
def test_loading_and_operators_leave_the_compiler_alone(name: str) -> None:
    """It costs every process more than a second."""
    program = f"""
import sys, torch
before = "torch._dynamo" in sys.modules
import gestalt3d as g3
from gestalt3d.ops.knn import knn
from gestalt3d.ops.segment import segment_sum
g3.load("{name}")
cloud = torch.rand(1, 100, 3, requires_grad=True)
knn(cloud, cloud, k=3)
segment_sum(cloud[0], torch.zeros(100, dtype=torch.int64), 1).sum().backward()
assert before or "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
