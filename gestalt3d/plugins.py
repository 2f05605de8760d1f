"""Methods from elsewhere: installed packages announce them under the entry-point group `gestalt3d.methods`.

The name of an entry point is that of the method; what it names is a module with `METHOD`, the method's class, and any of
`RECIPES` (name → function that makes a recipe), `TABLES` (name → `reproduce.table.Table`) and `CASE`, a `testing.Case`.
Nothing is read before a name is unknown or a list is asked for.
"""

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from gestalt3d.errors import UserError

GROUP = "gestalt3d.methods"


@cache
def announced() -> dict[str, EntryPoint]:
    """Name of a method → where it is, of all packages that are installed."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def module(name: str) -> ModuleType:
    """The module of an announced method; `UserError` in one line where it cannot be imported or is no method."""
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
    return found


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
