"""Keep the line numbers of the papers' pages true: `python .ci/doc_lines.py` rewrites them, `--check` only looks.

A page names a symbol as `ASIS.fuse` (methods/asis.py:105): this script owns the number.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`([\w.]+)` \(([\w/]+\.py):(\d+)\)")


def symbols(file: Path) -> dict[str, int]:
    """Line of every class, function and method, "Class.method", and of assignments outside functions."""
    found: dict[str, int] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found[prefix + node.name] = node.lineno
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update({prefix + t.id: node.lineno for t in targets if isinstance(t, ast.Name)})

    visit(ast.parse(file.read_text(encoding="utf-8")).body, "")
    return found


def corrected(text: str) -> str:
    """The page with every number as it should be; `KeyError` for a symbol that its file lacks."""

    def line(match: re.Match[str]) -> str:
        symbol, file, _ = match.groups()
        return f"`{symbol}` ({file}:{symbols(ROOT / 'gestalt3d' / file)[symbol]})"

    return NAMED.sub(line, text)


def main(check: bool) -> int:
    stale = 0
    for page in sorted((ROOT / "docs" / "papers").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (right := corrected(text)) != text:
            stale += 1
            print(
                f"{page.relative_to(ROOT)}: line numbers moved"
                + ("; run python .ci/doc_lines.py" if check else "")
            )
            if not check:
                page.write_text(right, encoding="utf-8")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
