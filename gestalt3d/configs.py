"""Frozen configuration dataclasses: the range of every number, and to plain JSON and back, checked against the type hints.

A number declares its range in its type: `width: Count`, `lr: Annotated[float, Within(above=0, most=10)]`. A configuration calls
`check_ranges(self)` when it is made, so that whatever makes one (the command line, a weight file, Python) is told the same.

A field may hold one of several dataclasses: `merging: VotesConfig | AgreementConfig`. Plain data then say under `KIND` which.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from gestalt3d.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | float | int | bool | None
    Config: TypeAlias = DataclassInstance
    """Any dataclass."""
else:  # dataclasses have no base class, and a type that contains itself cannot be checked at run time
    Json = dict | list | str | float | int | bool | None
    Config = object

T = TypeVar("T", bound=Config)
Number = int | float


_LIMIT = 10**9
"""Beyond it no number makes sense that declares no limit of its own: memory and float32 end before."""


@dataclasses.dataclass(frozen=True)
class Within:
    """The range of a number: `least` and `most` belong to it, `above` and `below` do not, `off` does wherever it lies.

    Of several numbers in a tuple, `rising` asks that none is smaller than the one before it.
    """

    least: Number | None = None
    above: Number | None = None
    most: Number | None = None
    below: Number | None = None
    off: Number | None = None
    rising: bool = False

    def __contains__(self, value: Any) -> bool:
        if self.rising:
            return all(a <= b for a, b in pairwise(value))
        return value == self.off or (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
            and (-_LIMIT <= value <= _LIMIT or (self._has_limit and value > 0))
        )

    @property
    def _has_limit(self) -> bool:
        return self.most is not None or self.below is not None

    def demand(self, value: Any) -> str:
        """What is asked of `value`, in words that follow "must be"."""
        if self.rising:
            return "two numbers, the second not below the first"
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        if not self._has_limit and value > _LIMIT:
            words["at most"] = _LIMIT
        said = " and ".join(f"{word} {limit:,}" for word, limit in words.items() if limit is not None)
        said = said or "a finite number"
        return said if self.off is None else f"{self.off:g} or {said}"


Count = Annotated[int, Within(least=1)]
CountOrNone = Annotated[int, Within(least=0)]
"""Of which there may be none; often 0 switches something off."""
Seed = Annotated[int, Within(least=0, below=2**63)]
Neighbours = Annotated[int, Within(least=3, most=1000, off=0)]
"""From which a plane is fitted; 0: none is."""
Width = Annotated[int, Within(least=1, most=65_536)]
"""Channels of a layer."""
Positive = Annotated[float, Within(above=0)]
NotNegative = Annotated[float, Within(least=0)]
Share = Annotated[float, Within(least=0, most=1)]
"""Probabilities, too."""
Interval = Annotated[tuple[NotNegative, NotNegative], Within(rising=True)]
Shares = Annotated[tuple[Share, Share], Within(rising=True)]
Lengths = Annotated[tuple[Positive, Positive], Within(rising=True)]


class OutOfRange(UserError):
    """A setting that `check_ranges` refuses."""

    def __init__(self, owner: type, field: str, value: Any, demand: str) -> None:
        self.owner, self.field, self.value, self.demand = owner, field, value, demand
        super().__init__(self.under(field))

    def under(self, name: str) -> str:
        """The message with the setting called otherwise, as `--optim.lr`."""
        numbers = self.value if isinstance(self.value, tuple) else (self.value,)
        shown = " ".join(str(n) if isinstance(n, int) else f"{n:g}" for n in numbers)
        return f"{name} {shown}: must be {self.demand}"


def check_ranges(config: Any) -> None:
    """`OutOfRange` for the first number of the dataclass that leaves its range, or is not finite where it declares none.

    Dataclasses in its fields have been checked when they were made.
    """
    for name, hint in _hints(type(config)).items():
        value = getattr(config, name)
        for number, range in _numbers(hint, value):
            if number not in range:
                raise OutOfRange(type(config), name, value, range.demand(number))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _numbers(hint: Any, value: Any) -> Iterator[tuple[Any, Within]]:
    """Every number in the value of a field, or tuple of numbers, beside what its type demands of it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        own = [(value, range) for range in inner[1:] if isinstance(range, Within)]
        parts = list(_numbers(inner[0], value))
        # Numbers in a tuple come before their order: nan has none.
        yield from parts + own if isinstance(value, tuple) else own or parts
    elif origin in (typing.Union, types.UnionType):
        if value is not None:
            yield from _numbers(next(part for part in inner if part is not type(None)), value)
    elif isinstance(value, tuple):
        hints = [inner[0]] * len(value) if inner[-1:] == (Ellipsis,) else inner
        for part, number in zip(hints, value, strict=False):
            yield from _numbers(part, number)
    elif hint in (int, float):
        yield value, Within()


KIND = "kind"
"""Where a field may hold one of several dataclasses, the key that tells which."""


def kind_of(cls: type) -> str:
    """The name of a configuration among others: "votes" of `VotesConfig`."""
    return cls.__name__.removesuffix("Config").lower()


def kinds(owner: type, field: str) -> dict[str, Any]:
    """By name the dataclasses that a field of `owner` may hold, and None as "none"; nothing where it leaves no choice."""
    hint = _hints(owner)[field]
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else ()
    found = _by_kind(parts)
    if found and type(None) in parts:
        found["none"] = None
    return found if len(found) > 1 else {}


def _by_kind(hints: tuple[Any, ...]) -> dict[str, Any]:
    return {
        kind_of(hint): hint for hint in hints if isinstance(hint, type) and dataclasses.is_dataclass(hint)
    }


def choices(config: Any, *path: str) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Where a configuration leaves a choice, its own fields first: the path from field to field, and `kinds`."""
    for field in dataclasses.fields(config):
        if found := kinds(type(config), field.name):
            yield (*path, field.name), found
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(inner := getattr(config, field.name)):
            yield from choices(inner, *path, field.name)


def chosen(config: Any, path: tuple[str, ...], kind: Any) -> Any:
    """The configuration with another kind of dataclass, or None, at the end of the path; what is of that kind already stays."""
    first, *rest = path
    inner = getattr(config, first)
    if rest:
        return dataclasses.replace(config, **{first: chosen(inner, tuple(rest), kind)})
    same = inner is None if kind is None else type(inner) is kind
    return config if same else dataclasses.replace(config, **{first: None if kind is None else kind()})


def to_plain(config: Config) -> dict[str, Json]:
    """A dataclass (nested, tuples, paths) as JSON-ready dicts, lists and numbers."""
    return {f.name: _field_to_plain(config, f.name) for f in dataclasses.fields(config)}


def _field_to_plain(owner: Config, field: str) -> Json:
    value = getattr(owner, field)
    plain = _plain(value)
    if isinstance(plain, dict) and len(kinds(type(owner), field).keys() - {"none"}) > 1:
        return {KIND: kind_of(type(value)), **plain}
    return plain


def _plain(value: Any) -> Json:
    if dataclasses.is_dataclass(type(value)):
        return to_plain(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value) if isinstance(value, Path) else value


def from_plain(cls: type[T], plain: object, where: str = "config") -> T:
    """The dataclass that `to_plain` took apart. Unknown fields and wrong types raise `UserError` naming the field."""
    if not isinstance(plain, dict):
        raise UserError(f"{where}: expected a table of fields for {cls.__name__}, got {type(plain).__name__}")
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}
    if unknown := set(plain) - fields:
        raise UserError(
            f"{where}: unknown fields {sorted(unknown)}; written by another version of gestalt3d?"
        )
    values = {name: _value(hints[name], v, f"{where}.{name}") for name, v in plain.items()}
    try:
        return cls(**values)
    except OutOfRange as problem:
        raise UserError(problem.under(f"{where}.{problem.field}")) from None
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
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, plain, where)
    if hint is Any:
        return plain
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
    if isinstance(plain, dict) and KIND in plain:
        known = _by_kind(hints)
        kind = str(plain[KIND])
        if kind not in known:
            raise UserError(f"{where}: must be one of {', '.join(known)}, got {kind!r}")
        return from_plain(known[kind], {name: v for name, v in plain.items() if name != KIND}, where)
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
