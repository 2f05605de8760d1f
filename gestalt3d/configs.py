"""Frozen configuration dataclasses to plain JSON and back, checked against their type hints."""

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from gestalt3d.errors import UserError

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """A dataclass (nested, tuples, paths) as JSON-ready dicts, lists and numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): to_plain(v) for k, v in value.items()}
    return str(value) if isinstance(value, Path) else value


def from_plain(cls: type[T], plain: Any, where: str = "config") -> T:
    """The dataclass that `to_plain` took apart. Unknown fields and wrong types raise `UserError` naming the field."""
    if not isinstance(plain, dict):
        raise UserError(f"{where}: expected a table of fields for {cls.__name__}, got {type(plain).__name__}")
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    if unknown := set(plain) - fields:
        raise UserError(
            f"{where}: unknown fields {sorted(unknown)}; written by another version of gestalt3d?"
        )
    values = {name: _value(hints[name], v, f"{where}.{name}") for name, v in plain.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as problem:
        raise UserError(f"{where}: {problem}") from None


def _value(hint: Any, plain: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _choice(arguments, plain, where)
    if origin is typing.Literal:
        if plain not in arguments:
            raise UserError(f"{where}: must be one of {list(arguments)}, got {plain!r}")
        return plain
    if origin is tuple:
        if not isinstance(plain, (list, tuple)):
            raise UserError(f"{where}: expected a list, got {plain!r}")
        inner = [arguments[0]] * len(plain) if arguments[-1] is Ellipsis else list(arguments)
        if len(inner) != len(plain):
            raise UserError(f"{where}: expected {len(inner)} values, got {len(plain)}")
        return tuple(_value(h, v, where) for h, v in zip(inner, plain, strict=True))
    if dataclasses.is_dataclass(hint):
        return from_plain(hint, plain, where)  # type: ignore[arg-type]
    if hint is float and isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return float(plain)
    if hint is Path and isinstance(plain, str):
        return Path(plain)
    if isinstance(hint, type) and (
        not isinstance(plain, hint) or (isinstance(plain, bool) and hint is not bool)
    ):
        raise UserError(f"{where}: expected {hint.__name__}, got {plain!r}")
    return plain


def _choice(hints: tuple[Any, ...], plain: Any, where: str) -> Any:
    problems = []
    for hint in hints:
        if hint is type(None):
            if plain is None:
                return None
            continue
        try:
            return _value(hint, plain, where)
        except UserError as problem:
            problems.append(str(problem))
    raise UserError(problems[0] if problems else f"{where}: {plain!r} does not fit")
