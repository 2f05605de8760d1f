"""The same scans, standing elsewhere: what a method finds should not depend on that."""

from dataclasses import replace

import numpy as np
import torch

from gestalt3d.data import DataSet
from gestalt3d.data.part import Part
from gestalt3d.ops.turn import turn_matrix
from gestalt3d.structures.samples import Scan


class Posed(Part):
    """Each scan turned about the vertical through its middle by any angle, and moved by up to 20 cm along each axis.

    Pose 0 is the scan as it is; of others the scan's position in the data and the pose alone decide. Names, labels and the
    number of points are the scan's; boxes and shapes move along. Normals and the file it came from are dropped.
    """

    def __init__(self, scans: DataSet, pose: int) -> None:
        super().__init__(scans, range(len(scans)))
        self._pose = pose

    def fingerprint(self, i: int) -> str:
        """The data set's, and the pose."""
        return f"{super().fingerprint(i)}-{self._pose}-{i}"

    def __getitem__(self, i: int) -> Scan:
        scan = super().__getitem__(i)
        if self._pose == 0:
            return scan
        rng = np.random.default_rng((self._pose, i))
        angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2, 3)
        turn = turn_matrix(angle)
        middle = (
            scan.input.points.double().mean(0) if len(scan.input) else torch.zeros(3, dtype=torch.float64)
        )
        points = (scan.input.points.double() - middle) @ turn.T + middle + torch.from_numpy(shift)
        moved = np.eye(4)
        moved[:3, :3] = turn.numpy()
        moved[:3, 3] = (middle - middle @ turn.T).numpy() + shift
        return replace(
            scan,
            input=replace(scan.input, points=points.float(), normals=None, source=None),
            truth=replace(scan.truth.moved(moved), source_from_cloud=None),
        )
