"""Options that several verbs share, and how `--help` shows an option."""

import dataclasses
import os
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Optional, Union, get_args

import tyro
from tyro.conf import arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from gestalt3d.errors import UserError


def option(
    help: str, metavar: str | None = None, *, short: str | None = None, default: str | None = None
) -> Any:
    """What `--help` says about an option; `default` in words, "" for nothing, None for the value itself."""
    hint = None if default is None else f"(default: {default})" if default else ""
    return arg(help=help, metavar=metavar, aliases=[short] if short else None, help_behavior_hint=hint)


ModelName = Annotated[
    str,
    option(
        "a shipped model (`gestalt3d models` lists them), a weight file, or auto: consensus-fast, but geometric-regions for "
        "what is under 2 m long",
        "MODEL",
        short="-m",
    ),
]
Out = Annotated[Path, option("folder for the results; created if missing", "DIR", short="-o")]
DataName = Annotated[
    str,
    option(
        "data set and split, such as rooms:val, parts-chair:val, s3dis:area5, scannet:val or kins:test; folder: your own "
        "scans, with --root",
        "DATA",
        short="-d",
    ),
]
Device = Annotated[
    str, option("cpu, cuda, or one of several GPUs such as cuda:1; auto: a GPU where there is one", "DEVICE")
]
# `Optional`, because of `Path | None` tyro asks a library that takes longer to import than `score` to run.
Json = Annotated[Optional[Path], option("write the report to this file, too, as JSON", "FILE", default="")]  # noqa: UP045

STYLE = (tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands)
FIELDS = ConstructorRegistry()
"""How fields of recipes are typed and shown: while `with FIELDS` lasts, "none" is None, and a tuple of nothing."""


@FIELDS.primitive_rule
def _or_none(field: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`Path | None` is shown as PATH, not as {None}|PATH."""
    kinds = get_args(field.type)
    if field.type_origin not in (Union, UnionType) or NoneType not in kinds:
        return None
    value = _one_word(Union[tuple(kind for kind in kinds if kind is not NoneType)], field)  # noqa: UP007
    if value is None:
        return None
    return dataclasses.replace(
        value,
        instance_from_str=lambda words: (
            None if words[0] in ("none", "None") else value.instance_from_str(words)
        ),
        is_instance=lambda given: given is None or value.is_instance(given),
        str_from_instance=lambda given: ["none"] if given is None else value.str_from_instance(given),
        choices=value.choices and (*value.choices, "none", "None"),
    )


@FIELDS.primitive_rule
def _any_number(field: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """`tuple[str, ...]`: where there is nothing, the default is shown as none, not as a gap."""
    kinds = get_args(field.type)
    if field.type_origin is not tuple or kinds[1:] != (...,):
        return None
    value = _one_word(kinds[0], field)
    if value is None:
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"[{value.metavar} ...]",
        instance_from_str=lambda words: tuple(
            value.instance_from_str([w]) for w in words if words != ["none"]
        ),
        is_instance=lambda given: isinstance(given, tuple) and all(map(value.is_instance, given)),
        str_from_instance=lambda given: (
            [w for one in given for w in value.str_from_instance(one)] or ["none"]
        ),
    )


def _one_word(kind: Any, field: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """How a value of the kind is typed; None unless as one word."""
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kind, field.markers))
    return spec if isinstance(spec, PrimitiveConstructorSpec) and spec.nargs == 1 else None


def expect_writable(json: Path | None, name: str = "--json") -> None:
    """Find out before the work, not after it, that an option names no place to write to."""
    if json is not None and (
        json.is_dir() or not json.parent.is_dir() or not os.access(json.parent, os.W_OK)
    ):
        raise UserError(f"{name} {json}: cannot be written there; name a file in a folder that exists")
