"""What several methods and looks agree on: by hand, against a loop, and that nobody judges what it has found itself."""

import pytest
import torch

from gestalt3d.errors import UserError
from gestalt3d.methods.consensus import Consensus, ConsensusConfig, SourceConfig
from gestalt3d.methods.ensemble.looks import Look, shown, with_turns
from gestalt3d.methods.ensemble.pool import Found, Pool, agreement, mean_of, of_points, of_superpoints
from gestalt3d.methods.untrained import UNTRAINED
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS, SCANNET21, Vocabulary
from gestalt3d.testing import Case

TWO = (
    SourceConfig("geometric", (Look(), Look(degrees=30.0)), names=True),
    SourceConfig("geometric-regions", (Look(), Look(spacing=0.05, colors=False), Look(top=0.3))),
)
CASE = Case(config=ConsensusConfig(sources=TWO, min_points=20))
CASES = [Case(name="coherent", config=ConsensusConfig(sources=TWO, min_points=20, coherent=True))]


def sets(*members: list[int], size: int) -> Sets:
    return Sets.of([torch.tensor(m, dtype=torch.int64) for m in members], size)


def as_lists(found: Sets) -> list[list[int]]:
    return [own.tolist() for own in found]


class Says:
    """A method that says what it was told to, of whatever it is shown."""

    name = "says"
    takes = PointCloud
    takes_semantics = False
    config = None

    def __init__(self, masks: Sets, classes: list[int], vocabulary: Vocabulary, of_points: list[int]) -> None:
        self.masks, self.classes, self.vocabulary, self.of_points = masks, classes, vocabulary, of_points

    @classmethod
    def from_config(cls, config: object, vocabulary: Vocabulary) -> "Says":
        raise NotImplementedError

    def segment(self, cloud: PointCloud) -> Instances:
        return Instances(
            masks=self.masks,
            classes=torch.tensor(self.classes),
            scores=torch.linspace(0.9, 0.1, len(self.classes)),
            vocabulary=self.vocabulary,
            element_classes=torch.tensor(self.of_points),
        )


CLOUD = PointCloud(torch.rand(6, 3), superpoints=torch.tensor([0, 0, 1, 2, 2, 3]))
CHAIR, TABLE, WALL = (SCANNET21.id(name) for name in ("chair", "table", "wall"))


def consensus(*told: Says, **settings: object) -> Instances:
    sources = tuple(SourceConfig(f"source {i}") for i in range(len(told)))
    config = ConsensusConfig(sources=sources, min_points=1, **settings)  # type: ignore[arg-type]
    methods = {source.model: method for source, method in zip(sources, told, strict=True)}
    return Consensus(config, SCANNET21, methods).segment(CLOUD)


def test_what_others_have_found_counts_and_nothing_else() -> None:
    """Scores by hand: the mean over the other methods of the best IoU in points. The own scores would say otherwise."""
    a = Says(sets([0, 1], [2, 3, 4], size=6), [CHAIR, TABLE], SCANNET21, [CHAIR] * 2 + [TABLE] * 4)
    b = Says(sets([0, 1, 2], size=6), [CHAIR], SCANNET21, [CHAIR] * 3 + [TABLE] * 3)
    c = Says(sets([3, 4, 5], [0, 1], size=6), [TABLE, CHAIR], SCANNET21, [CHAIR] * 2 + [TABLE] * 4)
    found = consensus(a, b, c, size_weight=0.0, max_iou=1.0)
    expected = {
        (0, 1): (2 / 3 + 1) / 2,  # of a: with b's three and c's own two; of c: with a's and b's
        (2, 3, 4): (1 / 5 + 2 / 4) / 2,
        (0, 1, 2): (2 / 3 + 2 / 3) / 2,
        (3, 4, 5): (2 / 4 + 0) / 2,
    }
    got = {tuple(own): round(float(s), 5) for own, s in zip(as_lists(found.masks), found.scores, strict=True)}
    assert got == {key: round(value, 5) for key, value in expected.items()}
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_a_method_of_many_looks_has_no_more_say_than_one_of_one_look() -> None:
    a = Says(sets([0, 1], size=6), [CHAIR], SCANNET21, [CHAIR] * 6)
    b = Says(sets([2, 3, 4], size=6), [CHAIR], SCANNET21, [CHAIR] * 6)
    c = Says(sets([0, 1, 2], size=6), [CHAIR], SCANNET21, [CHAIR] * 6)
    looks = (Look(), Look(degrees=10.0), Look(degrees=20.0), Look(degrees=30.0))
    sources = (SourceConfig("a"), SourceConfig("b", looks), SourceConfig("c"))
    config = ConsensusConfig(sources=sources, min_points=1, size_weight=0.0, max_iou=1.0)
    found = Consensus(config, SCANNET21, {"a": a, "b": b, "c": c}).segment(CLOUD)
    best = {tuple(own): float(s) for own, s in zip(as_lists(found.masks), found.scores, strict=True)}
    # What b sees four times and nobody else: once agreed on by b's other looks, never by a, by c in one point of five.
    assert best[(2, 3, 4)] == pytest.approx((1 + 0 + 1 / 5) / 3)
    assert best[(0, 1)] == pytest.approx((0 + 2 / 3) / 2)


def test_a_superpoint_is_in_a_set_with_most_of_the_points_that_were_shown() -> None:
    pieces, rows = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 2, 3, 4])  # one of three is not shown
    masks = sets([0, 1, 2], [0, 2, 3], [], size=4)
    made = of_superpoints(masks, pieces, rows, count=3, least=0.5)
    assert as_lists(made) == [[0], [1], []]  # of the first both, of the second just half
    assert as_lists(of_points(made, pieces)) == [[0, 1, 2], [3, 4], []]


def test_agreement_is_that_of_a_loop() -> None:
    random = torch.Generator().manual_seed(0)
    weights = torch.randint(1, 9, (30,), generator=random)
    parts, dense = [], []
    for count in (5, 0, 9, 3):
        member = torch.rand(count, 30, generator=random) < 0.4
        dense.append(member)
        parts.append(Found(sets(*(m.nonzero()[:, 0].tolist() for m in member), size=30), torch.rand(count)))
    pool = Pool.of(parts, 30)
    found = agreement(pool, weights, sources=4)
    every, owner = torch.cat(dense), torch.tensor([0] * 5 + [2] * 9 + [3] * 3)
    for i, mine in enumerate(every):
        for s, theirs in enumerate(dense):
            ious = [
                float(weights[mine & one].sum() / weights[mine | one].sum())
                for one in theirs
                if s != owner[i]
            ]
            best = float("nan") if s == owner[i] else max(ious, default=0.0)
            assert float(found[i, s]) == pytest.approx(best, nan_ok=True)


def test_means_are_over_points() -> None:
    weights = torch.tensor([3, 1])
    values = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert mean_of(sets([0, 1], [1], [], size=2), values, weights).tolist() == [[0.75, 0.5], [0, 2], [0, 0]]


def test_most_sources_name_a_thing_and_clutter_of_another_vocabulary_abstains() -> None:
    mask = sets([0, 1, 2, 3, 4, 5], size=6)
    chair = Says(mask, [CHAIR], SCANNET21, [CHAIR] * 6)
    table = Says(mask, [TABLE], SCANNET21, [TABLE] * 6)
    clutter = Says(mask, [S3DIS.id("clutter")], S3DIS, [S3DIS.id("clutter")] * 6)
    assert consensus(chair, table, chair).class_name(0) == "chair"
    assert consensus(table, clutter, clutter).class_name(0) == "table"
    nobody = consensus(clutter, clutter)
    assert nobody.class_name(0) == "otherfurniture" and nobody.classes_of_elements().tolist() == [-1] * 6


def test_the_building_is_no_instance_and_names_none_but_its_points() -> None:
    wall = Says(sets([0, 1, 2], [3, 4, 5], size=6), [WALL, CHAIR], SCANNET21, [WALL] * 3 + [CHAIR] * 3)
    found = consensus(wall, wall)
    assert as_lists(found.masks) == [[3, 4, 5]] and found.class_name(0) == "chair"
    assert found.classes_of_elements().tolist() == [WALL] * 3 + [CHAIR] * 3


def test_one_labelling_does_not_overlap() -> None:
    a = Says(sets([0, 1, 2, 3, 4], size=6), [CHAIR], SCANNET21, [CHAIR] * 6)
    b = Says(sets([2, 3, 4, 5], size=6), [CHAIR], SCANNET21, [CHAIR] * 6)
    c = Says(sets([2, 3, 4, 5], size=6), [CHAIR], SCANNET21, [CHAIR] * 6)
    assert consensus(a, b, c, size_weight=0.0).masks.overlap
    apart = consensus(a, b, c, size_weight=0.0, coherent=True, min_rest=0.4)
    assert as_lists(apart.masks) == [[2, 3, 4, 5], [0, 1]]
    assert len(consensus(a, b, c, size_weight=0.0, coherent=True)) == 1  # of the other two fifths are left


def test_looks_show_what_they_say() -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.rand(2000, 3, generator=random) * torch.tensor([4.0, 4.0, 2.5])
    cloud = PointCloud(points, torch.rand(2000, 3, generator=random), superpoints=torch.arange(2000) // 2)
    assert shown(cloud, Look()).cloud == cloud
    low = shown(cloud, Look(top=0.5))
    assert float(low.cloud.points[:, 2].max()) < 2.0 and torch.equal(cloud.points[low.rows], low.cloud.points)
    thin = shown(cloud, Look(spacing=0.5))
    cells = torch.unique((thin.cloud.points / 0.5).floor(), dim=0)
    assert len(cells) == len(thin.cloud) < 500 and bool((thin.rows.diff() > 0).all())
    turned = shown(cloud, Look(degrees=90.0)).cloud
    torch.testing.assert_close(turned.points[:, :2], torch.stack([-points[:, 1], points[:, 0]], 1))
    assert shown(cloud, Look(colors=False)).cloud.colors is None
    assert shown(cloud[cloud.points[:, 2] < 1.0], Look(top=0.5)).cloud.extents[2] > 0.9  # no room is so low


def test_pieces_go_along_with_the_points_and_have_no_gaps() -> None:
    cloud = PointCloud(torch.rand(6, 3), superpoints=torch.tensor([0, 0, 1, 2, 2, 3]))
    part = cloud[torch.tensor([3, 1, 5])].superpoints
    assert part is not None and part.tolist() == [1, 0, 2]


def test_superpoints_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    from gestalt3d.methods import superpoints as module

    whole = module.graph_segments
    monkeypatch.setattr(module, "graph_segments", lambda *a, **k: (calls.append(1), whole(*a, **k))[1])
    method = Consensus.from_config(CASE.config, SCANNET21)
    assert len(method.segment(CASE.scan().input)) and len(calls) == 1


def test_what_cannot_be_a_source_is_refused_in_words() -> None:
    with pytest.raises(UserError, match="mtml-rooms"):
        Consensus.from_config(ConsensusConfig(sources=(SourceConfig("mtml-rooms"),)), SCANNET21)
    with pytest.raises(UserError, match="one at least"):
        ConsensusConfig(sources=())
    with pytest.raises(UserError, match="twice"):
        ConsensusConfig(sources=(SourceConfig("geometric"), SourceConfig("geometric")))
    with pytest.raises(UserError, match="looks of geometric"):
        SourceConfig("geometric", looks=())
    config = ConsensusConfig(sources=(SourceConfig("visible-masks"),))
    with pytest.raises(UserError, match="takes no clouds"):
        Consensus.from_config(config, SCANNET21)


def test_a_geometric_source_has_no_turns_of_its_own() -> None:
    method = UNTRAINED["geometric"].make({})
    assert with_turns(method, 1) is method  # type: ignore[arg-type]
