"""Start-up of whole processes: import, --help, a verb's help, score.

Medians of five, files in the page cache. "bare Python" is an interpreter that does nothing; "import torch" is what every verb
with tensors pays.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

_MAIN = "from gestalt3d.cli import main; main({})"


def cases(folder: Path) -> dict[str, str]:
    score = ["score", "scannet-semantic", "--gt", str(folder), "--pred", str(folder)]
    return {
        "bare Python": "pass",
        "import gestalt3d": "import gestalt3d",
        "gestalt3d --help": _MAIN.format(["--help"]),
        "gestalt3d segment --help": _MAIN.format(["segment", "--help"]),
        "gestalt3d score, one scene of ten vertices": _MAIN.format(score),
        "import torch": "import torch",
    }


def median(code: str, repeats: int = 5) -> float:
    """Seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False)
        times.append(time.perf_counter() - start)
        assert done.returncode == 0
    return float(np.median(times))


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savetxt(folder / "scene0000_00.txt", np.arange(1, 11), fmt="%d")
        return [{"case": case, "seconds": median(code)} for case, code in cases(folder).items()]
