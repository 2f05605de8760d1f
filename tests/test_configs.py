"""Configurations with parts of several kinds: to plain data and back, and by name."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

import gestalt3d
from gestalt3d.configs import choices, chosen, from_plain, kinds, to_plain
from gestalt3d.errors import UserError

PACKAGE = Path(gestalt3d.__file__).parent


@dataclass(frozen=True)
class CircleConfig:
    radius: float = 1.0


@dataclass(frozen=True)
class BoxConfig:
    radius: float = 1.0
    """As of a circle: only the kind tells them apart."""
    corner: CircleConfig | None = None


@dataclass(frozen=True)
class Drawing:
    shape: CircleConfig | BoxConfig = field(default_factory=CircleConfig)
    frame: CircleConfig | BoxConfig | None = None
    size: float | None = None


@pytest.mark.parametrize(
    "drawing",
    [
        Drawing(),
        Drawing(BoxConfig(), CircleConfig(2.0), 3.0),
        Drawing(BoxConfig(2.0, CircleConfig(0.5)), BoxConfig()),
    ],
)
def test_plain_data_say_of_which_kind_a_part_is(drawing: Drawing) -> None:
    plain = to_plain(drawing)
    assert plain["shape"]["kind"] == ("box" if isinstance(drawing.shape, BoxConfig) else "circle")
    assert from_plain(Drawing, plain) == drawing


def test_a_part_of_one_kind_needs_no_name() -> None:
    assert to_plain(Drawing(BoxConfig(corner=CircleConfig())))["shape"]["corner"] == {"radius": 1.0}


def test_a_part_without_its_kind_is_told_by_its_fields() -> None:
    assert from_plain(Drawing, {"shape": {"corner": None}}) == Drawing(BoxConfig())


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({"shape": {"kind": "star"}}, r"config\.shape: must be one of circle, box, got 'star'"),
        ({"shape": {"kind": ["box"]}}, r"config\.shape: must be one of"),
        ({"shape": {"kind": "circle", "corner": None}}, r"config\.shape: unknown fields \['corner'\]"),
        ({"shape": None}, r"config\.shape"),
    ],
)
def test_no_other_kind_is_made(plain: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        from_plain(Drawing, plain)


def test_kinds_have_names_where_there_is_a_choice() -> None:
    assert kinds(Drawing, "shape") == {"circle": CircleConfig, "box": BoxConfig}
    assert kinds(Drawing, "frame") == {"circle": CircleConfig, "box": BoxConfig, "none": None}
    assert kinds(BoxConfig, "corner") == {"circle": CircleConfig, "none": None}
    assert not kinds(Drawing, "size")


def test_choices_are_those_of_the_parts_that_are_there() -> None:
    assert [path for path, _ in choices(Drawing())] == [("shape",), ("frame",)]
    box = chosen(Drawing(size=2.0), ("shape",), BoxConfig)
    assert box == Drawing(BoxConfig(), size=2.0)
    assert [path for path, _ in choices(box)] == [("shape",), ("frame",), ("shape", "corner")]
    deep = chosen(box, ("shape", "corner"), CircleConfig)
    assert deep.shape == BoxConfig(corner=CircleConfig())
    assert chosen(deep, ("shape", "corner"), None) == box


def test_what_is_of_the_wanted_kind_keeps_its_settings() -> None:
    drawing = Drawing(CircleConfig(5.0))
    assert chosen(drawing, ("shape",), CircleConfig) is drawing


def settings_with_texts() -> Iterator[tuple[str, str, str | None]]:
    """Class, field and text below it, of every class of settings: `train --help` shows these texts."""
    for file in sorted(f for name in ("engine", "data", "methods") for f in (PACKAGE / name).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and (
                node.name.endswith("Config") or node.name in ("Optim", "Recipe")
            ):
                for field, below in pairwise([*node.body, ast.Pass()]):
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        text = below.value if isinstance(below, ast.Expr) else None
                        text = text.value if isinstance(text, ast.Constant) else None
                        yield node.name, field.target.id, text if isinstance(text, str) else None


def test_every_setting_says_in_one_line_what_it_is() -> None:
    """Of several lines the help would break each where the source does."""
    found = list(settings_with_texts())
    assert len(found) > 150 and ("Recipe", "init") in {(cls, name) for cls, name, _ in found}
    wrong = [
        f"{cls}.{name}: {text}"
        for cls, name, text in found
        if text is None or "\n" in text or not text.rstrip().endswith((".", '."')) or len(text.split()) < 2
    ]
    assert not wrong
