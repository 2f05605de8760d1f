"""Consensus: several methods look at a cloud several times, and what they find judges one another. Ours; it is in no paper.

1. Every source, a method and a look at the cloud (`ensemble.looks`), says what instances it sees. The building is left out.
2. Instances become sets of superpoints (`ensemble.pool`), which are computed once: they are the same for all sources.
3. A set is worth the mean, over all methods, of its IoU with what the method has found that is most like it, which is the mean
   over the method's looks but for the one that the set is of. So a method that looks six times has no more say than one that
   looks once, as its looks err alike. What a source thinks of its own set does not count: networks score what they see by how
   it looks to them, and that carries over badly to other scans.
4. To that comes its size, as of two sets that are as well agreed on, rather the larger one is an object than its piece.
5. Sets that overlap a better one are dropped, or in one labelling lose what they share with it.
6. The class of a set is that which most of the sources see in most of its points, all of them weighing the same.

Readings:
- A source whose vocabulary is another one abstains with its rest class ("clutter"), as that holds whatever it has no name for.
- Sets of fewer than `min_points` points are no proposals.
- A superpoint is in an instance as far as a look has shown it: points that were thinned out or cut off have no say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gestalt3d.configs import Count, NotNegative, Share, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods.ensemble.looks import Look, shown, with_turns
from gestalt3d.methods.ensemble.pool import (
    Found,
    Pool,
    agreement,
    by_method,
    mean_of,
    of_points,
    of_superpoints,
)
from gestalt3d.methods.method import AnyMethod, Method, seeded, takes_clouds
from gestalt3d.methods.overlapping import best_first, sizes_of, suppress, without_overlap
from gestalt3d.methods.superpoints import SuperpointConfig, superpoints
from gestalt3d.methods.voxels.labelled import is_object, probable_class
from gestalt3d.stages import counted, stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import REST, Vocabulary, translate

if TYPE_CHECKING:
    from gestalt3d.methods.untrained import Untrained


@dataclass(frozen=True)
class SourceConfig:
    """One that is asked."""

    model: str
    """Name of a shipped model for clouds."""
    looks: tuple[Look, ...] = (Look(),)
    """How the cloud is shown to it, each look a source of its own."""
    turns: Annotated[int, Within(least=1, most=64)] | None = None
    """Turns of each look that the method itself looks at, where it does; by default as many as it does alone."""
    names: bool = True
    """Its classes count; off for one that only finds things."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.looks:
            raise UserError(f"looks of {self.model} must be one at least, got none")


@dataclass(frozen=True)
class ConsensusConfig:
    """Who is asked, and how the answers become one."""

    sources: tuple[SourceConfig, ...] = (
        SourceConfig("geometric-regions", names=False),
        SourceConfig("geometric", names=False),
    )
    """Who is asked."""
    superpoints: SuperpointConfig = field(default_factory=SuperpointConfig)
    """Pieces of which all answers are made."""
    inside: Share = 0.5
    """A superpoint is in a set with more than this share of its points."""
    min_points: Count = 50
    """Fewer points are no instance."""
    agreement_weight: NotNegative = 1.0
    """Weight of the agreement."""
    size_weight: NotNegative = 0.25
    """Weight of the logarithm of the size, from 0 for the smallest proposal to 1 for the largest."""
    own_weight: NotNegative = 0.0
    """Weight of the score that the source itself gives."""
    max_iou: Share = 0.5
    """Of two sets that overlap by more, the better one stays."""
    coherent: bool = False
    """Answer with one instance per point, without overlap."""
    min_rest: Share = 0.5
    """In one labelling, the share of a set that better ones must have left of it."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.agreement_weight + self.size_weight + self.own_weight > 0:
            raise UserError("agreement_weight, size_weight and own_weight must not all be 0")
        if not self.sources:
            raise UserError("sources must be one at least, got none")
        names = [source.model for source in self.sources]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UserError(f"sources name {', '.join(sorted(twice))} twice; give one more looks instead")

    @property
    def needs(self) -> tuple[str, ...]:
        """The sources that have weights."""
        return tuple(source.model for source in self.sources if source.model not in _weightless())

    def with_first_looks(self) -> "ConsensusConfig":
        """Every source looking once, its first look."""
        return replace(self, sources=tuple(replace(s, looks=s.looks[:1]) for s in self.sources))


def _weightless() -> "dict[str, Untrained]":
    from gestalt3d.methods.untrained import UNTRAINED

    return {name: model for name, model in UNTRAINED.items() if not model.needs}


class Answer(NamedTuple):
    """What one source has said of a cloud."""

    found: Found
    votes: Float[Tensor, "s c"]
    """The share of the shown points of each superpoint that has each class; 0 where the source abstains."""


class Answers(NamedTuple):
    """What all sources have said of a cloud."""

    superpoints: Int[Tensor, "n"]
    weights: Int[Tensor, "s"]
    """Points of each superpoint."""
    pool: Pool
    votes: Float[Tensor, "s c"]
    """What share of those that have seen a superpoint, and do not abstain, sees each class in it."""


class Consensus:
    """Nothing to train of its own; its sources may have learnt."""

    name = "consensus"
    takes = PointCloud
    takes_semantics = False
    config: ConsensusConfig

    def __init__(
        self, config: ConsensusConfig, vocabulary: Vocabulary, methods: Mapping[str, AnyMethod]
    ) -> None:
        """`methods` are those that `config.sources` name; `UserError` where one is missing or takes no clouds."""
        self.config, self.vocabulary, self.models = config, vocabulary, dict(methods)
        self.methods: dict[str, Method[PointCloud]] = {}
        for source in config.sources:
            method = methods.get(source.model)
            if method is None:
                known = ", ".join(methods) or "none"
                raise UserError(f"a consensus with {source.model} wants that model, got {known}")
            if not takes_clouds(method):
                raise UserError(f"{source.model} takes no clouds, so it is no source of a consensus")
            self.methods[source.model] = method if source.turns is None else with_turns(method, source.turns)

    @classmethod
    def from_config(cls, config: ConsensusConfig, vocabulary: Vocabulary) -> "Consensus":
        """Of sources without weights; `UserError` where it names others."""
        return cls.behind(config, vocabulary, {})

    @classmethod
    def behind(
        cls, config: ConsensusConfig, vocabulary: Vocabulary, models: Mapping[str, AnyMethod]
    ) -> "Consensus":
        """Of these `models`, and of those that need none."""
        known = _weightless()
        names = [source.model for source in config.sources if source.model in known]
        return cls(config, vocabulary, {**{name: known[name].make({}) for name in names}, **models})

    def with_seed(self, seed: int) -> "Consensus":
        """The same, whose sources draw from another seed."""
        models = {name: seeded(model, seed) for name, model in self.models.items()}
        return type(self)(self.config, self.vocabulary, models)

    def segment(self, cloud: PointCloud) -> Instances:
        """Instances of a cloud, the best first; they may overlap unless `coherent` forbids. Scores are from 0 to 1.

        `element_classes` are what most sources see in a superpoint, the building included; -1 where all abstain.
        """
        answers = self.ask(cloud)
        with stage("agreement"):
            scores = self.scores(answers)
        return self.decide(answers, scores)

    def ask(self, cloud: PointCloud) -> "Answers":
        """What all sources find in a cloud."""
        with stage("superpoints"):
            pieces = superpoints(cloud, self.config.superpoints)
        count = int(pieces.max()) + 1 if len(pieces) else 0
        carrying = cloud.same_points(superpoints=pieces)
        found: list[Found] = []
        votes = torch.zeros(count, len(self.vocabulary), dtype=torch.float64)
        asked = [(source, look) for source in self.config.sources for look in source.looks]
        with stage("looks"):
            for source, look in counted(asked):
                answer = self.answer(carrying, source, look, count)
                found.append(answer.found)
                votes += answer.votes
        total = votes.sum(1, keepdim=True)
        shares = (votes / total.clamp(min=1e-9)).float()
        return Answers(pieces, torch.bincount(pieces, minlength=count), Pool.of(found, count), shares)

    def answer(self, cloud: PointCloud, source: SourceConfig, look: Look, count: int) -> "Answer":
        """What one source finds in one look at a cloud, which carries its superpoints, so many."""
        pieces = cloud.superpoints
        assert pieces is not None
        with stage(source.model):
            seen, rows = shown(cloud, look)
            answer = self.methods[source.model].segment(seen)
        votes = torch.zeros(count, len(self.vocabulary), dtype=torch.float64)
        if source.names:
            votes = self._votes(answer, pieces[rows], count)
        return Answer(self._found(answer, pieces, rows, count), votes)

    @property
    def looks(self) -> list[int]:
        """How often each method looks."""
        return [len(source.looks) for source in self.config.sources]

    def agreement(self, answers: "Answers") -> Float[Tensor, "p sources"]:
        """Of each source with each proposal, NaN for that which has found it."""
        return agreement(answers.pool, answers.weights, sources=sum(self.looks))

    def scores(self, answers: "Answers") -> Float[Tensor, "p"]:
        """Agreement, size and the sources' own scores, weighted; from 0 to 1."""
        c = self.config
        agreed = by_method(self.agreement(answers), self.looks).nanmean(1).nan_to_num(0.0)
        size = _relative_size(sizes_of(answers.pool.sets, answers.weights))
        parts = [
            (c.agreement_weight, agreed),
            (c.size_weight, size),
            (c.own_weight, answers.pool.scores.clamp(0, 1)),
        ]
        return torch.stack([weight * value for weight, value in parts]).sum(0) / sum(w for w, _ in parts)

    def decide(self, answers: "Answers", scores: Float[Tensor, "p"]) -> Instances:
        """Of proposals with these scores those that stay, as instances of the cloud that was asked about."""
        pieces, weights, pool, votes = answers
        with stage("suppression"):
            order = best_first(scores, sizes_of(pool.sets, weights))
            kept = suppress(pool.sets, order, max_iou=self.config.max_iou, weights=weights)
            sets = pool.sets.take(kept)
            if self.config.coherent:
                least, rest = self.config.min_points, self.config.min_rest
                sets, kept = without_overlap(pool.sets, kept, min_rest=rest, least=least, weights=weights)
        with stage("points"):
            return Instances(
                masks=of_points(sets, pieces),
                classes=self._classes(mean_of(sets, votes, weights)),
                scores=scores[kept],
                vocabulary=self.vocabulary,
                element_classes=probable_class(votes)[pieces],
                method=self.name,
            )

    def _found(
        self, answer: Instances, pieces: Int[Tensor, "n"], rows: Int[Tensor, "k"], count: int
    ) -> Found:
        """The objects of an answer about the points `rows`, as sets of superpoints."""
        objects = answer[is_object(answer.classes, answer.vocabulary)]
        sets = of_superpoints(objects.masks, pieces, rows, count=count, least=self.config.inside)
        weights = torch.bincount(pieces, minlength=count)
        enough = (sizes_of(sets, weights) >= self.config.min_points).nonzero()[:, 0]
        return Found(sets.take(enough), objects.scores[enough].float())

    def _votes(self, answer: Instances, pieces: Int[Tensor, "k"], count: int) -> Float[Tensor, "s c"]:
        """The share of the shown points of each superpoint that has each class; float64, 0 where the source abstains."""
        table = translate(answer.vocabulary, self.vocabulary)
        if answer.vocabulary != self.vocabulary:
            table[[i for i, name in enumerate(answer.vocabulary.names) if name in REST]] = -1
        classes = torch.from_numpy(table)[answer.classes_of_elements()]
        known = classes >= 0
        keys = pieces[known] * len(self.vocabulary) + classes[known]
        counts = torch.bincount(keys, minlength=count * len(self.vocabulary))
        counts = counts.reshape(count, len(self.vocabulary))
        return counts / torch.bincount(pieces, minlength=count).clamp(min=1)[:, None].double()

    def _classes(self, votes: Float[Tensor, "p c"]) -> Int[Tensor, "p"]:
        """The class with most votes that is no structure, the lowest on ties; the rest class where there are none, else -1."""
        rest = next((self.vocabulary.id(name) for name in REST if name in self.vocabulary.names), -1)
        best = probable_class(votes.masked_fill(torch.from_numpy(self.vocabulary.is_structure), 0.0))
        return torch.where(best >= 0, best, rest)


def _relative_size(sizes: Int[Tensor, "p"]) -> Float[Tensor, "p"]:
    """The logarithm of the size, 0 for the smallest and 1 for the largest; 1 where all are alike."""
    logs = sizes.clamp(min=1).float().log()
    if not len(logs) or bool((logs == logs[0]).all()):
        return torch.ones_like(logs)
    return (logs - logs.min()) / (logs.max() - logs.min())


METHOD = Consensus
