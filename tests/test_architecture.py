"""The layers of the package, read from the imports: a layer may import only those after it in one of the lists."""

import ast
import builtins
import re
import subprocess
import symtable
import sys
from pathlib import Path

import pytest

from gestalt3d.data import KNOWN
from gestalt3d.methods import METHODS

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "gestalt3d"

# From the top down. A layer may import any layer to its right; those in one tuple know nothing of each other.
LAYERS: list[tuple[str, ...]] = [
    ("__main__",),
    ("cli", "testing"),
    ("reproduce", "bench", "terminal"),
    ("recipes",),
    ("engine",),
    ("viewer", "data"),
    ("methods", "synth", "io"),
    ("nn", "losses"),
    ("ops", "structures", "metrics"),
    ("configs",),
    ("plugins",),
    ("hdf5", "coco"),
    ("errors", "encoding", "stages", "memory", "lazy", "__init__"),
]
RANK = {name: i for i, names in enumerate(LAYERS) for name in names}
BESIDE = {("metrics", "structures.vocabulary")}  # the one exception: tables that need NumPy only


def layer(module: str) -> str:
    return module.split(".")[0] or "__init__"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Modules of the package that a file imports anywhere, also inside functions, without the leading `gestalt3d.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "gestalt3d":
            found |= {f"gestalt3d.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.removeprefix("gestalt3d.") for name in found if name.startswith("gestalt3d.")}


def globals_used(table: symtable.SymbolTable) -> set[str]:
    found = {s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()}
    return found.union(*(globals_used(inner) for inner in table.get_children()))


@pytest.mark.parametrize("file", modules(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_every_name_exists(file: Path) -> None:
    """Type checkers are told to leave unknown names alone: shapes in annotations look like them."""
    module = symtable.symtable(file.read_text(encoding="utf-8"), str(file), "exec")
    own = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported()}
    assert globals_used(module) - own - {"__file__", "__name__"} <= set(dir(builtins))


@pytest.mark.parametrize("file", modules(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_down(file: Path) -> None:
    own = layer(".".join(file.relative_to(PACKAGE).with_suffix("").parts))
    if own == "__init__":
        return  # the public API reaches everywhere, lazily
    for name in imports(file):
        other = layer(name)
        if other == own or other not in RANK:
            continue
        assert RANK[own] < RANK[other] or (own, name) in BESIDE, f"{file.name} ({own}) imports {name}"


def test_every_module_has_a_layer() -> None:
    names = {f.relative_to(PACKAGE).parts[0].removesuffix(".py") for f in modules()}
    assert names <= set(RANK), names - set(RANK)


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_package_loads_neither_torch_nor_numba() -> None:
    assert not {"torch", "numba", "scipy"} & loaded_by("import gestalt3d")


def test_score_needs_numpy_only() -> None:
    assert not {"torch", "numba", "scipy"} & loaded_by(
        "import gestalt3d; gestalt3d.score; import gestalt3d.cli"
    )


def words_of(file: Path) -> set[str]:
    """Of all identifiers and texts in a file."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
        elif isinstance(node, ast.Name):
            found.append(node.id)
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
        elif isinstance(node, ast.alias | ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return set(re.split(r"[^a-z0-9]+", " ".join(found).lower()))


@pytest.mark.parametrize(
    "file",
    [*sorted((PACKAGE / "engine").glob("*.py")), PACKAGE / "reproduce" / "run.py"],
    ids=lambda f: str(f.relative_to(PACKAGE)),
)
def test_what_trains_and_measures_names_no_method_and_no_data_set(file: Path) -> None:
    named = {part for name in (*METHODS, *KNOWN) for part in name.split("-")}
    anybodys = {"components", "hard", "folder", "table", "tops", "aligned", "part", "parts", "whole", "views"}
    anybodys |= {"plain", "mask", "masks", "objects", "photos"}
    anybodys |= {"cls", "amodal", "other"}
    assert not words_of(file) & (named - anybodys)


@pytest.mark.parametrize(
    "file",
    [*sorted((PACKAGE / "testing").glob("*.py")), TESTS / "cases.py", TESTS / "methods" / "test_contract.py"],
    ids=lambda f: f.name,
)
def test_the_contract_names_no_method(file: Path) -> None:
    assert not words_of(file) & set(METHODS)


@pytest.mark.parametrize(
    "file",
    [file for name in ("engine", "reproduce") for file in sorted((PACKAGE / name).glob("*.py"))],
    ids=lambda f: str(f.relative_to(PACKAGE)),
)
def test_what_trains_and_measures_says_its_types(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert not {"Any", "cast"} & (imported | attributes)
    assert "type: ignore" not in source, "pyright: ignore[rule] says which"
