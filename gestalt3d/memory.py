"""Memory that nobody uses goes back to the system."""

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Return what freed arrays have left with glibc, which keeps those of up to 32 MB; elsewhere nothing happens.

    For large work that is done part by part: what one part leaves must not add to what the next one takes.
    """
    if trim := _trim():
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
