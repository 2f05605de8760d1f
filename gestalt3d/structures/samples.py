"""What every data set and generator yields."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud


@dataclass(frozen=True)
class Scan:
    """A labelled cloud. `instances.point_classes` holds the semantic class of every point."""

    name: str
    cloud: PointCloud
    instances: Instances

    def __post_init__(self) -> None:
        if len(self.cloud) != self.instances.num_points:
            raise ValueError(
                f"scan {self.name!r} has {len(self.cloud)} points and labels for {self.instances.num_points}"
            )


@runtime_checkable
class Scans(Protocol):
    """A data set, or a list of scans."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int, /) -> Scan: ...


def evenly_spaced(scans: Scans, most: int) -> Iterator[Scan]:
    """At most `most` of the scans, one at a time, the first among them and for two or more the last."""
    for i in np.unique(np.linspace(0, len(scans) - 1, min(most, len(scans))).astype(int)):
        yield scans[int(i)]
