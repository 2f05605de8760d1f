"""`python -m gestalt3d.testing NAME…`: the contract on installed methods, by default all that packages announce."""

import sys
import time
import traceback
from collections.abc import Sequence

from gestalt3d import plugins
from gestalt3d.errors import UserError
from gestalt3d.methods import module_of
from gestalt3d.terminal import complain, say
from gestalt3d.testing.broken import Broken
from gestalt3d.testing.case import Case, cases_in
from gestalt3d.testing.contract import Check, checks


def main(names: Sequence[str]) -> int:
    """Try the cases of these methods and print a line for each check. 0 where all hold, 1 where one does not, 2 where a method
    has no case or cannot be used.
    """
    try:
        cases = [case for name in names or _announced() for case in _cases(name)]
    except UserError as problem:
        complain(f"gestalt3d.testing: {problem}")
        return 2
    held = [_holds(case, check) for case in cases for check in checks(case)]
    say(f"{sum(held)} of {len(held)} checks hold")
    return 0 if all(held) else 1


def _announced() -> list[str]:
    names = sorted(plugins.announced())
    if not names:
        raise UserError("no installed package announces a method; install yours, such as `pip install -e .`")
    return names


def _cases(name: str) -> list[Case]:
    found = cases_in(module_of(name))
    if not found:
        raise UserError(f"{name}: its module has neither CASE nor CASES, a gestalt3d.testing.Case to try")
    return found


def _holds(case: Case, check: Check) -> bool:
    begun = time.perf_counter()
    problem: BaseException | None = None
    try:
        check(case)
    except Exception as raised:  # a method may break in any way
        problem = raised
    said = "holds" if problem is None else f"{type(problem).__name__}: {problem}"
    said = str(problem) if isinstance(problem, Broken) else said
    seconds = time.perf_counter() - begun
    say(f"{case.id}: {check.__name__.replace('_', ' ')}: {said} ({seconds:.1f} s)")
    if problem is not None and not isinstance(problem, Broken):
        traceback.print_exception(problem)
    return problem is None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
