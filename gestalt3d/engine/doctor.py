"""What of the installation works: versions, compiler cache, GPU, shipped weights, optional parts."""

import importlib
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import gestalt3d


@dataclass(frozen=True)
class Finding:
    """One thing examined."""

    what: str
    ok: bool
    detail: str
    remedy: str = ""
    optional: bool = False


def examine() -> list[Finding]:
    """Everything `gestalt3d doctor` prints, in order."""
    checks: dict[str, Callable[[], Finding]] = {
        "python": _python,
        "torch": _torch,
        "torchvision": _torchvision,
        "numba kernels": _numba,
        "triton": _triton,
        "gpu": _gpu,
        "shipped weights": _weights,
        "cache folder": _cache,
    }
    return [
        Finding("gestalt3d", True, gestalt3d.__version__),
        *(_examined(what, check) for what, check in checks.items()),
        *(_library(name) for name in ("numpy", "scipy", "accelerate", "safetensors", "trimesh", "laspy")),
        _library("tensorboard", optional=True, remedy='logs for TensorBoard: pip install "gestalt3d[log]"'),
        _library("h5py", optional=True, remedy="files in HDF5: pip install h5py"),
    ]


def _examined(what: str, check: Callable[[], Finding]) -> Finding:
    # Whatever is broken, the rest is still worth knowing.
    try:
        return check()
    except Exception as problem:
        cause = f"{type(problem).__name__}: {problem}".splitlines()[0]
        return Finding(what, False, cause, "install gestalt3d anew into an empty environment")


def _python() -> Finding:
    return Finding(
        "python",
        sys.version_info >= (3, 11),
        f"{platform.python_version()} on {platform.platform(terse=True)}",
    )


def _torch() -> Finding:
    import torch

    return Finding("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads")


def _torchvision() -> Finding:
    """Not needed here; but a build that does not match torch raises RuntimeError when imported."""
    try:
        return Finding("torchvision", True, importlib.import_module("torchvision").__version__, optional=True)
    except ImportError:
        return Finding("torchvision", True, "not installed; nothing here needs it", optional=True)
    except RuntimeError as problem:
        remedy = "it was built for another torch: reinstall both together, pip install -U torch torchvision"
        return Finding("torchvision", False, str(problem).splitlines()[0], remedy, optional=True)


def _numba() -> Finding:
    import torch
    from numba.core.caching import NullCache

    from gestalt3d.ops._numba import farthest_points as kernels
    from gestalt3d.ops.farthest_points import farthest_points

    found = farthest_points(torch.eye(3)[None], 2)
    detail = f"numba {metadata.version('numba')}, compile and run"
    compiled = [made for made in vars(kernels).values() if hasattr(made, "py_func")]
    if compiled and all(isinstance(made._cache, NullCache) for made in compiled):
        remedy = "no folder for compiled kernels can be written: set NUMBA_CACHE_DIR to one that can"
        return Finding(
            "numba kernels", False, f"{detail}, but anew at each start: a minute", remedy, optional=True
        )
    return Finding("numba kernels", found.shape == (1, 2), detail)


def _triton() -> Finding:
    try:
        return Finding("triton", True, f"{metadata.version('triton')}, for CUDA tensors", optional=True)
    except metadata.PackageNotFoundError:
        return Finding(
            "triton", True, "not installed (Linux only); CUDA tensors use plain torch", optional=True
        )


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("gpu", True, torch.cuda.get_device_name(0), optional=True)
    return Finding("gpu", True, "none; everything runs on the CPU", optional=True)


def _weights() -> Finding:
    from gestalt3d.engine import checkpoint

    names = list(checkpoint.shipped())
    for name in names:
        checkpoint.load(name)
    return Finding(
        "shipped weights", bool(names), ", ".join(names) or "none", "" if names else "install gestalt3d anew"
    )


def _cache() -> Finding:
    from gestalt3d.data.cache import cache_root

    folder = cache_root()
    existing = folder
    while not existing.exists():
        existing = existing.parent
    try:
        tempfile.TemporaryFile(
            dir=existing
        ).close()  # permissions alone do not say: a read-only disk, a file in the way
        ok = True
    except OSError:
        ok = False
    return Finding(
        "cache folder",
        ok,
        str(folder),
        "" if ok else "set GESTALT3D_CACHE to a writable folder",
        optional=True,
    )


def _library(name: str, *, optional: bool = False, remedy: str = "") -> Finding:
    try:
        return Finding(name, True, metadata.version(name), optional=optional)
    except metadata.PackageNotFoundError:
        return Finding(name, optional, "not installed", remedy or f"pip install {name}", optional)
