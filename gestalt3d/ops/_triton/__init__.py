"""GPU kernels, imported only when a CUDA tensor arrives (Triton exists on Linux only)."""

import inspect
from collections.abc import Callable
from typing import Any


def jit(fn: Callable[..., Any]) -> Any:
    """`triton.jit` for kernels that call others: jaxtyping's import hook wraps functions, and a wrapper knows no neighbours."""
    import triton

    return triton.jit(inspect.unwrap(fn))
