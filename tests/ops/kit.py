"""What every operator must show, said once: agreement, determinism, layouts, gradients, registration.

A test file describes its operator with `Op` and calls the checks; validators and theorems of the operator
stay there.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gestalt3d.ops.operator import Operator

# Fake tensors, which `opcheck` uses, pretend that there is a GPU where PyTorch is built for one. The first backward counts the
# devices; after a count like that none can run in a forked worker. So it happens here, before any test.
torch.zeros(1, requires_grad=True).sum().backward()

HALVES = (torch.float16, torch.bfloat16)
Outputs = Tensor | tuple[Any, ...]


@dataclass(frozen=True)
class Op:
    """An operator under test. `run` and `reference` take the same positional arguments and return tensors."""

    run: Callable[..., Outputs]
    reference: Callable[..., Outputs]
    registered: Operator | None = None
    """For `opcheck`."""


def tensors(outputs: Outputs) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(o for o in outputs if isinstance(o, Tensor))


def doubled(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same arguments with floating tensors in float64."""
    return tuple(a.double() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)


def assert_same(found: Outputs, expected: Outputs) -> None:
    """Equal bit for bit: shapes, types, values, NaN where NaN."""
    for f, e in zip(tensors(found), tensors(expected), strict=True):
        torch.testing.assert_close(f, e, rtol=0, atol=0, equal_nan=True)


def check_equals_reference(op: Op, *args: Any) -> None:
    """Kernel and reference agree bit for bit in the given precision: values, ties and padding."""
    assert_same(op.run(*args), op.reference(*args))


def check_near_float64(op: Op, *args: Any, rtol: float, atol: float = 0.0) -> None:
    """Floating outputs lie within the derived tolerance of the float64 reference."""
    for f, e in zip(tensors(op.run(*args)), tensors(op.reference(*doubled(args))), strict=True):
        assert f.shape == e.shape
        if f.is_floating_point():
            torch.testing.assert_close(f.double(), e.double(), rtol=rtol, atol=atol)


def check_halves(run: Callable[..., Outputs], *args: Any) -> None:
    """16-bit floats give what the same numbers give in float32: whole numbers equal, floats rounded to them once or twice."""
    for dtype in HALVES:
        narrow = tuple(a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
        wide = tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in narrow)
        for found, expected in zip(tensors(run(*narrow)), tensors(run(*wide)), strict=True):
            if expected.is_floating_point():
                assert found.dtype in (dtype, expected.dtype)
                step = torch.finfo(found.dtype).eps
                torch.testing.assert_close(found.float(), expected.to(found.dtype).float(), rtol=step, atol=0)
            else:
                assert torch.equal(found, expected)


def check_halves_are_refused(run: Callable[..., Outputs], *args: Any) -> None:
    """16-bit floats are refused in one sentence that says what to do."""
    for dtype in HALVES:
        narrow = (a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
        with pytest.raises(
            ValueError, match=rf"float32 or float64.*got {dtype}; call \.float\(\)".replace("torch.", "")
        ):
            run(*narrow)


def check_nan_is_not_lost(run: Callable[..., Outputs], *args: Any) -> None:
    """A NaN anywhere in a tensor of floats is refused by name or makes a number of the answer NaN."""
    for a, given in enumerate(args):
        if not (isinstance(given, Tensor) and given.is_floating_point()):
            continue
        for place in range(given.numel()):
            changed = given.clone()
            changed.view(-1)[place] = torch.nan
            try:
                found = tensors(run(*args[:a], changed, *args[a + 1 :]))
            except ValueError as error:
                assert "finite" in str(error) or "NaN" in str(error)
            else:
                assert any(bool(f.isnan().any()) for f in found if f.is_floating_point()), (
                    f"lost: place {place}"
                )


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_deterministic(op: Op, *args: Any) -> None:
    """Twice the same, and the same with one, two and three threads, bit for bit."""
    results = []
    for count in (1, 2, 2, 3):
        with threads(count):
            results.append(op.run(*args))
    for other in results[1:]:
        assert_same(other, results[0])


def strided(x: Tensor) -> Tensor:
    """The same values in memory that is not contiguous."""
    wide = torch.stack([x, torch.full_like(x, -7)], dim=-1)
    result = wide[..., 0]
    assert x.numel() < 2 or not result.is_contiguous()
    return result


def check_layouts(op: Op, *args: Any) -> None:
    """Non-contiguous tensors give the same answer, and inputs are not written to."""
    expected = op.run(*args)
    copies = tuple(a.clone() if isinstance(a, Tensor) else a for a in args)
    assert_same(op.run(*(strided(a) if isinstance(a, Tensor) else a for a in args)), expected)
    for a, c in zip(args, copies, strict=True):
        if isinstance(a, Tensor):
            assert torch.equal(a, c)


def check_registration(op: Op, *args: Any) -> None:
    """Schema, fake kernel, autograd registration and AOT dispatch, by torch's own checker."""
    assert op.registered is not None
    torch.library.opcheck(op.registered.overload, args)


def check_gradients(run: Callable[..., Tensor], *inputs: Tensor) -> None:
    """First and second derivatives against finite differences, in float64."""
    inputs = tuple(i.double().requires_grad_(i.is_floating_point()) for i in inputs)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


class _Calls(Dataset):
    def __init__(self, run: Callable[[], Outputs]) -> None:
        self.run = run

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        return tensors(self.run())


def check_in_forked_worker(run: Callable[[], Outputs]) -> None:
    """The same answer inside a forked worker after the parent used threads; a hang fails by time-out."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return
    with threads(2):
        expected = run()
        loader = DataLoader(
            _Calls(run), batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=60
        )
        for found in loader:
            assert_same(tuple(found), tuple(tensors(expected)))


def quick(examples: int = 30) -> Any:
    """Hypothesis settings for properties: repeatable, and no deadline because the first call compiles."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=checks)


def surface(n: int, seed: int = 0, b: int = 1) -> Tensor:
    """(b, n, 3) float32 points on the walls and the floor of a 6 × 5 × 3 m room: what scans look like."""
    rng = np.random.default_rng(seed)
    points = rng.random((b, n, 3)) * [6.0, 5.0, 3.0]
    side = rng.integers(0, 3, (b, n))
    points[np.arange(b)[:, None], np.arange(n), side] = 0
    return torch.from_numpy(points + rng.normal(0, 0.005, points.shape)).float()


def lattice(n: int, seed: int = 0, b: int = 1, size: int = 4) -> Tensor:
    """(b, n, 3) points with small whole coordinates: full of equal distances and duplicates, all exact."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, size, (b, n, 3))).float()


def awkward_clouds(n: int = 300) -> dict[str, Tensor]:
    """(1, n, 3) clouds that break grids, trees and tolerances."""
    cloud, t = surface(n), torch.linspace(0, 1, n)
    outlier, two = cloud.clone(), cloud.clone()
    outlier[0, n // 2] = 1e7
    two[0, n // 2 :] += 1e6
    return {
        "all points equal": torch.full((1, n, 3), 0.1),
        "collinear": torch.stack([t, 2 * t, -t], dim=-1)[None],
        "coplanar": cloud * torch.tensor([1.0, 1.0, 0.0]),
        "duplicates": lattice(n),
        "one huge outlier": outlier,
        "two far clusters": two,
        "sorted": cloud.sort(dim=1).values,
        "one point": cloud[:, :1],
        "1 mm": cloud * 1e-3,
        "1 km": cloud * 1e3,
        "10 km from the origin": (cloud / 0.01).round() * 0.01 + torch.tensor([1e4, -1e4, 10.0]),
    }


def clouds(min_points: int = 1, max_points: int = 60, *, ties: bool = True) -> st.SearchStrategy[Tensor]:
    """(1, n, 3) float32 clouds; with `ties`, half of them lie on a small lattice."""

    def make(n: int, seed: int, grid: bool) -> Tensor:
        return lattice(n, seed) if grid and ties else surface(n, seed)

    return st.builds(make, st.integers(min_points, max_points), st.integers(0, 2**16), st.booleans())


def exact_motions() -> st.SearchStrategy[tuple[Tensor, Tensor]]:
    """Signed permutations of the axes and whole-number translations: no rounding on a lattice."""
    signs = st.tuples(*(st.sampled_from([-1.0, 1.0]),) * 3)
    shift = st.tuples(*(st.integers(-64, 64),) * 3)

    def make(axes: tuple[int, ...], sign: tuple[float, ...], move: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        return torch.eye(3)[list(axes)] * torch.tensor(sign)[:, None], torch.tensor(move).float()

    return st.builds(make, st.permutations([0, 1, 2]).map(tuple), signs, shift)


def rotation(seed: int) -> Tensor:
    """A random proper rotation in float64."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return torch.from_numpy(q * np.sign(np.linalg.det(q)))
