"""MTML behind a semantic stage: clouds without labels."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gestalt3d.errors import UserError
from gestalt3d.methods.components import ComponentsConfig
from gestalt3d.methods.method import START
from gestalt3d.methods.mtml import MTML, MTMLConfig
from gestalt3d.methods.staged import Batch, Staged, StagedConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.methods.unet import Prediction, UNetConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.methods.voxels.labelled import nested, probable_class
from gestalt3d.ops.voxelize import voxelize
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit
from tests.scenes import tiny_scan

FINE = UNetConfig(voxel_size=0.05, width=4, levels=2)
PARTER = MTMLConfig(width=4, first_kernel=3, dilations=(2, 2), norm=True, structure=True)
WINDOWS = UNetConfig(voxel_size=0.075, width=4, levels=3, max_extent=1.5)
COARSE = replace(PARTER, voxel_size=0.15)
COHERENT = replace(COARSE, proposals=ProposalConfig(coherent=True))
LABELS = {"parted.instances": -1}


def spread(method: Staged, batch: Batch) -> None:
    assert isinstance(method.parter, MTML)
    method.parter.embed.weight *= 2.0 / method(batch).embedding.std()


CASES = [
    Case(
        config=StagedConfig(WINDOWS, COARSE),
        labels=LABELS,
        spread=spread,
        # What `segment` says is up to the semantic stage, which is not trained here: only the loss counts.
        overfit=Overfit(
            config=StagedConfig(WINDOWS, replace(COARSE, random_turns=False)),
            steps=60,
            least=-1.0,
            classes=None,
            instances=None,
        ),
    ),
    Case(
        name="superpoints",
        config=StagedConfig(
            replace(WINDOWS, superpoints=SuperpointConfig(voxel_size=0.04, min_voxels=5)), COHERENT
        ),
        labels=LABELS,
        spread=spread,
        overfit=None,
    ),
]


def build(parter: MTMLConfig | ComponentsConfig = PARTER) -> Staged:
    torch.manual_seed(0)
    return Staged.from_config(StagedConfig(FINE, parter), S3DIS)


def by_height(batch: Any) -> Prediction:
    """A semantic stage that is sure, and a class for every 20 cm above the floor."""
    classes = (batch.features[:, 5].clamp(min=0) / 0.2).long() % len(S3DIS)
    return Prediction(F.one_hot(classes, len(S3DIS)) * 1e4)


def test_given_semantics_and_the_same_predicted_ones_give_the_same_answer() -> None:
    cloud = replace(tiny_scan().input, semantic=None)
    method = build().eval()
    method.semantics.forward = by_height
    predicted = method.segment(cloud)
    given = method.segment(replace(cloud, semantic=predicted.element_classes))
    assert len(predicted) > 1 and len(set(predicted.element_classes.tolist())) > 3
    assert given.masks == predicted.masks
    for name in ("classes", "scores", "element_classes"):
        assert torch.equal(getattr(predicted, name), getattr(given, name)), name


def test_training_sees_what_the_stage_predicts_and_segment_the_same() -> None:
    scan = tiny_scan()
    cloud = replace(scan.input, semantic=None)
    method = build(replace(PARTER, random_turns=False)).eval()
    batch = method.prepare(replace(scan, input=cloud), np.random.default_rng(0))
    assert batch.parted.features.shape[1] == 0
    torch.testing.assert_close(method.predicted(batch), method.labelled(cloud).seen.coarser(0.1).scores)
    other = method.prepare(replace(tiny_scan(1), input=replace(tiny_scan(1).input, semantic=None)),
                           np.random.default_rng(0))  # fmt: skip
    both = Batch.cat([batch, other])
    torch.testing.assert_close(method.predicted(both)[: len(batch.parted.instances)], method.predicted(batch))


def test_turned_voxels_keep_their_scores() -> None:
    scan = replace(tiny_scan(), input=replace(tiny_scan().input, semantic=None))
    still, turned = (build(replace(PARTER, random_turns=turns)).eval() for turns in (False, True))
    a, b = (method.prepare(scan, np.random.default_rng(3)) for method in (still, turned))
    assert not torch.equal(a.parted.coordinates, b.parted.coordinates)

    def rows(method: Staged, batch: Batch) -> torch.Tensor:
        known = batch.parted.coordinates[:, 2:], batch.parted.instances[:, None]
        return torch.cat([method.predicted(batch), *known], dim=1)

    one, other = rows(still, a), rows(turned, b)
    # The turn shifts the height by a whole voxel or none.
    one[:, -2] -= one[:, -2].min()
    other[:, -2] -= other[:, -2].min()
    sort = lambda values: values[np.lexsort(values.round(decimals=4).numpy().T)]  # noqa: E731
    torch.testing.assert_close(sort(one), sort(other), atol=1e-4, rtol=0)


def test_the_stage_is_frozen() -> None:
    method = build().train()
    before = {name: value.clone() for name, value in method.semantics.state_dict().items()}
    optimizer = torch.optim.Adam(method.parameters(), lr=0.1)
    batch = method.prepare(tiny_scan(), np.random.default_rng(0))
    torch.stack(list(method.losses(method(batch), batch, START).values())).sum().backward()
    optimizer.step()
    assert method.training and not any(part.training for part in method.semantics.modules())
    assert all(torch.equal(value, before[name]) for name, value in method.semantics.state_dict().items())
    assert all(weight.grad is None for weight in method.semantics.parameters())


def test_unknown_classes_are_named() -> None:
    cloud = tiny_scan().input
    assert cloud.semantic is not None
    with pytest.raises(UserError, match="must be -1 to 12, got 40; the model knows 0 ceiling"):
        build().segment(replace(cloud, semantic=cloud.semantic.clone().index_fill(0, torch.tensor([7]), 40)))


def test_large_voxels_hold_the_small_ones_exactly() -> None:
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    fine = voxelize(points, voxel_size=0.1)
    large, of_fine = nested(fine, factor=2)
    assert torch.equal(large.coordinates[of_fine], fine.coordinates.div(2, rounding_mode="floor"))
    assert torch.equal(large.voxel_of_point, of_fine[fine.voxel_of_point])
    assert torch.equal(large.counts, torch.bincount(large.voxel_of_point))
    direct = voxelize(points, voxel_size=0.2)
    assert torch.equal(large.coordinates, direct.coordinates)
    same, identity = nested(fine, factor=1)
    assert same is fine and torch.equal(identity, torch.arange(len(fine.counts)))


def test_probable_class() -> None:
    scores = torch.tensor([[0.2, 0.5, 0.3], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    assert probable_class(scores).tolist() == [1, 0, -1]


@pytest.mark.parametrize("changes", [{"voxel_size": 0.12}, {"voxel_size": 0.02}])
def test_voxels_that_do_not_nest_are_refused(changes: dict) -> None:
    with pytest.raises(ValueError, match="whole multiple"):
        StagedConfig(FINE, replace(PARTER, **changes))
