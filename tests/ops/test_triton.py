"""Triton's kernels run in a process of their own: importing Triton fixes how they run."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton exists on Linux only")
def test_triton_kernels_are_their_references():
    interpret = "0" if torch.cuda.is_available() else "1"
    cases = Path(__file__).with_name("triton_cases.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(cases), "-n", "0", "-q", "-p", "no:cacheprovider"],
        env=os.environ | {"TRITON_INTERPRET": interpret},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
