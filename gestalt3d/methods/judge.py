"""Judge: a network that has learnt how much of an object a proposal of a consensus is. Ours; it is in no paper.

A consensus (`consensus`) ranks what its sources have found by how well they agree. Besides, a proposal has a shape, a border, a
place in the room, and others around and within it (`ensemble.evidence`). From both a small network predicts the IoU with the
object that the proposal is most like, and that is its score.

It learns from proposals of the same sources in labelled scans, which should be others than the sources have learnt from: there
they are better than they will ever be. It is told neither classes nor who has found a proposal nor what that one thinks of it.

Readings:
- Several networks of two hidden layers see the same and start differently; the score is the mean of what they say.
- Evidence is centred and scaled by its running mean and deviation, and what lies beyond `_FAR` deviations counts as there.
- Every scan counts the same in the loss, however many proposals it has, and so does every set of looks of it: all of them, and
  the first one of each method, so that the same weights judge both.
"""

import copy
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from gestalt3d.configs import Count, Share, Width, Within, check_ranges
from gestalt3d.errors import UserError
from gestalt3d.methods.consensus import Answers, Consensus, ConsensusConfig
from gestalt3d.methods.ensemble.evidence import GENERAL, evidence, surface_of
from gestalt3d.methods.ensemble.pool import agreement
from gestalt3d.methods.method import AnyMethod, Learned, Moment
from gestalt3d.methods.overlapping import sizes_of, table_of
from gestalt3d.methods.voxels.labelled import is_object
from gestalt3d.nn.dropout import Dropout
from gestalt3d.nn.modes import evaluating
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import Vocabulary

_FAR = 4.0
_USUAL = 1000
"""Proposals of a scan that weigh 1 each."""


@dataclass(frozen=True)
class JudgeConfig:
    """The consensus, and the network that judges its proposals."""

    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    """Who is asked. Weights are for as many methods, whatever their looks."""
    width: Width = 48
    """Channels of both hidden layers."""
    networks: Annotated[int, Within(least=1, most=64)] = 3
    """Networks whose mean is the score."""
    dropout: Annotated[float, Within(least=0, below=1)] = 0.2
    """Share of the hidden channels that training leaves out."""
    proposals: Count = 128
    """Proposals of a training sample."""
    min_score: Share = 0.0
    """What is predicted to have a lower IoU is no instance."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Batch(NamedTuple):
    """Proposals, some of a scan at a time."""

    evidence: Float[Tensor, "b p f"]
    weights: Float[Tensor, "b p"]
    """How much each counts; 0 where there is none."""
    iou: Float[Tensor, "b p"]
    """With the object that it is most like; -1: unknown, takes no part in the loss."""

    def to(self, device: torch.device | str) -> "Batch":
        return Batch(*(values.to(device) for values in self))

    @classmethod
    def cat(cls, parts: Sequence["Batch"]) -> "Batch":
        return Batch(*map(torch.cat, zip(*parts, strict=True)))


class Prediction(NamedTuple):
    logits: Float[Tensor, "b p networks"]
    """Of the IoU; 0 where there is no proposal."""


class Scale(nn.BatchNorm1d):
    """Rows less their running mean, divided by their running deviation; what is far off is brought nearer."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)

    def forward(self, x: Float[Tensor, "r f"]) -> Float[Tensor, "r f"]:
        by_batch = self.training and len(x) > 1
        momentum = 0.1 if self.momentum is None else self.momentum
        scaled = F.batch_norm(x, self.running_mean, self.running_var, training=by_batch, momentum=momentum)
        return scaled.clamp(-_FAR, _FAR)


class Judge(Learned[PointCloud, Batch, Prediction]):
    name = "judge"
    takes = PointCloud
    not_trained = ("consensus", "min_score")
    batch_class = Batch
    config: JudgeConfig

    def __init__(self, config: JudgeConfig, vocabulary: Vocabulary, consensus: Consensus | None) -> None:
        """Where there is no `consensus` yet, `stand_on` makes it."""
        super().__init__()
        self.config, self.vocabulary, self._consensus = config, vocabulary, consensus
        self._channels = len(config.consensus.sources) + len(GENERAL)
        self.scale = Scale(self._channels)
        self.networks = nn.ModuleList([_layers(self._channels, config) for _ in range(config.networks)])

    @classmethod
    def from_config(cls, config: JudgeConfig, vocabulary: Vocabulary) -> "Judge":
        needs = config.consensus.needs
        return cls(config, vocabulary, None if needs else Consensus.from_config(config.consensus, vocabulary))

    @property
    def needs(self) -> tuple[str, ...]:
        return self.config.consensus.needs

    def stand_on(self, models: Mapping[str, AnyMethod]) -> None:
        self._consensus = Consensus.behind(self.config.consensus, self.vocabulary, models)

    @property
    def consensus(self) -> Consensus:
        """Who is asked; `UserError` where that is not known yet."""
        if self._consensus is None:
            raise UserError(f"the judge stands on {', '.join(self.needs)}; give it these with stand_on()")
        return self._consensus

    def with_consensus(self, config: ConsensusConfig) -> "Judge":
        """The same with the same weights, behind a consensus of the same methods with other settings."""
        own = self.consensus
        return self.behind(type(own)(config, self.vocabulary, own.models))

    def with_seed(self, seed: int) -> "Judge":
        """The same with the same weights, whose sources draw from another seed."""
        return self.behind(self.consensus.with_seed(seed))

    def behind(self, consensus: Consensus) -> "Judge":
        """The same with the same weights, behind another consensus of as many methods."""
        judge = copy.copy(self)
        judge.config, judge._consensus = replace(self.config, consensus=consensus.config), consensus
        return judge

    def prepare(self, scan: Scan, rng: np.random.Generator) -> Batch:
        """Some of the scan's proposals, drawn at random."""
        every = next(self._judged(scan))
        rows = torch.from_numpy(rng.permutation(every.iou.shape[1])[: self.config.proposals])
        return self._filled(Batch(*(values[:, rows] for values in every)))

    @property
    def blocks_per_sample(self) -> int:
        return 1

    def lattice(self, scan: Scan) -> Iterator[Batch]:
        """All proposals of a scan, those of all looks and those of the first ones."""
        for every in self._judged(scan):
            for part in zip(*(values.split(self.config.proposals, dim=1) for values in every), strict=True):
                yield self._filled(Batch(*part))

    def lattice_settings(self) -> tuple[Any, ...]:
        """All that `lattice` depends on, the weights of its sources, too."""
        weights = [print_of(method) for method in self.consensus.methods.values()]
        return self.name, repr(self.config.consensus), self.config.proposals, *weights

    def _judged(self, scan: Scan) -> Iterator[Batch]:
        """The proposals of a labelled scan, all of them and those of the first look of each method, with their IoU."""
        answers = self.consensus.ask(scan.input)
        surface = surface_of(scan.input, answers.superpoints, len(answers.weights))
        looks, first = self.consensus.looks, [0, *np.cumsum(self.consensus.looks)[:-1].tolist()]
        for pool, each in ((answers.pool, looks), (answers.pool.of_sources(first), [1] * len(looks))):
            agreed = agreement(pool, answers.weights, sources=sum(each))
            rows = evidence(pool, agreed, surface, each)
            iou = _true_iou(pool.sets, scan.truth, answers)
            yield Batch(rows[None], torch.full_like(iou, _USUAL / max(len(rows), 1))[None], iou[None])

    def _filled(self, batch: Batch) -> Batch:
        """With as many proposals as a sample has: those that are missing weigh nothing."""
        missing = self.config.proposals - batch.iou.shape[1]
        iou = F.pad(batch.iou, (0, missing), value=-1.0)
        return Batch(F.pad(batch.evidence, (0, 0, 0, missing)), F.pad(batch.weights, (0, missing)), iou)

    def forward(self, batch: Batch) -> Prediction:
        there = batch.weights > 0
        rows = self.scale(batch.evidence[there])
        logits = torch.cat([network(rows) for network in self.networks], dim=1).float()
        every = logits.new_zeros(*there.shape, len(self.networks))
        every[there] = logits
        return Prediction(every)

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """The squared error of the IoU, the mean over the networks and, weighted, over proposals."""
        weights = batch.weights * (batch.iou >= 0)
        error = (prediction.logits.sigmoid() - batch.iou[..., None]).square().mean(-1)
        return {"iou": (error * weights).sum() / weights.sum().clamp(min=1e-6)}

    @torch.inference_mode()
    def segment(self, cloud: PointCloud) -> Instances:
        """As of a consensus; a score is the IoU that is predicted."""
        answers = self.consensus.ask(cloud)
        with stage("judge"):
            scores = self.scores(cloud, answers)
        found = self.consensus.decide(answers, scores)
        return replace(found[found.scores >= self.config.min_score], method=self.name)

    def scores(self, cloud: PointCloud, answers: Answers) -> Float[Tensor, "p"]:
        """The IoU of each proposal with an object, as it is predicted."""
        surface = surface_of(cloud, answers.superpoints, len(answers.weights))
        agreed = self.consensus.agreement(answers)
        rows = evidence(answers.pool, agreed, surface, self.consensus.looks)[None]
        device = next(self.parameters()).device
        batch = Batch(rows, torch.ones_like(rows[..., 0]), torch.full_like(rows[..., 0], -1)).to(device)
        with evaluating(self):
            return self(batch).logits[0].sigmoid().mean(-1).cpu()


def _layers(channels: int, config: JudgeConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (channels, config.width):
        layers += [nn.Linear(inputs, config.width), nn.ReLU(), Dropout(config.dropout)]
    return nn.Sequential(*layers, nn.Linear(config.width, 1))


def _true_iou(sets: Sets, truth: Instances, answers: Answers) -> Float[Tensor, "p"]:
    """Of each set of superpoints with the object that it is most like, the building left out; -1 where nothing is labelled."""
    if not len(truth):
        return torch.full((len(sets),), -1.0)
    objects = truth.masks.take(is_object(truth.classes, truth.vocabulary).nonzero()[:, 0])
    count = len(answers.weights)
    owners, pieces = objects.owners.numpy(), answers.superpoints[objects.indices].numpy()
    inside = csr_matrix((np.ones(len(owners)), (owners, pieces)), shape=(len(objects), count))
    shared = (table_of(sets) @ inside.T).toarray()
    sizes = sizes_of(sets, answers.weights).double().numpy()[:, None]
    iou = shared / np.maximum(sizes + objects.sizes.double().numpy()[None] - shared, 1)
    return torch.from_numpy(iou.max(axis=1, initial=0.0)).float()


def print_of(method: AnyMethod) -> str:
    """Changes with the settings and the weights of a method."""
    found = hashlib.sha256(repr(method.config).encode())
    if isinstance(method, nn.Module):
        for name, value in sorted(method.state_dict().items()):
            found.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


METHOD = Judge
