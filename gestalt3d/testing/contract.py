"""The contract: functions of a `Case` that raise `Broken` where its method does not keep it."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gestalt3d.methods.method import START
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.testing.broken import Broken, expect
from gestalt3d.testing.case import Case, Overfit, ready
from gestalt3d.testing.refining import REFINES

Check = Callable[[Case], None]


def checks(case: Case) -> tuple[Check, ...]:
    """Everything that the method of this case must do."""
    answers = ANSWERS_TO_FRAMES if case.takes_frames else ANSWERS
    if case.completes:
        answers = (*answers, *REFINES) if case.finds else REFINES
    if not case.learns:
        return answers
    unknown = any(value is not None for value in case.labels.values())
    extra = (
        (labels_change_only_the_labels_of_a_batch, case.finds),
        (losses_ignore_what_has_no_label, unknown),
        (overfits_one_scene, case.overfit is not None),
    )
    return (*LEARNS, *(check for check, asked in extra if asked), *answers)


@cache
def answer(case: Case) -> Instances:
    """What `ready` says of the tiny scan."""
    return case.ask(ready(case), case.scan())


# --- answers ---


def the_order_of_the_points_changes_nothing(case: Case) -> None:
    """Equal sets of masks, equal classes and equal scores, to the last bit."""
    cloud, found = case.scan().input, answer(case)
    order = torch.randperm(len(cloud), generator=_generator(1))
    moved = ready(case).segment(cloud[order])
    kinds = 0 if found.element_classes is None else len(found.element_classes.unique())
    several = len(found) if getattr(ready(case), "finds_instances", True) else kinds
    expect(several > 1, f"it tells nothing apart (found {several}); give the case a `spread`")
    _expect_equal(found, moved, order, "where the points come in another order")


def the_answer_repeats(case: Case) -> None:
    """Whatever has been drawn from the global generators meanwhile."""
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    again = ready(case).segment(case.scan().input)
    _expect_equal(answer(case), again, None, "the second time")


def labels_are_not_seen(case: Case) -> None:
    """`segment` is given a cloud alone. The classes that it carries are no matter, unless the method says that it takes them."""
    method, cloud = ready(case), case.scan().input
    parameters = list(inspect.signature(method.segment).parameters)
    expect(len(parameters) == 1, f"segment must take a cloud and nothing else, takes {parameters}")
    if method.takes_semantics:
        return
    labelled = replace(cloud, semantic=case.scan().truth.element_classes)
    _expect_equal(answer(case), method.segment(labelled), None, "where the cloud carries its classes")


def hardly_any_points_are_answered(case: Case) -> None:
    """None, one, two, and fewer than any voxel or block has."""
    for count in (0, 1, 2, 40):
        found = ready(case).segment(case.scan().input[torch.arange(count)])
        _expect_whole(found, count, case, f"of {count} points")


def points_of_one_place_stay_together(case: Case) -> None:
    cloud = case.scan().input[torch.zeros(300, dtype=torch.int64)]
    found = ready(case).segment(cloud)
    _expect_whole(found, 300, case, "of 300 points at one place")
    parted = [int(size) for size in found.sizes if size != 300]
    expect(not parted, f"300 points at one place are parted into masks of {parted}")


def a_cloud_without_colors_far_from_the_origin_is_answered(case: Case) -> None:
    cloud = case.scan(colors=False).input
    far = replace(cloud, points=cloud.points + torch.tensor([900.0, -900.0, 50.0]))
    _expect_whole(
        ready(case).segment(far), len(cloud), case, "of a cloud without colours far from the origin"
    )


ANSWERS: tuple[Check, ...] = (
    the_order_of_the_points_changes_nothing,
    the_answer_repeats,
    labels_are_not_seen,
    hardly_any_points_are_answered,
    points_of_one_place_stay_together,
    a_cloud_without_colors_far_from_the_origin_is_answered,
)
"""What is asked of every method."""


def several_objects_of_a_frame_are_found(case: Case) -> None:
    """By the untrained method already, or the other checks would compare nothing; each within the frame."""
    found = answer(case)
    expect(len(found) > 1, f"it tells nothing apart (found {len(found)}); give the case a `spread`")
    _expect_whole(found, len(case.scan().input), case, "of the tiny frame")


def labels_of_a_frame_are_not_seen(case: Case) -> None:
    """`segment` is given a view alone."""
    parameters = list(inspect.signature(ready(case).segment).parameters)
    expect(len(parameters) == 1, f"segment must take a view and nothing else, takes {parameters}")


def frames_with_hardly_any_depth_are_answered(case: Case) -> None:
    """None, one pixel, two, and a few rows."""
    view = case.scan().input
    for count in (0, 1, 2, 200):
        depth = torch.zeros(len(view))
        depth[-count or len(view) :] = view.depth.flatten()[-count or len(view) :]
        found = ready(case).segment(replace(view, depth=depth.reshape(view.depth.shape)))
        _expect_whole(found, len(view), case, f"of a frame with {count} pixels of depth")


def a_frame_seen_from_elsewhere_is_the_same(case: Case) -> None:
    """Moved and turned about the vertical, world and camera together: the same masks; boxes move with the world."""
    view, found = case.scan().input, answer(case)
    move = np.eye(4)
    move[:2, :2], move[:3, 3] = [[0.0, -1.0], [1.0, 0.0]], [40.0, -30.0, 5.0]
    camera = replace(view.camera, world_from_camera=move @ view.camera.world_from_camera)
    moved = ready(case).segment(replace(view, camera=camera))
    expect(len(moved) == len(found), f"{len(found)} instances, and {len(moved)} where the camera is moved")
    if found.amodal_boxes is not None and moved.amodal_boxes is not None:
        centers = found.amodal_boxes[:, :3].double() @ torch.from_numpy(move[:3, :3]).T
        centers = centers + torch.from_numpy(move[:3, 3])
        off = float((moved.amodal_boxes[:, :3].double() - centers).abs().max()) if len(found) else 0.0
        expect(off < 1e-3, f"boxes are {off:.3g} m off where the camera is moved")


ANSWERS_TO_FRAMES: tuple[Check, ...] = (
    several_objects_of_a_frame_are_found,
    the_answer_repeats,
    labels_of_a_frame_are_not_seen,
    frames_with_hardly_any_depth_are_answered,
    a_frame_seen_from_elsewhere_is_the_same,
)
"""What is asked of every method that takes views with depth."""


# --- learning ---


def every_parameter_receives_gradient(case: Case) -> None:
    """Those that can be trained; all others receive none."""
    method = case.build()
    batch = case.batch(method)
    terms = method.losses(method(batch), batch, case.moment)
    for name, term in terms.items():
        expect(bool(torch.isfinite(term)), f"the loss {name!r} is {float(term.detach())}")
    _total(terms).backward()
    reached = {n: p.grad is not None and bool(p.grad.abs().sum() > 0) for n, p in method.named_parameters()}
    silent = [n for n, p in method.named_parameters() if p.requires_grad and not reached[n]]
    expect(not silent, f"no gradient reaches {_listed(silent)}")
    frozen = [n for n, p in method.named_parameters() if not p.requires_grad and p.grad is not None]
    expect(not frozen, f"what is not trained has a gradient: {_listed(frozen)}")


def overfits_one_scene(case: Case) -> None:
    """It learns the tiny scan, one with two boxes, by heart."""
    goal, scan = case.overfit or Overfit(), case.scan(boxes=2)
    method, rng = case.build(goal.config), np.random.default_rng(0)
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=goal.rate)
    costs: list[float] = []
    missing = "it was not trained"
    for step in range(goal.steps):
        left = 1 - step / goal.steps
        optimizer.param_groups[0]["lr"] = goal.rate * left
        set_bn_momentum(method, max(0.5 * left, 0.05))
        batch = method.prepare(scan, rng)
        loss = _total(method.losses(method(batch), batch, START))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(float(loss.detach()) - goal.least)
        if step % 5 == 4 or step == goal.steps - 1:
            missing = _missing(case, method, scan, costs, goal)
            if not missing:
                return
    raise Broken(f"after {goal.steps} steps {missing}")


def _missing(case: Case, method: Any, scan: Scan, costs: Sequence[float], goal: Overfit) -> str:
    """What a method does not know of the scan yet; empty where it knows enough."""
    share = float(np.mean(costs[-5:])) / costs[0]
    if not share < goal.loss:
        return f"the loss is {share:.2f} of the first, not below {goal.loss}"
    if goal.classes is None and goal.instances is None:
        return ""
    found = case.ask(method.eval(), scan)
    method.train()
    if not case.finds:
        assert scan.truth.whole is not None and found.whole is not None and goal.instances is not None
        iou = _overlaps(scan.truth.whole, found.whole)
        return (
            ""
            if iou > goal.instances
            else f"whole masks have an IoU of {iou:.2f}, not more than {goal.instances}"
        )
    if goal.classes is not None:
        right = float((found.element_classes == scan.truth.element_classes).float().mean())
        if not right > goal.classes:
            return f"{right:.2f} of the points have their class, not more than {goal.classes}"
    if not method.finds_instances:
        return "" if len(found) == 0 else f"it finds {len(found)} instances, and says that it finds none"
    if goal.instances is not None:
        truth = scan.truth if goal.structure else scan.truth[~_is_structure(scan.truth)]
        covered = coverage(truth, found)
        if not covered > goal.instances:
            return f"instances are covered to {covered:.2f}, not more than {goal.instances}"
    return ""


def labels_change_only_the_labels_of_a_batch(case: Case) -> None:
    """What the network sees is the same, whatever the truth."""
    method, scan = case.build(), case.scan()
    order = torch.randperm(len(scan.input), generator=_generator(1))
    truth = scan.truth
    shuffled = Instances.from_labels(
        truth.to_labels()[order],
        truth.classes,
        vocabulary=truth.vocabulary,
        element_classes=truth.classes_of_elements()[order],
    )
    if truth.whole is not None:
        shuffled = replace(shuffled, whole=shuffled.masks)
    one, other = (
        dict(_tensors(method.prepare(Scan("", scan.input, i), np.random.default_rng(0))))
        for i in (truth, shuffled)
    )
    expect(one.keys() == other.keys(), "the fields of a batch depend on the labels")
    expect(
        bool(one.keys() & case.labels.keys()),
        f"a batch has none of {_listed(case.labels)}; give the case its `labels`",
    )
    for name, value in one.items():
        if name in case.labels:
            expect(not torch.equal(value, other[name]), f"{name} of a batch is the same whatever the labels")
        else:
            expect(torch.equal(value, other[name]), f"{name} of a batch depends on the labels")


def prepare_repeats_with_its_generator(case: Case) -> None:
    """The same batch from the same generator, whatever has been drawn from the global ones; another from another."""
    method = case.build()
    one = dict(_tensors(case.batch(method)))
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    same, other = (dict(_tensors(case.batch(method, seed))) for seed in (0, 1))
    changed = [name for name, value in one.items() if not torch.equal(value, same[name])]
    expect(not changed, f"{_listed(changed)} of a batch changes although the generator is the same")
    expect(
        not case.draws or any(not torch.equal(value, other[name]) for name, value in one.items()),
        "a batch does not depend on the generator: every epoch would show the same",
    )


def losses_ignore_what_has_no_label(case: Case) -> None:
    """Where nothing is known, nothing is learnt."""
    method = case.build()
    blank = _unlabelled(case.batch(method), case.labels)
    for name, term in method.losses(method(blank), blank, case.moment).items():
        cost = float(term.detach())
        expect(cost == 0, f"where nothing is labelled the loss {name!r} is {cost:.3g}, not 0")


def segment_leaves_the_method_as_it_was(case: Case) -> None:
    """Its mode, its weights and its statistics."""
    method = case.build().train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    case.ask(method, case.scan(points=500))
    expect(method.training, "after segment the method is in eval mode, and was in training")
    changed = [n for n, value in method.state_dict().items() if not torch.equal(value, before[n])]
    expect(not changed, f"segment has changed {_listed(changed)}")


def config_and_weights_rebuild_the_method(case: Case) -> None:
    method = ready(case)
    torch.manual_seed(1)
    twin = type(method).from_config(method.config, method.vocabulary).eval()
    twin.load_state_dict(method.state_dict())
    _expect_equal(answer(case), case.ask(twin, case.scan()), None, "of a twin with the same weights")


def works_in_bfloat16_and_scores_in_float32(case: Case) -> None:
    """Under autocast: predictions and losses are float32, gradients finite."""
    method = case.build()
    batch = case.batch(method)
    with torch.autocast("cpu", torch.bfloat16):
        prediction = method(batch)
        terms = method.losses(prediction, batch, case.moment)
    for name, value in [*_tensors(prediction), *terms.items()]:
        right = value.dtype == torch.float32 or not value.is_floating_point()
        expect(right, f"{name or 'the prediction'} is {value.dtype}, not float32")
    _total(terms).backward()
    broken = [
        n for n, p in method.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())
    ]
    expect(not broken, f"the gradient of {_listed(broken)} is not finite")


LEARNS: tuple[Check, ...] = (
    every_parameter_receives_gradient,
    prepare_repeats_with_its_generator,
    segment_leaves_the_method_as_it_was,
    config_and_weights_rebuild_the_method,
    works_in_bfloat16_and_scores_in_float32,
)
"""What is asked besides of methods that learn."""


# --- comparing ---


def coverage(truth: Instances, found: Instances) -> float:
    """Mean over the true instances of their largest IoU with a found one, 0 to 1."""
    true, seen = (_dense(each) for each in (truth, found))
    common = true @ seen.T
    iou = common / (true.sum(1)[:, None] + seen.sum(1) - common)
    return float(iou.amax(1).mean()) if len(found) else 0.0


def _overlaps(true: Sets, found: Sets) -> float:
    """Mean IoU of sets that belong together."""
    pairs = [(set(one.tolist()), set(other.tolist())) for one, other in zip(true, found, strict=True)]
    return float(np.mean([len(one & other) / max(len(one | other), 1) for one, other in pairs]))


def _dense(instances: Instances) -> Float[Tensor, "i n"]:
    masks = [instances.masks.dense(i).double() for i in range(len(instances))]
    return torch.stack(masks) if masks else torch.zeros(0, instances.masks.size, dtype=torch.float64)


def _expect_equal(found: Instances, other: Instances, order: Tensor | None, when: str) -> None:
    """The same answer, `other` about the elements in another order."""
    order = torch.arange(found.masks.size) if order is None else order
    for name, one, two in zip(
        ("masks", "classes", "scores"),
        _described(found, torch.arange(len(order))),
        _described(other, order),
        strict=True,
    ):
        expect(one == two, f"{name} differ {when}: {len(found)} instances and {len(other)}")
    a, b = found.element_classes, other.element_classes
    if a is None or b is None:
        expect(a is b, f"element_classes are there only once {when}")
        return
    off = int((a[order] != b).sum())
    expect(off == 0, f"{off} points have another class {when}")


def _described(found: Instances, order: Tensor) -> tuple[list[Any], ...]:
    """The masks as sets in an order of their own; those with their classes; and with their scores."""
    masks = [tuple(sorted(order[found.elements_of(i)].tolist())) for i in range(len(found))]
    return (
        sorted(masks),
        sorted(zip(masks, found.classes.tolist(), strict=True)),
        sorted(zip(masks, found.scores.tolist(), strict=True)),
    )


def _expect_whole(found: Instances, count: int, case: Case, where: str) -> None:
    """An answer about every point, finite, with classes wherever the method has any."""
    expect(found.masks.size == count, f"the answer is about {found.masks.size} points, not {count}, {where}")
    expect(bool(found.scores.isfinite().all()), f"scores are not finite {where}")
    if answer(case).element_classes is None:
        return
    classes = found.element_classes
    expect(classes is not None, f"element_classes are missing {where}")
    lacking = int((found.classes_of_elements() < 0).sum())
    expect(lacking == 0, f"{lacking} points have no class {where}")


def _tensors(of: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a batch or prediction by name, "part.name" those in a part of it."""
    if isinstance(of, Tensor):
        yield prefix.removesuffix("."), of
        return
    for name, value in _fields(of).items():
        yield from _tensors(value, f"{prefix}{name}.")


def _unlabelled(batch: Any, labels: Any, prefix: str = "") -> Any:
    """The batch without labels, in its parts neither."""
    changed = {}
    for name, value in _fields(batch).items():
        if not isinstance(value, Tensor):
            changed[name] = _unlabelled(value, labels, f"{prefix}{name}.")
        elif labels.get(prefix + name) is not None:
            changed[name] = torch.full_like(value, labels[prefix + name])
    return batch._replace(**changed) if hasattr(batch, "_replace") else dataclasses.replace(batch, **changed)


def _fields(of: Any) -> dict[str, Any]:
    """Of a named tuple or a dataclass, those that hold tensors."""
    named = of._asdict() if hasattr(of, "_asdict") else vars(of) if dataclasses.is_dataclass(of) else {}
    return {
        n: v
        for n, v in named.items()
        if isinstance(v, Tensor) or hasattr(v, "_asdict") or dataclasses.is_dataclass(v)
    }


def _is_structure(truth: Instances) -> Tensor:
    return torch.from_numpy(truth.vocabulary.is_structure)[truth.classes]


def _total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _listed(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
