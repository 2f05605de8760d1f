"""Options that several verbs share, and how `--help` shows an option."""

import os
from pathlib import Path
from typing import Annotated, Any, Optional

import tyro
from tyro.conf import arg

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
        "a shipped model (`gestalt3d models` lists them), a weight file, or auto: mtml-rooms, but geometric-regions for what "
        "is under 2 m long",
        "MODEL",
        short="-m",
    ),
]
Out = Annotated[Path, option("folder for the results; created if missing", "DIR", short="-o")]
DataName = Annotated[
    str,
    option(
        "data set and split, such as rooms:val, toyboxes:test, parts-chair:val, s3dis:area5 or scannet:val; folder: your "
        "own scans, with --root",
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


def expect_writable(json: Path | None, name: str = "--json") -> None:
    """Find out before the work, not after it, that an option names no place to write to."""
    if json is not None and (
        json.is_dir() or not json.parent.is_dir() or not os.access(json.parent, os.W_OK)
    ):
        raise UserError(f"{name} {json}: cannot be written there; name a file in a folder that exists")
