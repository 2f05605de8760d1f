"""What a method is: anything that segments, and what training asks of those that learn.

A method that learns is a network with four more functions: `prepare` makes a batch of a labelled sample, `forward` predicts,
`losses` supervises, `segment` decides. `fit` looks at the training set once before.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    NamedTuple,
    Never,
    Protocol,
    TypeAlias,
    TypeGuard,
    TypeVar,
    runtime_checkable,
)

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gestalt3d.configs import Json
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Sample, Scan, Scans
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

Given = TypeVar("Given", contravariant=True)
"""What is segmented: a `PointCloud`."""
Predicted = TypeVar("Predicted")
_Batch = TypeVar("_Batch", bound="Batch")
_Network = TypeVar("_Network", bound="Network")
_Any = TypeVar("_Any", bound="Method[Never]")


@runtime_checkable
class Method(Protocol[Given]):
    """Anything that segments."""

    name: str
    """That of `METHODS`, by which a weight file names it."""
    takes: type[Any]
    """The type of its input."""

    @property
    def takes_semantics(self) -> bool:
        """Whether it uses the classes that its input may carry."""
        ...

    config: Any
    """A frozen dataclass. With the vocabulary, and the weights where it learns, it makes the method anew."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @classmethod
    def from_config(cls, config: Any, vocabulary: Vocabulary) -> "Method[Given]":
        """Untrained, where it learns."""
        ...

    def segment(self, given: Given, /) -> Instances:
        """The instances in it. Nothing of the truth is known here."""
        ...


AnyMethod: TypeAlias = Method[Never]
"""Whatever it segments: the two functions below tell."""


def takes_clouds(method: AnyMethod) -> TypeGuard[Method[PointCloud]]:
    """Whether it segments clouds."""
    return method.takes is PointCloud


def takes_views(method: AnyMethod) -> TypeGuard[Method[View]]:
    """Whether it segments views."""
    return method.takes is View


def needs_depth(method: object) -> bool:
    """Whether a view must have depth and camera for it; a method that says nothing of it takes photos."""
    return bool(getattr(method, "needs_depth", False))


def seeded(method: _Any, seed: int) -> _Any:
    """The method drawing its samples from another seed; itself where it draws none."""
    own = getattr(method, "with_seed", None)
    if own is not None:
        return own(seed)
    if not hasattr(method.config, "seed"):
        return method
    other = copy.copy(method)
    other.config = replace(method.config, seed=seed)
    return other


@runtime_checkable
class Batch(Protocol):
    """What goes through a network at once: tensors, and what they know about themselves."""

    def to(self: _Batch, device: torch.device | str) -> _Batch:
        """The same on another device."""
        ...

    @classmethod
    def cat(cls: type[_Batch], parts: Sequence[_Batch]) -> _Batch:
        """Several as one."""
        ...


AnyBatch = TypeVar("AnyBatch", bound=Batch)
Made = TypeVar("Made", bound=Batch, covariant=True)


class Moment(NamedTuple):
    """Where a training stands, for losses that change on the way."""

    step: int
    """From 0."""
    steps: int
    """Of the whole training."""
    samples: int
    """Seen before this step, as the recipe counts them."""

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 and below 1."""
        return self.step / self.steps


START = Moment(step=0, steps=1, samples=0)


class Migrated(NamedTuple):
    """A network that an earlier version has written, in the words of this one."""

    method: str
    """A name of `METHODS`."""
    config: dict[str, Json]
    """Plain, as `configs.from_plain` reads it."""
    rename: Callable[[str], str] = str
    """From what a tensor was called to what it is called now."""


class Network(nn.Module):
    """A `Method` with weights, whatever it learns from: who keeps the weights needs to know no more of it."""

    name: str
    takes: type[Any]
    takes_semantics = False
    needs_depth = False
    """Of views: with their camera. Else photos will do."""
    not_trained: tuple[str, ...] = ()
    """Settings that only `segment` knows: weights fit whatever they are."""
    config: Any
    vocabulary: Vocabulary

    @classmethod
    def from_config(cls: type[_Network], config: Any, vocabulary: Vocabulary) -> _Network:
        """Untrained, its weights drawn from torch's global generator; by default `cls(config, vocabulary)`."""
        make: Any = cls
        return make(config, vocabulary)

    @classmethod
    def migrated(cls, config: dict[str, Json]) -> Migrated:
        """What the plain configuration of a file of this method means, whatever version has written it.

        A method that has changed what it writes overrides this, the one place that knows about its earlier versions. What it
        does not know it leaves for `configs.from_plain` to refuse.
        """
        return Migrated(cls.name, config)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the shipped models that it stands on, whose weights are in files of their own; by default none."""
        return ()

    def stand_on(self, models: Mapping[str, AnyMethod]) -> None:
        """Take what it `needs`, before it is asked anything."""

    @property
    def finds_instances(self) -> bool:
        """Whether it learns more than the classes of the elements."""
        return True

    def fit(self, samples: Scans) -> None:
        """Take over what the method needs to know of the training set as a whole, in buffers; by default nothing."""

    if TYPE_CHECKING:  # who checks types at run time refuses an argument that nothing can be

        def segment(self, given: Never, /) -> Instances:
            """That of `Learned`."""
            ...


class Learned(Network, Generic[Given, AnyBatch, Predicted]):
    """Base of the methods that learn: from what it is given come batches, and of these predictions."""

    def prepare(self, sample: Sample[Any], rng: np.random.Generator) -> AnyBatch:
        """A batch of one labelled sample of what it is given, or of a random part of it, on the CPU."""
        raise NotImplementedError

    def forward(self, batch: AnyBatch) -> Predicted:
        raise NotImplementedError

    def losses(self, prediction: Predicted, batch: AnyBatch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """The terms, weighted, whose sum is the paper's loss."""
        raise NotImplementedError

    def watched(self, prediction: Predicted, batch: AnyBatch) -> dict[str, Float[Tensor, ""]]:
        """What the log shows of a step beside the losses, such as signs of how a training goes wrong; by default nothing."""
        return {}

    def segment(self, given: Given, /) -> Instances:
        """The instances in it, in eval mode; the mode that the network was in comes back."""
        raise NotImplementedError


def learns(method: AnyMethod) -> TypeGuard[Learned[Any, Any, Any]]:
    """Whether there is something to train, of whatever batches and predictions."""
    return isinstance(method, Learned)


@runtime_checkable
class CutsBlocks(Protocol[Made]):
    """A `Learned` method whose samples are blocks of a scan, which can be cut once and kept."""

    @property
    def batch_class(self) -> Callable[..., Made]:
        """Makes a batch of its fields, which are tensors."""
        ...

    @property
    def blocks_per_sample(self) -> int:
        """How many random blocks `prepare` takes of a scan."""
        ...

    def lattice(self, scan: Scan) -> Iterator[Sequence[Tensor]]:
        """Every block of a scan, some at a time: the fields of a batch."""
        ...

    def lattice_settings(self) -> tuple[Any, ...]:
        """All of the configuration that `lattice` depends on."""
        ...


def cuts_blocks(method: Learned[Never, AnyBatch, Predicted]) -> TypeGuard[CutsBlocks[AnyBatch]]:
    """Whether its batches are blocks that can be cut once."""
    return isinstance(method, CutsBlocks)
