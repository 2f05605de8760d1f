"""MTML's own: inputs, what counts as an instance, turns of the voxels, sizes, and post-processing end to end."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gestalt3d.data.toyboxes import Toyboxes
from gestalt3d.errors import UserError
from gestalt3d.methods.method import START
from gestalt3d.methods.mtml import MTML, Batch, MTMLConfig, Prediction
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.methods.voxels.turns import random_turn
from gestalt3d.ops.centers import to_centers
from gestalt3d.structures.vocabulary import S3DIS, TOYBOXES
from gestalt3d.testing import Case, Overfit
from tests.scenes import tiny_scan

SMALL = MTMLConfig(width=4, first_kernel=3, dilations=(2, 2))
COARSE = replace(SMALL, voxel_size=0.15, structure=True)
"""Walls and floors are instances, so that the tiny scan has some that touch."""
NORMED = replace(COARSE, norm=True, proposals=ProposalConfig(coherent=True))


def spread(method: MTML, batch: Batch) -> None:
    method.embed.weight *= 2.0 / method(batch).embedding.std()


def variant(name: str, config: MTMLConfig, overfit: Overfit | None = None) -> Case:
    return Case(name=name, config=config, semantics=True, spread=spread, overfit=overfit)


# Directions cost -1 where they are perfect.
BY_HEART = Overfit(config=replace(NORMED, random_turns=False), steps=60, least=-1.0)
CASES = [
    variant("", NORMED, BY_HEART),
    variant("overlapping", replace(COARSE, turns=2)),
    variant("dense", replace(COARSE, space="dense")),
    variant("embedding-only", replace(COARSE, direction=False)),
]


def build(config: MTMLConfig = SMALL) -> MTML:
    torch.manual_seed(0)
    return MTML.from_config(config, TOYBOXES)


def perfect(batch: Batch) -> Prediction:
    """Embeddings 5 apart, vectors to the centres."""
    target, _ = to_centers(batch.coordinates.float(), batch.instances, int(batch.instances.max()) + 1)
    embedding = torch.zeros(len(batch.instances), 4)
    embedding[:, 0] = 5.0 * batch.instances
    return Prediction(target, embedding)


def test_spaces_share_their_weights() -> None:
    sparse, dense = build(), build(replace(SMALL, space="dense"))
    dense.load_state_dict(sparse.state_dict())
    at = torch.ones(8, 6, 4).nonzero()
    features = torch.eye(5)[torch.randint(0, 5, (len(at),), generator=torch.Generator().manual_seed(0))]
    batch = Batch(at, features, torch.zeros(len(at)).long(), torch.tensor([len(at)]))
    torch.testing.assert_close(sparse(batch), dense(batch), atol=1e-4, rtol=1e-3)


def test_scenes_of_a_batch_do_not_see_each_other() -> None:
    method, scenes, rng = build(), Toyboxes("train", count=2), np.random.default_rng(0)
    a, b = (method.prepare(scenes[i], rng) for i in range(2))
    both = Batch(*(torch.cat(parts) for parts in zip(a, b, strict=True)))
    together, alone = method(both), method(a)
    torch.testing.assert_close(together.embedding[: len(a.instances)], alone.embedding, atol=1e-5, rtol=1e-4)
    losses = [torch.stack([*method.losses(method(x), x, START).values()]).sum() for x in (a, b, both)]
    torch.testing.assert_close((losses[0] + losses[1]) / 2, losses[2], atol=1e-5, rtol=1e-5)


def test_perfect_predictions_cost_the_least_and_give_the_truth() -> None:
    scenes = Toyboxes("train", count=3)
    method = build(replace(SMALL, random_turns=False, proposals=ProposalConfig(coherent=True)))
    method.fit(scenes)
    batch = method.prepare(scenes[0], np.random.default_rng(0))
    losses = method.losses(perfect(batch), batch, START)
    assert float(losses["variance"]) == float(losses["distance"]) == 0
    torch.testing.assert_close(losses["direction"], torch.tensor(-1.0))
    classes = scenes[0].truth.element_classes
    assert classes is not None
    found = method.group([perfect(batch)], batch.coordinates, classes)
    truth = {tuple((batch.instances == i).nonzero()[:, 0].tolist()) for i in batch.instances.unique()}
    parts = found.proposals.indices.split(found.proposals.sizes.tolist())
    assert {tuple(part.tolist()) for part in parts} == truth
    assert all(
        int(c) == int(classes[part].mode().values) for c, part in zip(found.classes, parts, strict=True)
    )
    # Sizes differ a little from the usual one.
    assert bool((found.scores > 0.7).all()) and bool((found.scores <= 1).all())


def test_directions_decide_between_two_boxes_and_their_union() -> None:
    """One cluster holds two touching boxes, another bandwidth parts them."""
    at = torch.ones(8, 3, 3).nonzero()
    instances = (at[:, 0] >= 4).long()
    batch = Batch(at, torch.zeros(len(at), 5), instances, torch.tensor([len(at)]))
    ideal = perfect(batch)
    close = Prediction(ideal.direction, ideal.embedding / 5 * 0.8)
    config = ProposalConfig(bandwidths=(0.5, 3.0), coherency_threshold=1.0, coherent=True)
    found = build(replace(SMALL, proposals=config)).group([close], at, torch.zeros_like(instances))
    assert sorted(found.proposals.sizes.tolist()) == [36, 36]
    # Without directions both are coherent; the larger one wins.
    blind = build(replace(SMALL, direction=False, proposals=config))
    found = blind.group([close], at, torch.zeros_like(instances))
    assert found.proposals.sizes.tolist() == [72]


def test_each_look_gives_proposals() -> None:
    """What one look's features do not part another's do; of opposite directions nothing is left."""
    at = torch.ones(8, 3, 3).nonzero()
    instances = (at[:, 0] >= 4).long()
    batch = Batch(at, torch.zeros(len(at), 5), instances, torch.tensor([len(at)]))
    seeing = perfect(batch)
    blind = Prediction(seeing.direction, torch.zeros_like(seeing.embedding))
    config = ProposalConfig(bandwidths=(0.5,), feature_weight=0.0, coherent=True)
    method, classes = build(replace(SMALL, proposals=config)), torch.zeros_like(instances)
    assert method.group([blind], at, classes).proposals.sizes.tolist() == [72]
    for looks in ([seeing, blind], [blind, seeing]):
        found = method.group(looks, at, classes)
        assert sorted(found.proposals.sizes.tolist()) == [36, 36]
        assert bool((found.scores > 0.9).all())
    other = Prediction(-2 * seeing.direction, seeing.embedding)
    assert float(method.group([seeing, other], at, classes).scores.max()) < 0.6


def test_a_look_is_what_the_network_says_of_the_turned_scene() -> None:
    """Turned by the caller or by `turns`: the same features, and directions that turn along."""
    scene = Toyboxes("train", count=1)[0]
    method = build().eval()
    batch = method.prepare(scene, np.random.default_rng(0))
    with torch.inference_mode():
        plain = method.look(batch.coordinates, batch.features, 0)
        for turns in (1, 2, 3):
            x, y, z = batch.coordinates.unbind(1)
            for _ in range(turns):
                x, y = -y - 1, x
            at = torch.stack([x, y, z], dim=1) + turns % 2
            # Two voxels share a cell of the pooling or not, along each axis: x of the turned scene is y, and so on.
            along = at[:, [1, 0, 2] if turns % 2 else [0, 1, 2]]
            for here, before in zip(along.T, batch.coordinates.T, strict=True):
                together = (here[:, None] // 2 == here // 2) & (before[:, None] != before)
                cells = (before[:, None] // 2 == before // 2) & (before[:, None] != before)
                assert torch.equal(together, cells) == (turns % 2 == 0)
            turned_scene = method(Batch(at, batch.features, batch.instances, batch.sizes))
            look = method.look(batch.coordinates, batch.features, turns)
            torch.testing.assert_close(look.embedding, turned_scene.embedding, atol=1e-5, rtol=1e-4)
            x, y, z = look.direction.unbind(1)
            for _ in range(turns):
                x, y = -y, x
            found = torch.stack([x, y, z], dim=1)
            torch.testing.assert_close(found, turned_scene.direction, atol=1e-5, rtol=1e-4)
            assert not torch.allclose(look.embedding, plain.embedding, atol=1e-3)


def test_turns_are_those_of_a_rigid_body() -> None:
    at = torch.tensor([[0, 0, 0], [3, 0, 0], [3, 1, 5], [2, 7, 1]])
    seen = set()
    for seed in range(60):
        moved = random_turn(at, np.random.default_rng(seed))
        torch.testing.assert_close(
            torch.cdist(moved.float(), moved.float()), torch.cdist(at.float(), at.float())
        )
        assert int(moved.min()) >= 0 and int(moved.amin(0).max()) <= 1
        assert (moved[:, 2] - moved[0, 2]).tolist() == at[:, 2].tolist()
        seen.add(tuple((moved - moved.amin(0)).flatten().tolist()))
    assert len(seen) == 8


def test_semantic_noise_reaches_the_network_in_training_alone() -> None:
    scene = Toyboxes("train", count=1)[0]
    method = build(replace(SMALL, semantic_noise=SemanticNoiseConfig(4.0, radius=(3.0, 3.0))))
    sure, unsure = (m.prepare(scene, np.random.default_rng(0)) for m in (build(), method))
    assert torch.equal(sure.features, unsure.features) and len(unsure.noise) == len(sure.features)
    assert not torch.allclose(method(unsure).embedding, method(sure).embedding, atol=1e-3)
    again = method.prepare(scene, np.random.default_rng(0))
    assert torch.equal(again.noise, unsure.noise)
    pair = Batch(*(torch.cat(parts) for parts in zip(unsure, again, strict=True)))
    torch.testing.assert_close(
        method(pair).embedding, method(unsure).embedding.repeat(2, 1), atol=1e-5, rtol=1e-4
    )
    quiet = build()
    quiet.load_state_dict(method.state_dict())
    cloud = replace(scene.input, semantic=scene.truth.element_classes)
    assert torch.equal(method.segment(cloud).to_labels(), quiet.segment(cloud).to_labels())


def test_structure_is_input_but_no_instance() -> None:
    scan = tiny_scan()
    torch.manual_seed(0)
    method = MTML.from_config(SMALL, S3DIS)
    batch = method.prepare(scan, np.random.default_rng(0))
    building = batch.features[:, torch.from_numpy(S3DIS.is_structure)].sum(1) > 0
    assert bool(building.any()) and bool((batch.instances[building] < 0).all())
    assert sorted(batch.instances.unique().tolist()) == [-1, 0, 1, 2]
    found = method.segment(scan.input)
    assert not bool(torch.from_numpy(S3DIS.is_structure)[found.classes].any())


def test_training_falls_back_on_true_classes_and_segment_does_not() -> None:
    scan = Toyboxes("train", count=1)[0]
    bare = replace(scan, input=replace(scan.input, semantic=None))
    method = build()
    one, other = (method.prepare(s, np.random.default_rng(0)) for s in (scan, bare))
    assert torch.equal(one.features, other.features)
    with pytest.raises(UserError, match="carries no semantic classes"):
        method.segment(bare.input)


def test_scores_of_classes_or_other_features_can_be_the_input() -> None:
    scan = Toyboxes("train", count=1)[0]
    classes = scan.input.semantic
    assert classes is not None
    scores = torch.eye(5)[classes] * 0.8 + 0.04
    method = build(replace(SMALL, inputs="features", features=5))
    found = method.segment(replace(scan.input, semantic=None, features=scores))
    assert torch.equal(found.element_classes, classes)
    with pytest.raises(UserError, match="5 features per point for this model, got none"):
        method.segment(scan.input)
    wide = build(replace(SMALL, inputs="features", features=7))
    cloud = replace(scan.input, features=torch.rand(len(classes), 7))
    assert torch.equal(wide.segment(cloud).element_classes, classes)
    with pytest.raises(UserError, match="7 features are no scores of 5 classes"):
        wide.segment(replace(cloud, semantic=None))


def test_size_statistics_are_those_of_the_logarithms() -> None:
    scenes = Toyboxes("train", count=2)
    method = build()
    method.fit(scenes)
    for c in range(5):
        logs = torch.cat([s.truth.sizes[s.truth.classes == c].float().log() for s in (scenes[0], scenes[1])])
        if len(logs):
            torch.testing.assert_close(method.log_size_mean[c], logs.mean())
            assert float(method.log_size_deviation[c]) == pytest.approx(
                max(float(logs.std(correction=0)), method.config.proposals.size_deviation), rel=1e-5
            )
        else:
            assert float(method.log_size_deviation[c]) == 0


def test_nothing_known_is_no_instance() -> None:
    scan = Toyboxes("train", count=1)[0]
    unknown = replace(scan.input, semantic=torch.full((len(scan.input),), -1))
    assert len(build().segment(unknown)) == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"voxel_size": 0.0},
        {"first_kernel": 4},
        {"inputs": "features"},
        {"width": 0},
        {"turns": 0},
        {"turns": 5},
        {"semantic_noise": SemanticNoiseConfig(1.0), "inputs": "features", "features": 3},
    ],
)
def test_impossible_settings_of_the_network_say_which(changes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        MTMLConfig(**changes)


@pytest.mark.parametrize("changes", [{"deviation": -1.0}, {"balls": -1}, {"radius": (0.8, 0.15)}])
def test_impossible_settings_of_noise_say_which(changes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        SemanticNoiseConfig(**changes)
