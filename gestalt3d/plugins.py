"""Methods from elsewhere: installed packages announce them under the entry-point group `gestalt3d.methods`.

The name of an entry point is that of the method; what it names is a module with `METHOD`, the method's class, and any of
`RECIPES` (name → function that makes a recipe), `TABLES` (name → `reproduce.table.Table`) and `CASE`, a `testing.Case`.
Nothing is read before a name is unknown or a list is asked for.
"""

import dataclasses
import sys
import typing
from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from gestalt3d.errors import UserError

GROUP = "gestalt3d.methods"
_MEMBERS = ("takes", "takes_semantics", "from_config", "segment")
"""Of the class of a method, beside its name."""


@cache
def announced() -> dict[str, EntryPoint]:
    """Name of a method → where it is, of all packages that are installed."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def module(name: str) -> ModuleType:
    """The module of an announced method; `UserError` in one line where it cannot be imported or holds no method."""
    point = announced()[name]
    try:
        found = point.load()
    except (Exception, SystemExit) as problem:  # whatever a package does when it is imported
        cause = f"{type(problem).__name__}: {problem}".splitlines()[0]
        raise UserError(f"{_who(point)}: cannot be imported ({cause}); mend or uninstall it") from None
    method = getattr(found, "METHOD", None)
    if not isinstance(found, ModuleType) or not isinstance(method, type):
        raise UserError(f"{_who(point)}: names no module with a class METHOD; mend or uninstall it")
    if getattr(method, "name", None) != name:
        raise UserError(
            f"{_who(point)}: its METHOD is called {getattr(method, 'name', None)!r}; the two names must agree"
        )
    if lacking := [member for member in _MEMBERS if not hasattr(method, member)]:
        raise UserError(f"{_who(point)}: its METHOD lacks {', '.join(lacking)}; mend or uninstall it")
    if not dataclasses.is_dataclass(_config_of(method)):
        raise UserError(
            f"{_who(point)}: its METHOD names no dataclass as its config, as `config: NAME`; mend or uninstall it"
        )
    return found


def _config_of(method: type) -> object:
    try:
        return typing.get_type_hints(method).get("config")
    except Exception:  # a name that there is not, or whatever stands there
        return None


def recipes(name: str) -> list[str]:
    """The names of the recipes that come with an announced method."""
    return list(getattr(module(name), "RECIPES", {}))


def author_of(files: list[str]) -> str | None:
    """In words the announced method one of these source files belongs to; of those that were imported."""
    for point in announced().values():
        loaded = sys.modules.get(point.module.partition(".")[0])
        own = getattr(loaded, "__file__", None)
        if own is not None and any(_is_in(file, Path(own)) for file in files):
            return _who(point)
    return None


def _is_in(file: str, own: Path) -> bool:
    """Whether a file is this module or, where that is a package, in its folder."""
    return Path(file) == own or (own.name == "__init__.py" and own.parent in Path(file).parents)


def working() -> Iterator[tuple[str, ModuleType]]:
    """The announced methods that can be used, by name."""
    for name in sorted(announced()):
        try:
            yield name, module(name)
        except UserError:
            continue


def broken() -> list[str]:
    """One line for each announced method that cannot be used."""
    problems = []
    for name in sorted(announced()):
        try:
            module(name)
        except UserError as problem:
            problems.append(str(problem))
    return problems


def _who(point: EntryPoint) -> str:
    package = "" if point.dist is None else f" of the package {point.dist.name}"
    return f"the method {point.name!r}{package} ({point.value})"
