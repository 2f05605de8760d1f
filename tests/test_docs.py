"""Commands in README and docs exist, with their options, and all are shown in the same way."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from gestalt3d.cli.verbs import VERBS
from gestalt3d.recipes import RECIPES
from tests.command import Command

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(gestalt3d [^`]+)`")


def commands(page: Path) -> list[list[str]]:
    """The words of each command of ours, without the explanation beside it."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in _FENCED.findall(text) for line in block.splitlines()]
    found = [line.strip() for line in lines if line.strip().startswith("gestalt3d ")]
    found += [" ".join(code.split()) for code in _INLINE.findall(text)]
    return [shlex.split(re.split(r"\s{2,}|\s&&\s|\s#", line)[0]) for line in found]


_HELP: dict[tuple[str, ...], str] = {}


def help_of(command: Command, *words: str) -> str:
    if words not in _HELP:
        _HELP[words] = command(*words, "--help").out
    return _HELP[words]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_the_docs_exist_with_their_options(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(capsys)
    for _, verb, *words in commands(page):
        if verb in ("VERB", "TABLE", "…") or verb.startswith("-"):
            continue
        assert verb in VERBS, f"{page.name}: gestalt3d {verb}"
        named = words[0] if verb == "train" and words and words[0] in RECIPES else "asis-folder"
        text = help_of(command, verb, named) if verb == "train" else help_of(command, verb)
        for word in words:
            option = word.split("=")[0]
            if re.fullmatch(r"--?[a-z][a-z.-]*", option) and option not in ("--help", "--json"):
                assert re.search(rf"{re.escape(option)}\b", text), f"{page.name}: gestalt3d {verb} {option}"


def test_no_page_but_the_one_on_installing_shows_how_environments_are_entered() -> None:
    for page in PAGES:
        blocks = "\n".join(_FENCED.findall(page.read_text(encoding="utf-8")))
        if page.name == "README.md":  # the one command that makes the environment
            blocks = blocks.replace("pip install uv && uv run gestalt3d demo", "")
        assert "uv run" not in blocks, page
        assert page.name in ("README.md", "index.md", "install.md") or "activate" not in blocks, page


SOURCES = sorted((ROOT / "gestalt3d").rglob("*.py"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_docstring_is_whole(file: Path) -> None:
    """Each becomes help or a page on its own, so none goes on in the next one."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            text = node.value.value.strip()
            assert not text.startswith("…") and not text.endswith("…"), f"line {node.lineno}: {text}"
