"""Finds and runs the benchmarks, each ours beside the usual alternative.

A benchmark is a file whose docstring begins with its title and whose `run()` returns rows, dicts with the
same keys.
"""

import ast
import importlib
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gestalt3d
from gestalt3d.errors import UserError

MAXRSS = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of `resource.getrusage(...).ru_maxrss`."""


def _folder() -> Path:
    """Inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    return next(
        (f for f in (package / "benchmarks", package.parent / "benchmarks") if f.is_dir()),
        package / "benchmarks",
    )


def _load(file: Path) -> ModuleType:
    # By its own name, so that the processes it starts find it too.
    sys.path.insert(0, str(file.parent))
    return importlib.import_module(file.stem)


def _files() -> dict[str, Path]:
    files = {file.stem.replace("_", "-"): file for file in sorted(_folder().glob("[a-z]*.py"))}
    if not files:
        raise UserError(f"{_folder()}: no benchmarks here; install gestalt3d anew or run from a checkout")
    return files


def titles() -> dict[str, str]:
    """Name → first line of what it measures."""
    return {name: _docstring(file).splitlines()[0].rstrip(".") for name, file in _files().items()}


def _docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or file.stem


def run(name: str) -> dict[str, Any]:
    """Run one benchmark: `{"benchmark", "version", "machine", "rows"}`."""
    files = _files()
    if name not in files:
        raise UserError(f"no benchmark {name!r}; there are {', '.join(files)}")
    import torch

    try:
        rows = _load(files[name]).run()
    except ModuleNotFoundError as problem:
        raise UserError(
            f"benchmark {name} compares with {problem.name}: install it to run this one"
        ) from None
    threads = torch.get_num_threads()
    machine = f"{platform.machine()}, {threads} threads, torch {torch.__version__}"
    return {"benchmark": name, "version": gestalt3d.__version__, "machine": machine, "rows": rows}
