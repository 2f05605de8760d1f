"""The semantic PointNet++: the case of the contract."""

from gestalt3d.methods.pointnet2 import Batch, PointNet2, PointNet2Config
from gestalt3d.testing import Case, Overfit

SMALL = PointNet2Config(points=600, width_scale=0.25, level_points=(150, 40, 16, 8), dropout=0.0)


def spread(method: PointNet2, batch: Batch) -> None:
    method.classify.weight *= 2.0 / method(batch).logits.std()


CASE = Case(config=SMALL, spread=spread, overfit=Overfit())
