"""Sparse convolution: dense convolution is the oracle; rulebooks are sets of neighbours, whatever the order of voxels."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gestalt3d.ops import sparse_conv as module
from gestalt3d.ops.sparse_conv import (
    Rules,
    neighbourhoods,
    sparse_conv,
    strided_rules,
    submanifold_rules,
)
from tests.ops import kit

PAIRS = kit.Op(module._pairs, module.submanifold_pairs_reference, module._pairs)


def voxels(
    n: int, *, size: int = 6, batches: int = 2, low: tuple[int, int, int] = (-3, 100, -7), seed: int = 0
) -> Tensor:
    """Up to n distinct ascending coordinates in a cube per batch, some of them negative."""
    random = torch.Generator().manual_seed(seed)
    cells = torch.randperm(batches * size**3, generator=random)[:n].sort().values
    x, y, z = (cells // size**a % size for a in (2, 1, 0))
    return torch.stack([cells // size**3, x + low[0], y + low[1], z + low[2]], dim=1)


def weights(kernel: int, c: int, d: int, dtype: torch.dtype = torch.float64) -> Tensor:
    random = torch.Generator().manual_seed(kernel)
    return torch.randn(kernel**3, c, d, generator=random, dtype=torch.float64).to(dtype)


def features(rows: int, c: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(rows, c, generator=torch.Generator().manual_seed(rows), dtype=torch.float64).to(dtype)


class Grid:
    """The dense picture of coordinates, from a corner that is a multiple of `stride`."""

    def __init__(self, coordinates: Tensor, stride: int = 1):
        self.low = torch.cat([torch.zeros(1, dtype=torch.int64), coordinates[:, 1:].amin(0)])
        self.low[1:] = self.low[1:].div(stride, rounding_mode="floor") * stride
        shape = (coordinates - self.low).amax(0) + 1
        shape[1:] = -(-shape[1:] // stride) * stride
        self.shape = tuple(shape.tolist())

    def place(self, coordinates: Tensor) -> tuple[Tensor, ...]:
        return (coordinates - self.low).unbind(1)

    def dense(self, coordinates: Tensor, rows: Tensor) -> Tensor:
        b, *xyz = self.shape
        out = rows.new_zeros(b, *xyz, rows.shape[1])
        out[self.place(coordinates)] = rows
        return out.movedim(-1, 1)

    def sparse(self, coordinates: Tensor, dense: Tensor) -> Tensor:
        return dense.movedim(1, -1)[self.place(coordinates)]


def as_conv3d(weight: Tensor) -> Tensor:
    side = round(len(weight) ** (1 / 3))
    return weight.unflatten(0, (side, side, side)).permute(4, 3, 0, 1, 2)


CASES = {
    "one batch": voxels(60, batches=1),
    "three batches": voxels(200, batches=3),
    "full": voxels(1000, size=4),
    "one voxel": voxels(1),
    "a line of its own": torch.tensor([[0, 0, 0, z] for z in range(-4, 9)]),
    "neighbours of two batches": torch.tensor([[b, 5, 5, z] for b in range(3) for z in (0, 1)]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 2), (5, 1), (3, 5)])
def test_submanifold_is_conv3d_on_occupied_voxels(name, kernel, dilation):
    at = CASES[name]
    weight, rows, grid = weights(kernel, 3, 5), features(len(at), 3), Grid(at)
    found = sparse_conv(rows, weight, submanifold_rules(at, kernel_size=kernel, dilation=dilation))
    dense = F.conv3d(
        grid.dense(at, rows), as_conv3d(weight), padding=kernel // 2 * dilation, dilation=dilation
    )
    torch.testing.assert_close(found, grid.sparse(at, dense), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_strided_is_conv3d_and_its_inverse_conv_transpose3d(name, stride):
    at = CASES[name]
    coarse, rules = strided_rules(at, stride=stride)
    weight, rows, grid = weights(stride, 3, 5), features(len(at), 3), Grid(at, stride)
    cells = Grid(at, stride)
    cells.low = cells.low // torch.tensor([1, stride, stride, stride])
    occupied = F.max_pool3d(grid.dense(at, torch.ones(len(at), 1)), stride)[:, 0].nonzero()
    assert torch.equal(coarse, occupied + cells.low)
    dense = F.conv3d(grid.dense(at, rows), as_conv3d(weight), stride=stride)
    found = sparse_conv(rows, weight, rules)
    torch.testing.assert_close(found, cells.sparse(coarse, dense), rtol=1e-12, atol=1e-12)

    cells.shape = tuple(dense.movedim(1, -1).shape[:-1])
    up = weights(stride, 5, 2)
    transposed = as_conv3d(up).transpose(0, 1)
    dense = F.conv_transpose3d(cells.dense(coarse, found), transposed, stride=stride)
    back = sparse_conv(found, up, rules.inverse())
    torch.testing.assert_close(back, grid.sparse(at, dense), rtol=1e-12, atol=1e-12)


@kit.quick()
@given(st.integers(1, 60), st.sampled_from([1, 3, 5]), st.integers(1, 3), st.integers(0, 2**16))
def test_pairs_are_the_neighbours(n, kernel, dilation, seed):
    at = voxels(n, seed=seed)
    rules = submanifold_rules(at, kernel_size=kernel, dilation=dilation)
    span = range(-(kernel // 2), kernel // 2 + 1)
    offsets = torch.tensor([(0, x, y, z) for x in span for y in span for z in span]) * dilation
    for k, (first, last) in enumerate(pairwise(rules.starts)):
        outputs = rules.outputs[first:last]
        assert torch.equal(at[rules.inputs[first:last]], at[outputs] + offsets[k])
        assert (outputs[1:] > outputs[:-1]).all()
        expected = (at[:, None] + offsets[k] == at).all(-1).sum()
        assert last - first == (0 if k == rules.identity else expected)
        assert k != rules.identity or expected == n


@pytest.mark.parametrize("n", [0, 1, 80])
def test_neighbourhoods_are_the_rows_about_each_voxel(n):
    at = voxels(n, batches=1)[:, 1:]
    near = neighbourhoods(at)
    assert near.shape == (n, 27)
    offsets = torch.cartesian_prod(*[torch.arange(-1, 2)] * 3)
    for voxel, rows in zip(at, near, strict=True):
        there = rows >= 0
        assert torch.equal(at[rows[there]], (voxel + offsets)[there])
        assert int(there.sum()) == int(((at - voxel).abs() <= 1).all(1).sum())


@kit.quick(15)
@given(st.integers(0, 90), st.sampled_from([1, 3]), st.integers(1, 2), st.booleans(), st.integers(0, 2**16))
def test_kernel_is_the_reference(n, kernel, dilation, shuffled, seed):
    at = voxels(n, seed=seed)
    if shuffled:
        at = at[torch.randperm(len(at), generator=torch.Generator().manual_seed(seed))]
    kit.check_equals_reference(PAIRS, at, kernel, dilation)


@pytest.mark.parametrize("make", [submanifold_rules, lambda at: strided_rules(at).rules])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_permuted_voxels_give_the_permuted_answer(make, dtype):
    at, weight = voxels(150), None
    order = torch.randperm(len(at), generator=torch.Generator().manual_seed(1))
    rules, mixed = make(at), make(at[order])
    rows, weight = features(len(at), 4, dtype), features(len(rules.starts) - 1, 24, dtype).view(-1, 4, 6)
    found, other = sparse_conv(rows, weight, rules), sparse_conv(rows[order], weight, mixed)
    step = torch.finfo(dtype).eps
    if rules.identity >= 0:
        found = found[order]
    torch.testing.assert_close(other, found, rtol=step, atol=27 * step)
    back, other = sparse_conv(found, weight.mT, rules.inverse()), None
    if rules.identity < 0:  # the coarse voxels ascend whatever the order of the fine ones
        other = sparse_conv(found, weight.mT, mixed.inverse())
        torch.testing.assert_close(other, back[order], rtol=step, atol=27 * step)


def test_translation_by_whole_cells_changes_nothing():
    at = voxels(150)
    moved = at + torch.tensor([7, 2**19, -(2**19), 64])
    kit.assert_same(submanifold_rules(moved), submanifold_rules(at))
    assert submanifold_rules(moved).starts == submanifold_rules(at).starts
    kit.assert_same(strided_rules(moved).rules, strided_rules(at).rules)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16])
def test_coordinates_of_any_whole_type(dtype):
    at = voxels(50)
    kit.assert_same(submanifold_rules(at.to(dtype)), submanifold_rules(at))
    kit.assert_same(strided_rules(at.to(dtype)).rules, strided_rules(at).rules)


def test_no_voxels():
    none = torch.zeros(0, 4, dtype=torch.int64)
    weight = torch.ones(27, 3, 5, requires_grad=True)
    out = sparse_conv(torch.zeros(0, 3), weight, submanifold_rules(none))
    assert out.shape == (0, 5)
    out.sum().backward()
    assert weight.grad is not None and not weight.grad.any()
    coarse, rules = strided_rules(none)
    assert coarse.shape == (0, 4) and sparse_conv(torch.zeros(0, 3), torch.ones(8, 3, 2), rules).shape == (
        0,
        2,
    )
    assert sparse_conv(torch.zeros(0, 3), torch.ones(8, 3, 2), rules.inverse()).shape == (0, 2)


def test_a_lone_voxel_is_a_linear_layer():
    at = torch.tensor([[0, 5, -5, 2]])
    rows, weight = features(1, 4), weights(3, 4, 6)
    assert torch.equal(sparse_conv(rows, weight, submanifold_rules(at)), rows @ weight[13])


def test_gradients():
    at = voxels(8, size=2, batches=1)
    rules, strided = submanifold_rules(at), strided_rules(at).rules
    some = torch.tensor([1, 13, 14, 22])  # finite differences of all 27 would take a minute

    def submanifold(rows: Tensor, weight: Tensor) -> Tensor:
        return sparse_conv(rows, rows.new_zeros(27, 2, 2).index_copy(0, some, weight), rules)

    kit.check_gradients(submanifold, features(8, 2), weights(3, 2, 2)[:4])
    kit.check_gradients(lambda f, w: sparse_conv(f, w, strided), features(8, 2), weights(2, 2, 1))
    coarse = features(strided.rows_out, 2)
    kit.check_gradients(lambda f, w: sparse_conv(f, w, strided.inverse()), coarse, weights(2, 2, 2))


def forward_and_backward(rows: Tensor, weight: Tensor, at: Tensor) -> tuple[Tensor, ...]:
    """Output and both gradients of a submanifold, a strided and an inverse convolution."""
    rows, weight = rows.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()
    strided = strided_rules(at).rules
    first = sparse_conv(rows, F.pad(weight, (0, 0, 0, 0, 0, 27 - len(weight))), submanifold_rules(at))
    coarse = sparse_conv(first, weight[:8], strided)
    last = sparse_conv(coarse, weight[8:16], strided.inverse())
    last.backward(torch.linspace(-1, 1, last.numel()).view(last.shape).to(last.dtype))
    assert rows.grad is not None and weight.grad is not None
    return first.detach(), coarse.detach(), last.detach(), rows.grad, weight.grad


TRAIN = kit.Op(forward_and_backward, forward_and_backward)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [32, 17, 1])
def test_threads_and_layouts_change_nothing(dtype, channels):
    at = voxels(9000, size=25, batches=1)
    rows, weight = features(len(at), channels, dtype), weights(3, channels, channels, dtype) / 10
    kit.check_deterministic(TRAIN, rows, weight, at)
    kit.check_layouts(TRAIN, rows[:2000], weight, at[:2000])


@pytest.mark.parametrize(("n", "c", "d"), [(40, 1100, 8), (40, 8, 1100), (1, 300, 300), (5, 256, 256)])
def test_threads_change_nothing_in_wide_layers_and_tiny_levels(n, c, d):
    rules = submanifold_rules(voxels(n, size=4, batches=1))
    weight = torch.randn(27, c, d, generator=torch.Generator().manual_seed(0))

    def run(rows: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        leaves = [t.detach().requires_grad_() for t in (rows, weight)]
        out = sparse_conv(*leaves, rules)
        return out.detach(), *torch.autograd.grad(out, leaves, torch.ones_like(out))

    kit.check_deterministic(kit.Op(run, run), features(n, c, torch.float32), weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
@pytest.mark.parametrize("make", [submanifold_rules, lambda at: strided_rules(at).rules])
def test_kernels_are_near_the_references(make, dtype):
    """The references are what runs on a GPU."""
    at = voxels(3000, size=16, batches=1)
    rules, step = make(at), torch.finfo(dtype).eps
    lists, kernel = (rules.inputs, rules.outputs, list(rules.starts)), len(rules.starts) - 1
    rows, grad = features(len(at), 9, dtype), features(rules.rows_out, 5, dtype)
    weight = weights(3, 9, 5, dtype)[:kernel]
    found = module._conv(rows, weight, *lists, rules.rows_out, rules.identity)
    expected = module.sparse_conv_reference(rows, weight, *lists, rules.rows_out, rules.identity)
    size = module.sparse_conv_reference(rows.abs(), weight.abs(), *lists, rules.rows_out, rules.identity)
    assert ((found - expected).abs() <= 2 * step * size).all()
    found = module._weight_gradient(rows, grad, *lists, rules.identity)
    expected = module.weight_gradient_reference(rows, grad, *lists, rules.identity)
    size = module.weight_gradient_reference(rows.abs(), grad.abs(), *lists, rules.identity)
    assert ((found - expected).abs() <= 2 * step * size).all()


def test_inputs_are_not_even_marked_as_written():
    """Other layers have saved them for their backward. As many rows as go through the identity without padding."""
    at = voxels(1024, size=12, batches=1)
    rules, rows, grad = submanifold_rules(at), features(1024, 4), features(1024, 4)
    lists = (rules.inputs, rules.outputs, list(rules.starts))
    module._conv(rows, weights(3, 4, 4), *lists, rules.rows_out, rules.identity)
    module._weight_gradient(rows, grad, *lists, rules.identity)
    assert rows._version == 0 and grad._version == 0


def test_float32_lies_near_float64():
    at = voxels(3000, size=18, batches=1)
    rows, weight = features(len(at), 8, torch.float32), weights(3, 8, 8, torch.float32)
    op = kit.Op(*[lambda rows, weight: sparse_conv(rows, weight, submanifold_rules(at))] * 2)
    # 216 terms of size up to 16, each rounded once or twice
    kit.check_near_float64(op, rows, weight, rtol=0, atol=8 * 27 * 16 * 2.0**-24)


def test_bfloat16_under_autocast_trains():
    at = voxels(400)
    rules, rows = submanifold_rules(at), features(len(at), 4, torch.float32)
    weight = weights(3, 4, 6, torch.float32).requires_grad_()
    expected = sparse_conv(rows, weight, rules)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = sparse_conv(rows, weight, rules)
    assert found.dtype == torch.bfloat16
    # Inputs, products and the result are rounded, each by half of 2^-8 of its size.
    scale = sparse_conv(rows.abs(), weight.abs(), rules)
    assert ((found - expected).abs() <= 4 * 2.0**-9 * scale).all()
    found.float().sum().backward()
    assert weight.grad is not None and weight.grad.dtype == torch.float32


def test_sums_in_bfloat16_do_not_lose_small_terms():
    at = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 1, 0]])
    rows = torch.tensor([[1.0], *[[2.0**-9]] * 4]).bfloat16()
    out = sparse_conv(rows, torch.ones(27, 1, 1).bfloat16(), submanifold_rules(at))
    assert out[0].item() == torch.tensor(1 + 4 * 2.0**-9).bfloat16().item()


def test_duplicates_are_named():
    at = torch.tensor([[0, 1, 2, 3], [0, 0, 0, 0], [1, 1, 2, 3], [0, 1, 2, 3]])
    for make in (submanifold_rules, strided_rules):
        with pytest.raises(ValueError, match=r"must be distinct, got \(0, 1, 2, 3\) in rows 0 and 3; merge"):
            make(at)


def test_senseless_arguments_are_named():
    at, rows = voxels(10), features(10, 3)
    with pytest.raises(ValueError, match="kernel_size must be odd"):
        submanifold_rules(at, kernel_size=2)
    with pytest.raises(ValueError, match="dilation must be at least 1"):
        submanifold_rules(at, dilation=0)
    with pytest.raises(ValueError, match="stride must be at least 1"):
        strided_rules(at, stride=0)
    rules = submanifold_rules(at)
    with pytest.raises(ValueError, match=r"weight must be \(27, 3, outputs\)"):
        sparse_conv(rows, torch.zeros(8, 3, 4).double(), rules)
    with pytest.raises(ValueError, match=r"features must have the 10 rows of the rules, got 9"):
        sparse_conv(rows[:9], torch.zeros(27, 3, 4).double(), rules)
    with pytest.raises(ValueError, match=r"whole numbers \(v, 4\)"):
        module._check(at[:, :3])


@pytest.mark.parametrize("reach", [2**31, 2**62])
def test_a_grid_beyond_64_bits_is_refused(reach):
    at = torch.tensor([[0, 0, 0, 0], [0, reach, -reach, reach]])
    for make in (submanifold_rules, strided_rules):
        with pytest.raises(ValueError, match=r"fewer than 2\^62 cells.*drop stray voxels"):
            make(at)


def test_registration_and_workers():
    at = voxels(40)
    rules = submanifold_rules(at)
    rows, weight = features(len(at), 3).requires_grad_(), weights(3, 3, 2).requires_grad_()
    lists = (rules.inputs, rules.outputs, list(rules.starts))
    torch.library.opcheck(module._conv.overload, (rows, weight, *lists, rules.rows_out, rules.identity))
    grad = features(len(at), 2).requires_grad_()
    torch.library.opcheck(module._weight_gradient.overload, (rows, grad, *lists, rules.identity))
    kit.check_registration(PAIRS, at, 3, 1)
    kit.check_deterministic(PAIRS, voxels(3000, size=20), 3, 1)
    kit.check_layouts(PAIRS, at, 3, 1)
    kit.check_in_forked_worker(lambda: forward_and_backward(rows, weights(3, 3, 3), at))


def test_a_rulebook_serves_every_layer():
    at = voxels(30)
    rules = submanifold_rules(at)
    assert isinstance(rules, Rules) and rules.inverse().inverse() == rules
    deeper = sparse_conv(sparse_conv(features(30, 2), weights(3, 2, 4), rules), weights(3, 4, 3), rules)
    assert deeper.shape == (30, 3)
