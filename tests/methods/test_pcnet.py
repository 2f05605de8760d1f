"""PCNet-M: erased masks, their restoration, and the order that follows from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.methods.method import START
from gestalt3d.methods.pcnet import PCNet, PCNetConfig, _neighbours
from gestalt3d.methods.refiner import visible_part
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit, tiny_view

SMALL = PCNetConfig(side=32, widths=(8, 16, 16))
CASE = Case(
    config=SMALL,
    labels={"restored": None},
    overfit=Overfit(steps=120, rate=1e-2, loss=0.5, classes=None, instances=0.9),
)


def _rectangles(*places: tuple[int, int, int, int], size: tuple[int, int] = (40, 30)) -> Instances:
    """Left, top, right, bottom, each in front of those after it."""
    taken = torch.zeros(size[1], size[0], dtype=torch.bool)
    masks = []
    for left, top, right, bottom in places:
        own = torch.zeros_like(taken)
        own[top:bottom, left:right] = True
        masks.append((own & ~taken).flatten().nonzero()[:, 0])
        taken |= own
    sizes = torch.tensor([len(one) for one in masks])
    return Instances(
        masks=Sets.from_sizes(sizes, torch.cat(masks), size[0] * size[1]), classes=torch.full((len(masks),), -1),
        scores=torch.ones(len(masks)), vocabulary=S3DIS,
    )  # fmt: skip


def test_what_was_erased_is_to_be_restored_and_else_nothing() -> None:
    always, never = (PCNet(replace(SMALL, erase=share), S3DIS) for share in (1.0, 0.0))
    for seed in range(10):
        erased = always.prepare(tiny_view(), np.random.default_rng(seed))
        kept = never.prepare(tiny_view(), np.random.default_rng(seed))
        assert bool((erased.seen * erased.eraser == 0).all() and (erased.seen <= erased.restored).all())
        gone = erased.restored - erased.seen
        assert bool((gone <= erased.eraser).all())
        assert torch.equal(kept.seen, kept.restored)
        assert bool((kept.eraser * kept.restored == 0).all())


def test_erasers_cover_a_share_within_the_range() -> None:
    method = PCNet(replace(SMALL, erase=1.0, cover=(0.2, 0.6)), S3DIS)
    shares = []
    for seed in range(10):
        batch = method.prepare(tiny_view(), np.random.default_rng(seed))
        gone = (batch.restored - batch.seen).sum((1, 2)) / batch.restored.sum((1, 2))
        shares += gone[gone > 0].tolist()
    assert len(shares) > 10
    assert min(shares) >= 0.2 and max(shares) <= 0.6


def test_whole_masks_are_never_looked_at() -> None:
    method, scan = PCNet(SMALL, S3DIS), tiny_view()
    blind = replace(scan, truth=replace(scan.truth, whole=None, shapes=None, amodal_boxes=None))
    one, other = (method.prepare(each, np.random.default_rng(3)) for each in (scan, blind))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_pixels_of_the_eraser_weigh_five_times() -> None:
    method = PCNet(SMALL, S3DIS)
    batch = method.prepare(tiny_view(), np.random.default_rng(0))
    said = method(batch)
    p = said.detach().double().softmax(1)[:, 1]
    cost = -torch.where(batch.restored > 0, p, 1 - p).log()
    cost = (cost * torch.where(batch.eraser > 0, 5.0, 1.0)).mean()
    assert float(method.losses(said, batch, START)["mask"].detach()) == pytest.approx(float(cost), rel=1e-4)


def test_neighbours_touch_across_rows_and_columns_but_not_around_the_edge() -> None:
    """Two side by side, one below the first, and one that begins where a row of the image ends."""
    seen = _rectangles((0, 0, 5, 5), (5, 0, 9, 5), (0, 5, 5, 8), (36, 0, 40, 4))
    assert _neighbours(seen.masks, 40).tolist() == [[0, 1], [0, 2]]


class _Grows(PCNet):
    """In the place of a trained network: every object that does not reach the upper edge of its crop grows behind any other."""

    class _Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tall = x[:, 0].amax(2).sum(1) > 0.55 * x.shape[2]  # taller than wide, in its crop
            grows = torch.where(tall[:, None, None], x[:, 1], torch.zeros_like(x[:, 1]))
            return torch.stack([1 - 9 * grows, 9 * grows - 1], dim=1)

    def __init__(self) -> None:
        super().__init__(SMALL, S3DIS)
        self.unet = self._Net()


def test_what_grows_more_is_behind_and_is_completed_there_alone() -> None:
    """A flat box before the middle of a tall one: the tall one, in two pieces, is joined."""
    seen = _rectangles((5, 12, 35, 17), (16, 2, 23, 28))
    view = View(torch.zeros(3, 30, 40))
    found = _Grows().refine(view, seen)
    assert found.whole is not None
    assert found.whole[0].tolist() == seen.masks[0].tolist()
    middle = 14 * 40 + 19
    assert middle in found.whole[1].tolist() and middle not in seen.masks[1].tolist()
    assert set(found.whole[1].tolist()) <= set(seen.masks[0].tolist()) | set(seen.masks[1].tolist())


def test_masks_that_meet_nothing_stay() -> None:
    seen = _rectangles((2, 2, 8, 20), (20, 2, 30, 9))
    found = _Grows().refine(View(torch.zeros(3, 30, 40)), seen)
    assert found.whole == seen.masks


def test_a_side_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(UserError, match="multiple of 4"):
        replace(SMALL, side=30)


def test_the_answer_keeps_what_is_visible() -> None:
    scan = tiny_view()
    seen = visible_part(scan.truth, width=scan.input.image.shape[2])
    found = PCNet(SMALL, S3DIS).eval().refine(scan.input, seen)
    assert found.whole is not None
    assert all(set(a.tolist()) <= set(b.tolist()) for a, b in zip(seen.masks, found.whole, strict=True))
