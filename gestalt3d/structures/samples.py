"""What every data set and generator yields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View

Input = TypeVar("Input", PointCloud, View)
"""What a method takes."""


@dataclass(frozen=True)
class Sample(Generic[Input]):
    """An input and the truth about it. `truth.element_classes` holds the semantic class of every point or pixel."""

    name: str
    input: Input
    truth: Instances

    def __post_init__(self) -> None:
        if len(self.input) != self.truth.masks.size:
            raise ValueError(
                f"sample {self.name!r} has {len(self.input)} elements and labels for {self.truth.masks.size}"
            )


Scan = Sample[PointCloud]
"""A labelled cloud."""
LabelledView = Sample[View]
"""A labelled image or RGB-D frame."""


@runtime_checkable
class Scans(Protocol):
    """A data set, or a list of scans."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Scan: ...


def evenly_spaced(scans: Scans, most: int) -> Iterator[Scan]:
    """At most `most` of the scans, one at a time, the first among them and for two or more the last."""
    for i in np.unique(np.linspace(0, len(scans) - 1, min(most, len(scans))).astype(int)):
        yield scans[int(i)]
