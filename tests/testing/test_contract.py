"""Each check of the contract finds the method that breaks it: the example of a plug-in, spoilt in one place."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit, checks, contract
from gestalt3d.testing.broken import Broken
from gestalt3d.testing.contract import coverage

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture
def heights(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return importlib.import_module("heights")


def labelled(labels: Callable[[PointCloud], torch.Tensor]) -> Callable[[Any], Any]:
    """Spoils `segment`: its instances are those of the given labels."""

    def spoilt(segment: Any) -> Any:
        def answer(self: Any, cloud: PointCloud) -> Instances:
            found = labels(cloud)
            kinds = torch.zeros(int(found.max()) + 1 if len(found) else 0, dtype=torch.int64)
            classes = torch.zeros(len(cloud), dtype=torch.int64)
            return Instances.from_labels(found, kinds, vocabulary=S3DIS, element_classes=classes)

        return answer

    return spoilt


def by_order(cloud: PointCloud) -> torch.Tensor:
    return torch.arange(len(cloud)) // 100


def by_semantic(cloud: PointCloud) -> torch.Tensor:
    return (cloud.points[:, 2] > 1).long() if cloud.semantic is None else cloud.semantic


def with_a_truth(segment: Any) -> Any:
    return lambda self, cloud, truth=None: segment(self, cloud)


def without_classes_of_few(segment: Any) -> Any:
    return lambda self, cloud: segment(self, cloud) if len(cloud) > 2 else Instances.empty(len(cloud), S3DIS)


def unsure_without_colors(segment: Any) -> Any:
    def answer(self: Any, cloud: PointCloud) -> Instances:
        found = segment(self, cloud)
        return found if cloud.colors is not None else replace(found, scores=found.scores * torch.nan)

    return answer


def with_an_idle_parameter(make: Any) -> Any:
    def from_config(config: Any, vocabulary: Any) -> Any:
        method = make(config, vocabulary)
        method.idle = nn.Parameter(torch.ones(1))
        return method

    return from_config


def with_a_secret(make: Any) -> Any:
    """It parts the cloud at a height that is drawn when it is made and stands in no file."""

    def from_config(config: Any, vocabulary: Any) -> Any:
        method = make(config, vocabulary)
        at = float(torch.rand(1))
        spoilt = labelled(lambda cloud: (cloud.points[:, 2] > at).long())(None)
        method.segment = lambda cloud: spoilt(method, cloud)
        return method

    return from_config


def with_classes_for_heights(prepare: Any) -> Any:
    def batch(self: Any, sample: Any, rng: Any) -> Any:
        made = prepare(self, sample, rng)
        return made._replace(heights=made.classes[:, None].float())

    return batch


def by_the_global_generator(prepare: Any) -> Any:
    def batch(self: Any, sample: Any, rng: Any) -> Any:
        made = prepare(self, sample, rng)
        return made._replace(heights=made.heights + torch.rand(1))

    return batch


def without_a_generator(prepare: Any) -> Any:
    import numpy as np

    return lambda self, sample, rng: prepare(self, sample, np.random.default_rng(0))


def mean_of_nothing(losses: Any) -> Any:
    return lambda self, prediction, batch, at: {
        "semantic": nn.functional.cross_entropy(prediction, batch.classes, ignore_index=-1)
    }


def in_eval_mode(segment: Any) -> Any:
    return lambda self, cloud: segment(self.eval(), cloud)


def in_half_precision(forward: Any) -> Any:
    return lambda self, batch: self.layers(batch.heights)


SPOILT = [
    ("the_order_of_the_points_changes_nothing", "segment", labelled(by_order), "masks differ where the points come"),
    ("the_order_of_the_points_changes_nothing", "segment", labelled(lambda cloud: torch.zeros(len(cloud)).long()),
     "it tells nothing apart"),
    ("the_answer_repeats", "segment", labelled(lambda cloud: torch.randint(3, (len(cloud),))), "the second time"),
    ("labels_are_not_seen", "segment", labelled(by_semantic), "where the cloud carries its classes"),
    ("labels_are_not_seen", "segment", with_a_truth, "must take a cloud and nothing else"),
    ("hardly_any_points_are_answered", "segment", without_classes_of_few, "element_classes are missing of 0 points"),
    ("points_of_one_place_stay_together", "segment", labelled(by_order), "parted into masks of"),
    ("a_cloud_without_colors_far_from_the_origin_is_answered", "segment", unsure_without_colors, "not finite"),
    ("every_parameter_receives_gradient", "from_config", with_an_idle_parameter, "no gradient reaches idle"),
    ("labels_change_only_the_labels_of_a_batch", "prepare", with_classes_for_heights, "heights of a batch depends"),
    ("prepare_repeats_with_its_generator", "prepare", by_the_global_generator, "heights of a batch changes"),
    ("prepare_repeats_with_its_generator", "prepare", without_a_generator, "does not depend on the generator"),
    ("losses_ignore_what_has_no_label", "losses", mean_of_nothing, "the loss 'semantic' is nan, not 0"),
    ("segment_leaves_the_method_as_it_was", "segment", in_eval_mode, "the method is in eval mode"),
    ("config_and_weights_rebuild_the_method", "from_config", with_a_secret, "of a twin with the same weights"),
    ("works_in_bfloat16_and_scores_in_float32", "forward", in_half_precision, "is torch.bfloat16, not float32"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "place", "spoil", "says"), SPOILT, ids=[f"{c}-{says}" for c, *_, says in SPOILT]
)
def test_a_check_says_what_is_broken(
    heights: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    place: str,
    spoil: Callable[[Any], Any],
    says: str,
) -> None:
    monkeypatch.setattr(heights.Heights, place, spoil(getattr(heights.Heights, place)))
    with pytest.raises(Broken, match=says):
        getattr(contract, check)(Case(config=heights.CASE.config))


def test_every_check_is_broken_once(heights: ModuleType) -> None:
    names = {check.__name__ for check in checks(heights.CASE)}
    assert names == {check for check, *_ in SPOILT} | {"overfits_one_scene"}


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        (Overfit(steps=5, loss=1e-6), "after 5 steps the loss is"),
        (Overfit(steps=5, loss=1.0, classes=0.99), "of the points have their class"),
        (Overfit(steps=5, loss=1.0, classes=None, instances=0.99), "instances are covered to"),
    ],
)
def test_what_is_not_learnt_is_said(heights: ModuleType, goal: Overfit, says: str) -> None:
    with pytest.raises(Broken, match=says):
        contract.overfits_one_scene(Case(config=heights.CASE.config, overfit=goal))


def test_the_example_keeps_the_contract(heights: ModuleType) -> None:
    for check in checks(heights.CASE):
        check(heights.CASE)


def test_coverage_is_the_mean_of_the_best_overlaps() -> None:
    kinds = torch.zeros(2, dtype=torch.int64)
    truth = Instances.from_labels(torch.tensor([0, 0, 0, 0, 1, 1, -1, -1]), kinds, vocabulary=S3DIS)
    found = Instances.from_labels(torch.tensor([0, 0, 1, -1, 1, 1, 1, -1]), kinds, vocabulary=S3DIS)
    assert coverage(truth, truth) == 1
    assert coverage(truth, found) == pytest.approx((2 / 4 + 2 / 4) / 2)
    assert coverage(truth, Instances.empty(8, S3DIS)) == 0
