"""GSPN: a tiny scene's objects are generated, and nothing but context and code reaches the decoder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gestalt3d.data.augment import augment
from gestalt3d.data.rooms import Rooms
from gestalt3d.errors import UserError
from gestalt3d.methods.gspn import GSPN, Context, GSPNConfig, Prediction
from gestalt3d.methods.method import START, Moment
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.regions.objects import without_strays
from gestalt3d.methods.regions.proposals import Made
from gestalt3d.methods.regions.scene import Batch
from gestalt3d.methods.regions.voting import Frame, MemberContext, MembersConfig, first_of, vote_loss
from gestalt3d.methods.staged import Known, StagedConfig
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.nn.point_decoder import PointSetDecoder
from gestalt3d.ops.chamfer import chamfer_distance, nearest_both_ways
from gestalt3d.ops.gather import gather
from gestalt3d.recipes.rooms import AUGMENT
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing import Case, Overfit
from tests.scenes import tiny_scan

SMALL = {
    "points": 600, "seeds": 24, "test_seeds": 32, "width_scale": 0.125, "latent": 8,
    "contexts": (Context(0.4, 16), Context(0.8, 24)), "center_points": (150, 40, 16, 8),
}  # fmt: skip
BACKBONE = StagedConfig(
    UNetConfig(voxel_size=0.075, width=4, levels=2),
    MTMLConfig(voxel_size=0.15, width=4, first_kernel=3, dilations=(2, 2), norm=True),
)
VOTING = {"backbone": BACKBONE, "members": MembersConfig(points=16, frame_points=32)}
ABLATIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "E-D": {"variational": False},
    "1-context": {"contexts": (Context(0.8, 32),)},
    "no center": {"center": "none"},
    "bound": {"kl": "bound"},
    "contexts": {"center": "contexts"},
    "boxes": {"proposes": "boxes"},
    "segments": {"proposes": "segments"},
    "voting": VOTING,
}
every = pytest.mark.parametrize("case", ABLATIONS)


def build(**changes: Any) -> GSPN:
    torch.manual_seed(0)
    return GSPN.from_config(GSPNConfig(**{**SMALL, **changes}), S3DIS)


def batch_of(method: GSPN, scan: Scan | None = None, seed: int = 0) -> Batch:
    return method.prepare(scan or tiny_scan(), np.random.default_rng(seed))


LATE = Moment(step=9, steps=10, samples=10**9)
"""When the KL loss has its full weight."""
LABELS = {"owner": -2, "shapes": None, "boxes": None, "owner_of_points": None}
CASE = Case(
    config=GSPNConfig(**SMALL),
    moment=LATE,
    labels=LABELS,
    spread=lambda method, _: method.make.decoder.flat_points.weight.mul_(2),
    overfit=Overfit(
        config=GSPNConfig(**SMALL, reach=0.1, max_iou=0.3),
        steps=60,
        rate=5e-3,
        loss=0.35,
        classes=None,
        structure=False,
    ),
)
CASES = [
    Case(
        name="voting",
        config=GSPNConfig(**SMALL, **VOTING),
        moment=LATE,
        labels=LABELS,
        spread=lambda method, _: method.make.decoder.flat_points.weight.mul_(8),
        overfit=None,
    )
]


@every
def test_every_parameter_receives_gradient(case: str) -> None:
    method = build(**ABLATIONS[case])
    batch = batch_of(method)
    losses = method.losses(method(batch), batch, LATE)
    assert all(bool(torch.isfinite(term)) for term in losses.values())
    sum(losses.values()).backward()
    learning = [(name, weight) for name, weight in method.named_parameters() if weight.requires_grad]
    assert not [name for name, weight in learning if weight.grad is None or not weight.grad.abs().sum() > 0]


def test_a_batch_holds_the_objects_and_the_seeds_on_them() -> None:
    method, scan = build(seeds=200), tiny_scan()
    batch = batch_of(method, scan)
    assert batch.points.shape == (1, 600, 3) and batch.objects.tolist() == [3] and len(batch.boxes) == 3
    places = gather(batch.points, batch.seeds)[0]
    objects = [scan.input.points[scan.truth.elements_of(i)] for i in range(2, 5)]  # floor and wall are none
    for place, owner in zip(places, batch.owner[0].tolist(), strict=True):
        inside = [i for i, own in enumerate(objects) if bool((own == place).all(1).any())]
        assert inside == ([owner] if owner >= 0 else [])
    assert {-1, 0, 1, 2} == set(batch.owner[0].tolist())
    for box, shape, own in zip(batch.boxes, batch.shapes, objects, strict=True):
        low, high = own.amin(0), own.amax(0)
        torch.testing.assert_close(box, torch.cat([(low + high) / 2, high - low]))
        apart = nearest_both_ways((shape + box[:3])[None], own[None]).dist2_a
        assert shape.shape == (512, 3) and float(apart.max()) < 1e-10


def test_two_scenes_in_a_batch_are_those_alone() -> None:
    method = build().eval()
    parts = [batch_of(method, tiny_scan(seed), seed) for seed in range(2)]
    together = method(Batch.cat(parts))
    assert Batch.cat(parts).object_of_seed.max() == 5
    for k, part in enumerate(parts):
        alone = method(part)
        for name in ("center", "context", "objectness"):
            torch.testing.assert_close(
                getattr(together, name)[k], getattr(alone, name)[0], rtol=1e-4, atol=1e-4
            )
        torch.testing.assert_close(
            together.made.proposal.mean[k], alone.made.proposal.mean[0], rtol=1e-4, atol=1e-4
        )


def exact(batch: Batch, scale: float = 1.0) -> Prediction:
    """What a network would say that knows the truth, its shapes `scale` times as large."""
    places = gather(batch.points, batch.seeds)
    owner = batch.object_of_seed
    known = (owner >= 0)[..., None]
    center = torch.where(known, batch.boxes[owner.clamp(min=0), :3], places)
    shape = torch.where(known[..., None], batch.shapes[owner.clamp(min=0)] * scale, 0.0)
    shift = center - places
    distance = shift.norm(dim=-1)
    z = torch.zeros(*owner.shape, 8)
    sure = torch.full(shape.shape[:3], 20.0)
    objectness = torch.where(owner >= 0, 20.0, -20.0)
    gaussian = build().make._gaussian(torch.cat([z, z], dim=-1))
    direction = shift / distance.clamp(min=1e-6)[..., None]
    return Prediction(direction, distance, center, z, objectness, Made(shape, sure, gaussian, gaussian))


def test_the_truth_costs_nothing() -> None:
    method = build()
    batch = batch_of(method)
    losses = method.losses(exact(batch), batch, LATE)
    assert {name: pytest.approx(0, abs=1e-4) for name in losses} == {n: float(v) for n, v in losses.items()}
    assert set(losses) == {"generation", "confidence", "kl", "center", "objectness"}


def test_shapes_are_compared_in_units_of_their_object() -> None:
    """Twice as large is as wrong for a small object as for a large one."""
    method = build()
    batch = batch_of(method)
    losses = method.losses(exact(batch, 1.5), batch, START)
    owner = batch.object_of_seed
    own = owner[owner >= 0]
    radius = batch.boxes[own, 3:].norm(dim=1) / 2
    expected = chamfer_distance(1.5 * batch.shapes[own], batch.shapes[own]) / radius**2
    torch.testing.assert_close(losses["generation"], expected.mean(), rtol=1e-4, atol=1e-6)
    # Far larger boxes overlap theirs by (1/1.5)^3 < .5: what says "object" is wrong, and so is confidence far out.
    assert float(losses["objectness"]) == pytest.approx(20 * len(own) / owner.numel(), rel=1e-4)
    assert float(losses["confidence"]) > 1


def test_the_weight_of_kl_grows_with_the_samples() -> None:
    method = build()
    batch = batch_of(method)
    with torch.no_grad():
        prediction = method(batch)
        at = lambda samples: float(  # noqa: E731
            method.losses(prediction, batch, Moment(step=0, steps=10, samples=samples))["kl"]
        )
        first, second, last = at(0), at(55_000), at(10**9)
    assert first == 0 and second == pytest.approx(0.3 * last, rel=1e-5) and last > 0


def test_the_decoder_knows_context_and_code_only() -> None:
    """Moving a scene moves its proposals and changes nothing else."""
    method = build().eval()
    batch = batch_of(method)
    shift = torch.tensor([4.0, -3.0, 2.0])
    moved = batch._replace(
        points=batch.points + shift, boxes=batch.boxes + torch.cat([shift, torch.zeros(3)])
    )
    torch.manual_seed(1)
    here = method(batch)
    torch.manual_seed(1)
    there = method(moved)
    torch.testing.assert_close(here.center + shift, there.center, atol=1e-4, rtol=0)
    torch.testing.assert_close(here.made.shape, there.made.shape, atol=1e-3, rtol=0)


def test_the_recognised_object_reaches_the_shape_through_the_code_alone() -> None:
    method = build().eval()
    batch = batch_of(method)
    other = batch._replace(shapes=batch.shapes.flip(0) * 2)
    torch.manual_seed(1)
    one = method(batch)
    torch.manual_seed(1)
    two = method(other)
    known = batch.owner >= 0
    assert torch.equal(one.context, two.context) and torch.equal(one.made.prior.mean, two.made.prior.mean)
    assert not torch.allclose(one.made.proposal.mean[known], two.made.proposal.mean[known])
    assert not torch.allclose(one.made.shape[known], two.made.shape[known])
    assert torch.equal(one.made.shape[~known], two.made.shape[~known])


def test_overfits_one_scene() -> None:
    method = build()
    batch = batch_of(method, tiny_scan(boxes=2))
    optimizer = torch.optim.Adam(method.parameters())
    steps, history = 60, []
    for step in range(steps):
        left = 1 - step / steps
        optimizer.param_groups[0]["lr"] = 1e-2 * left
        set_bn_momentum(method, max(0.5 * left, 0.05))
        losses = method.losses(method(batch), batch, START)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        history.append({name: float(term.detach()) for name, term in losses.items()})
    assert sum(history[-1].values()) < 0.35 * sum(history[0].values())
    assert history[-1]["generation"] < 0.05  # a sixth of the half diagonal, there and back
    assert history[-1]["center"] < 0.1


def segmenter(**changes: Any) -> GSPN:
    """Untrained, its batch norm of one scene, its shapes about as large as objects."""
    method = build(**changes)
    set_bn_momentum(method, 1.0)
    with torch.no_grad():
        method(batch_of(method))
        method.make.decoder.flat_points.weight *= 2
    return method.eval()


def test_proposals_are_shapes_with_their_boxes_and_masks() -> None:
    method, cloud = segmenter(), tiny_scan().input
    found = method.segment(cloud)
    assert len(found) > 0 and found.shapes is not None and found.boxes is not None
    assert bool((found.scores[:-1] >= found.scores[1:]).all()) and bool((found.sizes > 0).all())
    assert bool((found.classes == -1).all())
    for k, shape in enumerate(found.shapes):
        assert isinstance(shape, PointCloud)
        low, high = shape.points.amin(0), shape.points.amax(0)
        torch.testing.assert_close(
            found.boxes[k, :6], torch.cat([(low + high) / 2, high - low]), atol=1e-5, rtol=0
        )
        near = torch.cdist(cloud.points[found.elements_of(k)], shape.points).amin(1)
        assert float(near.max()) < method.config.reach
        far = torch.ones(len(cloud), dtype=torch.bool)
        far[found.elements_of(k)] = False
        assert float(torch.cdist(cloud.points[far], shape.points).amin()) >= method.config.reach - 1e-6


def test_segment_is_repeatable_and_does_not_depend_on_the_order_of_points_or_on_labels() -> None:
    method, cloud = segmenter(), tiny_scan().input
    found = method.segment(cloud)
    assert method.segment(cloud) == found
    order = torch.randperm(len(cloud), generator=torch.Generator().manual_seed(0))
    moved = method.segment(cloud[order])
    assert torch.equal(found.scores, moved.scores)
    for k in range(len(found)):
        assert torch.equal(order[moved.elements_of(k)].sort().values, found.elements_of(k))
    assert method.segment(replace(cloud, semantic=None)) == found


def test_confident_points_alone_make_boxes() -> None:
    method = segmenter()
    with torch.no_grad():
        method.make.decoder.grid_points.bias[3] = -1e4  # nothing of the grid is there
        method.make.decoder.flat_points.bias.view(256, 4)[:, 3] = 1e4
    found = method.segment(tiny_scan().input)
    assert found.shapes is not None and all(len(shape) == 256 for shape in found.shapes)
    with torch.no_grad():
        method.make.decoder.flat_points.bias.view(256, 4)[:, 3] = -1e4
    found = method.segment(tiny_scan().input)  # nowhere anything: all points count
    assert found.shapes is not None and all(len(shape) == 512 for shape in found.shapes)


@pytest.mark.parametrize("points", [0, 1, 2, 5])
def test_few_points(points: int) -> None:
    cloud = tiny_scan().input[torch.arange(points)]
    found = segmenter().segment(cloud)
    assert found.masks.size == points


def test_a_far_seed_and_equal_points() -> None:
    method = segmenter()
    cloud = PointCloud(torch.cat([torch.zeros(300, 3), torch.full((1, 3), 50.0)]))
    found = method.segment(cloud)
    assert found.masks.size == 301 and bool(torch.isfinite(found.scores).all())


def scene(kind: str, seed: int) -> Scan:
    """What is hard on losses."""
    scan = tiny_scan(seed, points=500)
    if kind == "no object":
        return tiny_scan(seed, points=500, boxes=0)
    if kind == "an object of one point":
        labels = torch.full((500,), -1)
        labels[0] = 0
        return replace(scan, truth=Instances.from_labels(labels, torch.tensor([8]), vocabulary=S3DIS))
    if kind == "all points equal":
        return replace(scan, input=replace(scan.input, points=torch.ones_like(scan.input.points)))
    if kind == "one object":
        labels = torch.zeros(len(scan.input), dtype=torch.int64)
        return replace(scan, truth=Instances.from_labels(labels, torch.tensor([8]), vocabulary=S3DIS))
    return scan


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.sampled_from(["no object", "an object of one point", "all points equal", "one object", "usual"]),
    st.sampled_from(list(ABLATIONS)),
    st.integers(0, 99),
)
def test_losses_and_gradients_are_finite(kind: str, case: str, seed: int) -> None:
    method = build(**{**ABLATIONS[case], "points": 200, "seeds": 16})
    scan = scene(kind, seed)
    batch = batch_of(method, scan, seed)
    losses = method.losses(method(batch), batch, LATE)
    assert all(bool(torch.isfinite(term)) for term in losses.values())
    sum(losses.values()).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in method.parameters() if p.grad is not None)


def test_whole_shapes_are_learnt_where_they_are_known() -> None:
    scan = tiny_scan()
    box = Mesh(
        torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]), torch.tensor([[0, 1, 2], [0, 1, 3]])
    )
    whole = replace(scan, truth=replace(scan.truth, shapes=(box,) * len(scan.truth)))
    method = build(target="whole")
    batch = batch_of(method, whole)
    torch.testing.assert_close(batch.boxes[:, :3], torch.full((3, 3), 0.5), atol=0.05, rtol=0)
    with pytest.raises(UserError, match="these scans know none; train with --data rooms-whole:train"):
        batch_of(method, scan)


def test_whole_objects_of_a_room_are_learnt_where_their_visible_parts_are(tmp_path: Path) -> None:
    room = Rooms("val", count=1, vocabulary=S3DIS, cache_dir=tmp_path, shapes=True)[0]
    changed = augment(room, np.random.default_rng(0), AUGMENT)
    for scan in (room, changed, replace(room, truth=room.truth.moved(np.eye(4) + np.eye(4, k=3)))):
        scanned, whole = (batch_of(build(target=target, seeds=200), scan) for target in ("scanned", "whole"))
        assert torch.equal(scanned.points, whole.points) and torch.equal(scanned.owner, whole.owner)
        truth = scan.truth
        objects = (~torch.from_numpy(S3DIS.is_structure)[truth.classes]).nonzero().flatten().tolist()
        assert len(whole.boxes) == len(objects) > 5 and truth.shapes is not None
        for i, box, shape in zip(objects, whole.boxes, whole.shapes, strict=True):
            own = truth.shapes[i]
            assert isinstance(own, PointCloud)
            points = own.world_points.float()
            low, high = points.amin(0), points.amax(0)
            torch.testing.assert_close(box, torch.cat([(low + high) / 2, high - low]))
            apart = nearest_both_ways((shape + box[:3])[None], points[None]).dist2_a
            assert shape.shape == (512, 3) and float(apart.max()) < 1e-9
    losses = build(target="whole")
    batch = batch_of(losses, changed)
    assert all(bool(term.isfinite()) for term in losses.losses(losses(batch), batch, LATE).values())


def test_layers_are_those_of_table_7() -> None:
    method = GSPN.from_config(GSPNConfig(), S3DIS)
    widths = lambda layers: [layer.weight.shape[0] for layer in layers]  # noqa: E731
    assert method.context.channels == 768
    assert widths([method.context.each[0].first, *method.context.each[0].rest]) == [64, 128, 256]
    assert [*widths(method.make.prior.hidden), method.make.prior.out.out_features] == [256, 512, 512]
    assert widths([*method.make.recognise_points, *method.make.recognise_shape]) == [64, 256, 512, 256]
    assert [*widths(method.make.recognise.hidden), method.make.recognise.out.out_features] == [256, 512, 512]
    assert widths([*method.objectness.hidden]) == [256, 64]
    decoder = method.make.decoder
    assert isinstance(decoder, PointSetDecoder)
    assert [*widths(decoder.flat), decoder.flat_points.out_features] == [512, 512, 256 * 4]
    assert [m.weight.shape[1:] for m in decoder.grid if hasattr(m, "stride")] == [
        (512, 3, 3), (256, 3, 3), (128, 4, 4)
    ]  # fmt: skip
    assert decoder.eval()(torch.zeros(2, 512)).shape == (2, 512, 4)
    assert method.center_net is not None and method.center_net.encoder.counts == (2048, 512, 128, 32)


def test_contexts_are_wanted() -> None:
    with pytest.raises(UserError, match="contexts must be one at least"):
        GSPNConfig(contexts=())


def test_points_that_a_scanner_leaves_in_the_air_do_not_decide_on_the_box_of_an_object() -> None:
    rng = np.random.default_rng(0)
    near = torch.from_numpy(rng.uniform(0, 0.3, (400, 3))).float()
    points = torch.cat([near, torch.tensor([[0.1, 0.1, 1.5], [0.1, 0.12, 1.5]])])
    assert torch.equal(without_strays(points), near)
    alone = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]])
    assert torch.equal(without_strays(alone), alone)
    assert torch.equal(without_strays(alone[:2]), alone[:2])


def test_the_first_points_of_a_seed_are_itself_and_those_that_are_chosen_again_and_again_where_they_are_few() -> (
    None
):
    chosen = torch.tensor([[False, True, False, True, True, True], [False] * 6, [True] * 6])
    found = first_of(chosen, torch.tensor([3, 2, 5]), most=4)
    assert found.tolist() == [[3, 1, 4, 5], [2, 2, 2, 2], [5, 0, 1, 2]]
    assert first_of(chosen, torch.tensor([0, 0, 0]), most=6)[0].tolist() == [0, 1, 3, 4, 5, 0]


def test_members_are_seen_in_their_own_frame() -> None:
    """Two boxes whose points vote for their centres: each seed's frame is its own box, wherever that stands."""
    method = build(**VOTING, points=400)
    assert isinstance(method.context, MemberContext) and method.backbone is not None
    rng = np.random.default_rng(0)
    unit = torch.from_numpy(rng.uniform(-1, 1, (400, 3))).float()
    half = torch.tensor([0.4, 0.2, 0.3])
    center = torch.tensor([[0.0, 0, 1], [1.0, 0, 1]]).repeat_interleave(200, dim=0)
    points = (center + unit * half)[None]
    known = Known(
        torch.full((1, 400, 13), 1 / 13), torch.zeros(1, 400, 4), torch.zeros(1, 400, 4), unit[None]
    )
    seeds = torch.tensor([[0, 399]])
    method.eval()
    frame, f_c = method.context(points, torch.zeros_like(points), known, center[None], seeds)
    assert isinstance(frame, Frame)
    torch.testing.assert_close(frame.center, center[seeds], atol=0.06, rtol=0)
    torch.testing.assert_close(frame.half, half.expand(1, 2, 3), atol=0.06, rtol=0)
    moved = method.context(points + 5, torch.zeros_like(points), known, center[None] + 5, seeds)
    torch.testing.assert_close(moved[0].center, frame.center + 5)
    torch.testing.assert_close(moved[1], f_c, atol=1e-3, rtol=1e-3)


def test_votes_cost_their_distance_in_half_diagonals() -> None:
    votes, centers = torch.tensor([[1.0, 0, 0], [0, 0, 4.0]]), torch.zeros(2, 3)
    assert float(vote_loss(centers, centers, torch.ones(2))) == 0
    # Linear beyond .2: 1 - .1 and 2 - .1.
    torch.testing.assert_close(
        vote_loss(votes, centers, torch.tensor([1.0, 2.0])), torch.tensor((0.9 + 1.9) / 2)
    )
    assert float(vote_loss(votes[:0], centers[:0], torch.ones(0))) == 0


def test_a_backbone_stays_as_it_is() -> None:
    method = build(**VOTING).train()
    assert method.backbone is not None
    before = {name: value.clone() for name, value in method.backbone.state_dict().items()}
    batch = batch_of(method)
    sum(method.losses(method(batch), batch, LATE).values()).backward()
    assert all(p.grad is None for p in method.backbone.parameters())
    assert all(torch.equal(value, before[name]) for name, value in method.backbone.state_dict().items())


def test_a_backbone_proposes_shapes_alone() -> None:
    with pytest.raises(UserError, match='proposes must be "shapes" behind a backbone'):
        GSPNConfig(**{**SMALL, **VOTING}, proposes="boxes")


def test_one_point_astray_costs_its_distance_in_the_loss_of_the_box() -> None:
    method = build(extent_weight=2.0)
    batch = batch_of(method)
    found = method(batch)
    known = batch.owner >= 0
    own = batch.object_of_seed.clamp(min=0)
    center, shapes = batch.boxes[own, :3], batch.shapes[own]
    exact = found._replace(
        center=center, made=found.made._replace(shape=shapes, confidence=torch.ones(1, 24, 512))
    )
    assert float(method.losses(exact, batch, LATE)["extent"]) < 1e-5
    radius = (batch.boxes[own, 3:].norm(dim=-1) / 2).clamp(min=method.config.least_radius)
    astray = shapes.clone()
    astray[:, :, 0, 2] = shapes[..., 2].amax(-1) + radius  # a half diagonal above: 1 - .1 behind the bend
    wrong = exact._replace(made=exact.made._replace(shape=astray))
    assert float(method.losses(wrong, batch, LATE)["extent"]) == pytest.approx(2 * 0.9, rel=1e-3)
    unsure = exact.made.confidence.clone()
    unsure[:, :, 0] = -1
    wrong = wrong._replace(made=wrong.made._replace(confidence=unsure))
    assert float(method.losses(wrong, batch, LATE)["extent"]) < 0.1
    assert int(known.sum()) > 3
