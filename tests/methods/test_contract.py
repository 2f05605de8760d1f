"""What every method must do: each case of a method, ours or of an installed package, by each check of `gestalt3d.testing`."""

from importlib import import_module
from pathlib import Path

import pytest

import gestalt3d.methods
from gestalt3d import plugins
from gestalt3d.testing import Case, cases_in, checks
from gestalt3d.testing.contract import Check
from tests.cases import OURS

THEIRS = [case for _, module in plugins.working() for case in cases_in(module)]
DONE = [(case, check) for case in (*OURS, *THEIRS) for check in checks(case)]


@pytest.mark.parametrize(("case", "check"), DONE, ids=[f"{case.id}-{check.__name__}" for case, check in DONE])
def test_contract(case: Case, check: Check) -> None:
    check(case)


FILES = sorted(Path(gestalt3d.methods.__path__[0]).glob("[!_]*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_method_has_a_case_and_one_that_learns_a_scan_to_learn(file: Path) -> None:
    method = getattr(import_module(f"gestalt3d.methods.{file.stem}"), "METHOD", None)
    own = [case for case in OURS if case.method is method]
    assert own or method is None, "its test file in tests/methods wants a CASE"
    if own and own[0].learns:
        assert any(case.overfit is not None for case in own)


def test_no_two_cases_have_one_name() -> None:
    names = [case.id for case in OURS]
    assert len(names) == len(set(names))
