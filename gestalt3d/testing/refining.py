"""What is asked of refiners, methods that complete the visible masks of a photo."""

import inspect
from dataclasses import replace

import torch
from torch import Tensor

from gestalt3d.methods.refiner import visible_part
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.testing.broken import expect
from gestalt3d.testing.case import Case, ready


def answer(case: Case) -> Instances:
    """What the untrained method says of the tiny view's visible masks."""
    return case.completed(ready(case), case.scan())


def masks_are_completed(case: Case) -> None:
    """A whole mask for each object, in their order; what came with them stays."""
    scan, found = case.scan(), answer(case)
    _expect_of(found, scan.truth, case, "of the tiny view")


def refine_is_given_a_view_and_masks(case: Case) -> None:
    """And nothing of the truth; `visible_part` is what the other checks give."""
    names = list(inspect.signature(ready(case).refine).parameters)
    expect(len(names) == 2, f"refine must take a view and what is seen in it, takes {names}")


def the_answer_repeats(case: Case) -> None:
    """Whatever has been drawn from the global generator meanwhile."""
    found = answer(case)
    torch.manual_seed(1)
    expect(answer(case).whole == found.whole, "whole masks differ the second time")


def each_object_is_completed_by_itself(case: Case) -> None:
    """In another order, and alone where the case says so, an object has the same whole mask."""
    method, scan, found = ready(case), case.scan(), answer(case)
    seen = case.seen(method, scan)
    last = [len(seen) - 1]
    for rows in (list(range(len(seen)))[::-1], *([last] if case.by_itself else [])):
        other = method.refine(scan.input, seen[rows])
        expect(other.whole == found[rows].whole, f"the whole masks of objects {rows} depend on the others")


def hardly_any_masks_are_answered(case: Case) -> None:
    """No object, one without pixels, of one pixel, of the whole photo, and of two far corners."""
    method, view = ready(case), case.scan().input
    count = len(view)
    none = torch.zeros(0, dtype=torch.int64)
    corners = torch.tensor([0, count - 1])
    for masks in (
        [],
        [none],
        [torch.tensor([count // 2])],
        [torch.arange(count)],
        [corners],
        [none, corners],
    ):
        seen = _seen(masks, view, case)
        _expect_of(
            method.refine(view, seen), seen, case, f"of masks of {[len(mask) for mask in masks]} pixels"
        )


def a_photo_of_another_size_is_answered(case: Case) -> None:
    """One pixel, one row, and larger than any crop."""
    method = ready(case)
    for height, width in ((1, 1), (1, 50), (300, 200)):
        view = View(torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)))
        seen = _seen([torch.arange(min(len(view), 40))], view, case)
        _expect_of(method.refine(view, seen), seen, case, f"of a photo of {width} x {height} pixels")


def boxes_may_reach_out_of_the_photo(case: Case) -> None:
    method, view = ready(case), case.scan().input
    seen = replace(
        _seen([torch.arange(40, 50)], view, case), image_boxes=torch.tensor([[-30.0, -20.0, 50.0, 9.0]])
    )
    _expect_of(method.refine(view, seen), seen, case, "where a box reaches out of the photo")


def classes_of_other_vocabularies_are_no_matter(case: Case) -> None:
    """They are matched by name, and none of them gets lost."""
    method, scan = ready(case), case.scan()
    seen = case.seen(method, scan)
    names = method.vocabulary.names
    other = replace(
        method.vocabulary, names=("nobody knows this", *names), official_ids=tuple(range(len(names) + 1))
    )
    named = replace(seen, vocabulary=other, classes=torch.arange(len(seen)) % len(other.names))
    found = method.refine(scan.input, named)
    expect(bool((found.classes == named.classes).all()), "classes that were given are changed")


REFINES = (
    masks_are_completed,
    refine_is_given_a_view_and_masks,
    the_answer_repeats,
    each_object_is_completed_by_itself,
    hardly_any_masks_are_answered,
    a_photo_of_another_size_is_answered,
    boxes_may_reach_out_of_the_photo,
    classes_of_other_vocabularies_are_no_matter,
)


def _seen(masks: list[Tensor], view: View, case: Case) -> Instances:
    truth = Instances(
        masks=Sets.of(masks, len(view)),
        classes=torch.full((len(masks),), -1, dtype=torch.int64),
        scores=torch.ones(len(masks)),
        vocabulary=ready(case).vocabulary,
    )
    return visible_part(truth, width=view.image.shape[2])


def _expect_of(found: Instances, seen: Instances, case: Case, where: str) -> None:
    expect(len(found) == len(seen), f"{len(seen)} objects become {len(found)} {where}")
    expect(found.masks == seen.masks, f"visible masks are changed {where}")
    expect(found.whole is not None, f"whole masks are missing {where}")
    meshes = [shape for shape in found.shapes or () if isinstance(shape, Mesh)]
    finite = all(bool(mesh.vertices.isfinite().all()) for mesh in meshes)
    expect(finite, f"shapes are not finite {where}")
