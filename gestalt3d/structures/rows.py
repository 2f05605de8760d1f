"""What may stand in brackets after a container, and when two containers are equal."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


def chosen_rows(
    keep: Any, count: int, *, of: str, device: torch.device | str = "cpu", hint: str = ""
) -> Int[Tensor, "j"]:
    """Positions in [0, `count`) that `keep` names, in its order: a number, a slice, a mask, or a list or array of numbers.

    Negative numbers count from the end. `IndexError` for numbers out of range and masks of another length,
    `TypeError` for anything else; `of` and `hint` are words for its sentence.
    """
    if isinstance(keep, slice):
        return torch.tensor(range(count)[keep], dtype=torch.int64, device=device)
    wanted = keep if isinstance(keep, Tensor) else _as_tensor(keep)
    if wanted is None or wanted.is_floating_point() or wanted.is_complex() or wanted.ndim > 1:
        raise TypeError(_refusal(keep, of, hint))
    if wanted.dtype == torch.bool:
        if wanted.ndim == 0:
            raise TypeError(_refusal(keep, of, hint))
        if len(wanted) != count:
            raise IndexError(f"a mask of {len(wanted)} cannot choose among {count} {of}")
        return wanted.to(device).nonzero().flatten()
    rows = wanted.to(device, torch.int64).reshape(-1)
    if len(rows) and not (-count <= int(rows.min()) and int(rows.max()) < count):
        wrong = rows[(rows < -count) | (rows >= count)][0]
        raise IndexError(f"there is no {int(wrong)}: there are {count} {of}, counted from 0")
    return torch.where(rows < 0, rows + count, rows)


def chosen_row(i: Any, count: int, *, of: str) -> int:
    """As `chosen_rows`, for a single number."""
    try:
        row = operator.index(i)
    except TypeError:
        raise TypeError(f"one of {count} {of} is named by its number, got {_said(i)}") from None
    if not -count <= row < count:
        raise IndexError(f"there is no {row}: there are {count} {of}, counted from 0")
    return row % count


def equal_fields(a: Any, b: Any, names: Iterable[str]) -> bool:
    """Whether the fields of these names hold the same; NaN equals NaN, and the device does not matter."""
    return all(_equal(getattr(a, name), getattr(b, name)) for name in names)


def _equal(a: Any, b: Any) -> bool:
    if not (isinstance(a, Tensor | np.ndarray) and isinstance(b, Tensor | np.ndarray)):
        return type(a) is type(b) and bool(a == b)
    a, b = torch.as_tensor(a).cpu(), torch.as_tensor(b).cpu()
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.allclose(a, b, 0, 0, equal_nan=True) if a.is_floating_point() else torch.equal(a, b)


def _as_tensor(keep: Any) -> Tensor | None:
    """None where it is nothing like numbers."""
    try:
        array = np.asarray(keep)
    except ValueError:  # a ragged list
        return None
    if array.dtype.kind not in "iub":
        return torch.zeros(0, dtype=torch.int64) if array.shape == (0,) else None
    return torch.from_numpy(array if array.dtype.kind == "b" else array.astype(np.int64))


def _refusal(keep: Any, of: str, hint: str) -> str:
    return f"choose {of} by a number, a slice, a mask or a list of numbers, got {_said(keep)}{hint}"


def _said(value: Any) -> str:
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"
