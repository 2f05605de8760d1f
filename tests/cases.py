"""The cases of the contract: each stands in the test file of its method, as `CASE` or in `CASES`."""

import re
from importlib import import_module
from pathlib import Path

from gestalt3d.testing import Case, cases_in

_HOLDS_CASES = re.compile(r"^CASES? = ", re.MULTILINE)

OURS: list[Case] = [
    case
    for file in sorted((Path(__file__).parent / "methods").glob("test_*.py"))
    if _HOLDS_CASES.search(file.read_text(encoding="utf-8"))
    for case in cases_in(import_module(f"tests.methods.{file.stem}"))
]
