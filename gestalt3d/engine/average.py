"""The mean of several weight files of one network, as where a training is averaged with what it started from (Wortsman et
al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gestalt3d.configs import Json, to_plain
from gestalt3d.engine import checkpoint, provenance
from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.structures.vocabulary import Vocabulary


def average(files: Sequence[str], out: Path, *, shares: Sequence[float] = ()) -> list[str]:
    """Write the mean of shipped models or weight files to `out`, its card beside it, and return what is to be known.

    `shares` are relative to their sum, by default all the same. Tensors of floats are averaged, batch norm's statistics
    included; of others, which count something, those of the first file are taken. `UserError` where the files differ in method,
    configuration or vocabulary, or where a mean is not finite.
    """
    if len(files) < 2:
        raise UserError("name at least two weight files to average")
    if out.suffix != checkpoint.SUFFIX:
        raise UserError(f"-o {out}: a weight file ends in {checkpoint.SUFFIX}")
    shares = _normalised(shares, len(files))
    read = [checkpoint.read(checkpoint.shipped().get(file, Path(file))) for file in files]
    for stored in read:
        _expect_same(read[0], stored)
    given = [checkpoint.weights_of(stored) for stored in read]
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    for name, first in given[0].items():
        parts = [tensors_of_file[name] for tensors_of_file in given]
        if first.is_floating_point():
            tensors[name] = _mean(parts, shares)
            if not bool(tensors[name].isfinite().all()):
                raise UserError(
                    f"{files[0]} and others: the mean of {name} is not finite; a training diverged"
                )
            continue
        tensors[name] = first
        if not all(torch.equal(first, other) for other in parts[1:]):
            notes.append(f"{name} counts something: taken from {files[0]}, others differ")
    averaged: list[Json] = [
        {
            "name": file,
            "sha256": provenance.sha256(stored.path),
            "share": share,
            "origin": stored.about.get("origin"),
        }
        for file, stored, share in zip(files, read, shares, strict=True)
    ]
    origin = provenance.origin_of_average(averaged)
    about = {key: read[0].about[key] for key in checkpoint.IDENTITY}
    checkpoint.save(out, tensors, {**about, "version": origin["version"], "origin": origin})
    words = ["gestalt3d average", *files, "--shares", *(f"{share:g}" for share in shares), "-o", out.name]
    card = {
        "name": out.stem,
        "method": about["method"],
        "title": f"mean of {' and '.join(files)}",
        "recipe": " ".join(words),
        **origin,
    }
    with atomic_path(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return notes


def _normalised(shares: Sequence[float], count: int) -> list[float]:
    shares = shares or [1.0] * count
    if len(shares) != count:
        raise UserError(f"--shares: {len(shares)} numbers for {count} files; give one for each")
    if not all(0 <= share < math.inf for share in shares) or sum(shares) == 0:
        raise UserError(f"--shares {' '.join(map(str, shares))}: must not be negative, nor all 0")
    return [share / sum(shares) for share in shares]


def _mean(parts: list[Tensor], shares: list[float]) -> Tensor:
    total = sum(share * part.double() for share, part in zip(shares, parts, strict=True))
    assert isinstance(total, Tensor)
    return total.to(parts[0].dtype)


def _expect_same(first: checkpoint.Stored, other: checkpoint.Stored) -> None:
    """The files describe one network; settings that a file is older than have their defaults."""
    ours, theirs = _described(first), _described(other)
    for what in ("method", "vocabulary"):
        if getattr(ours, what) != getattr(theirs, what):
            raise UserError(
                f"{other.path}: its {what} is not that of {first.path}; only one network can be averaged"
            )
    if changed := [key for key, value in ours.config.items() if theirs.config[key] != value]:
        key = changed[0]
        raise UserError(
            f"{other.path}: its {key} is {theirs.config[key]}, that of {first.path} {ours.config[key]}; "
            "only weights of the same settings can be averaged"
        )
    given, wanted = checkpoint.weights_of(other), checkpoint.weights_of(first)
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in (given, wanted)]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{other.path}: its tensors are not those of {first.path}; one of the files is damaged"
        )


class _Described(NamedTuple):
    method: str
    vocabulary: Vocabulary
    config: dict[str, Json]


def _described(stored: checkpoint.Stored) -> _Described:
    with torch.device("meta"):
        method = checkpoint.build(stored.about, str(stored.path))
    return _Described(method.name, method.vocabulary, to_plain(method.config))
