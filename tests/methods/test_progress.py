"""Every method says what it is doing."""

import pytest
import torch

from gestalt3d.methods.components import Components, ComponentsConfig
from gestalt3d.methods.geometric import Geometric, GeometricConfig
from gestalt3d.stages import measure
from gestalt3d.structures.vocabulary import S3DIS
from tests.methods.test_contract import scan_for, segmenter
from tests.scenes import tiny_scan
from tests.test_stages import add_up

UNTRAINED = {
    "geometric": Geometric(GeometricConfig()),
    "geometric-regions": Geometric(GeometricConfig(variant="regions")),
    "components": Components(ComponentsConfig(voxel_size=0.1), S3DIS),
}


TRAINED = ("asis-agreement", "sgpn", "mtml-overlapping", "staged-superpoints", "unet-superpoints")


@pytest.mark.parametrize("case", [*TRAINED, *UNTRAINED])
def test_stages_are_told_and_cover_the_work(case: str) -> None:
    method = UNTRAINED.get(case) or segmenter(case)
    cloud = tiny_scan().input if case in UNTRAINED else scan_for(case).input
    told: list[tuple[str, float, int]] = []
    with measure(lambda *what: told.append(what)) as work:
        method.segment(cloud)
    assert {name.split(":")[0] for name, *_ in told if name} == set(work.parts)
    assert work.shares["other"] < 0.5 * work.seconds + 0.1
    assert sum(work.shares.values()) == pytest.approx(work.seconds)
    assert add_up(str(work)) == pytest.approx(work.seconds, abs=0.05 * (len(work.parts) + 2))


@pytest.mark.parametrize("case", ["asis", "sgpn"])
def test_blocks_are_counted(case: str) -> None:
    told: list[tuple[str, float, int]] = []
    method = segmenter(case)
    method.config = method.config.__class__(**{**vars(method.config), "inference_blocks": 4})
    with measure(lambda *what: told.append(what)), torch.inference_mode():
        method.segment(scan_for(case).input)
    steps = [(done, total) for name, done, total in told if name == "blocks" and total]
    assert len(steps) > 2 and steps[-1][0] == steps[-1][1], "from the first block to the last"
