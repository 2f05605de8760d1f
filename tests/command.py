"""The command line called in this process, and small models for it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from gestalt3d import terminal
from gestalt3d.cli import main
from gestalt3d.engine import checkpoint
from gestalt3d.methods import config_class, method_class
from gestalt3d.structures.vocabulary import S3DIS
from tests.settings import changed


@dataclass(frozen=True)
class Answer:
    """What a call left behind."""

    code: int
    out: str
    err: str


class Command:
    """`command("segment", file, "-o", folder)` runs `gestalt3d segment FILE -o FOLDER`.

    What the machine decides is left out of `err`: how far a job is, said after ten seconds, and that kernels have to be
    compiled first.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]):
        self._capsys = capsys

    def __call__(self, *words: object) -> Answer:
        self._capsys.readouterr()
        code: Any = 0
        with mock.patch.object(terminal, "FIRST_PAUSE", math.inf):
            try:
                main([str(word) for word in words])
            except SystemExit as end:
                code = end.code or 0
        out, err = self._capsys.readouterr()
        lines = [line for line in err.splitlines(keepends=True) if not line.startswith("compiling kernels")]
        return Answer(int(code), out, "".join(lines))


def save_weights(path: Path, method: str = "asis", **settings: Any) -> Path:
    """Weights of a small, untrained method."""
    cls = method_class(method)
    small = changed(
        config_class(method)(),
        width=16,
        backbone={"width_scale": 0.25, "group_size": 8},
        blocks={"points": 256},
        merging={"min_points": 10},
    )
    torch.manual_seed(0)
    made = cls.from_config(changed(small, **settings), S3DIS)
    checkpoint.save(path, made.state_dict(), checkpoint.describe(made))
    return path
