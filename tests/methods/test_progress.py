"""Every method says what it is doing."""

from copy import copy
from dataclasses import replace

import pytest
import torch

from gestalt3d.stages import measure
from gestalt3d.testing import ready
from tests.cases import OURS
from tests.test_stages import add_up

BY_NAME = {case.id: case for case in OURS}
TRIED = (
    "asis-agreement",
    "sgpn",
    "mtml-overlapping",
    "staged-superpoints",
    "unet-superpoints",
    "geometric",
    "geometric-regions",
    "components",
)


@pytest.mark.parametrize("name", TRIED)
def test_stages_are_told_and_cover_the_work(name: str) -> None:
    method, cloud = ready(BY_NAME[name]), BY_NAME[name].scan().input
    told: list[tuple[str, float, int]] = []
    with measure(lambda *what: told.append(what)) as work:
        method.segment(cloud)
    assert {name.split(":")[0] for name, *_ in told if name} == set(work.parts)
    assert work.shares["other"] < 0.5 * work.seconds + 0.1
    assert sum(work.shares.values()) == pytest.approx(work.seconds)
    assert add_up(str(work)) == pytest.approx(work.seconds, abs=0.05 * (len(work.parts) + 2))


@pytest.mark.parametrize("name", ["asis", "sgpn"])
def test_blocks_are_counted(name: str) -> None:
    told: list[tuple[str, float, int]] = []
    method = copy(ready(BY_NAME[name]))
    method.config = replace(method.config, inference_blocks=4)
    with measure(lambda *what: told.append(what)), torch.inference_mode():
        method.segment(BY_NAME[name].scan().input)
    steps = [(done, total) for name, done, total in told if name == "blocks" and total]
    assert len(steps) > 2 and steps[-1][0] == steps[-1][1], "from the first block to the last"
