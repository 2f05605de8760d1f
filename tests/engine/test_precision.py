"""Half precision where the processor has it, and a word where it has not."""

import pytest
import torch

from gestalt3d.engine import precision
from gestalt3d.engine.precision import usable_precision
from gestalt3d.engine.recipe import Precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("asked", ["no", "bf16", "fp16"])
def test_a_gpu_computes_in_what_was_asked_for(asked: Precision) -> None:
    assert usable_precision(asked, CUDA) == (asked, "")


@pytest.mark.parametrize("can", [True, False])
def test_a_cpu_without_bfloat16_trains_in_32_bits_and_says_so(
    can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "cpu_multiplies_bfloat16", lambda: can)
    used, why = usable_precision("bf16", CPU)
    assert used == ("bf16" if can else "no")
    assert ("slow on this CPU" in why) is not can
    assert usable_precision("no", CPU) == ("no", "")


def test_a_cpu_never_trains_in_fp16() -> None:
    used, why = usable_precision("fp16", CPU)
    assert used == "no" and "32 bits" in why


def test_the_library_is_asked_and_not_the_vendor() -> None:
    assert precision.cpu_multiplies_bfloat16() in (True, False)
