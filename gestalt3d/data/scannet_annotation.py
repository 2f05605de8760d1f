"""The annotation of a ScanNet scene, read from strangers' files: class and object of every vertex of its mesh.

`<scene>_vh_clean_2.0.010000.segs.json` gives every vertex a segment (`segIndices`), `<scene>.aggregation.json`
joins segments to objects and calls each by a word (`segGroups`), and the label table says which of NYU's forty
classes a word is (columns `raw_category` and `nyu40id`). A segment that two objects claim belongs to the one
listed last. Nothing is read that is larger than its mesh can need.
"""

import csv
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gestalt3d.encoding import decode
from gestalt3d.errors import UserError

TABLE = "scannetv2-labels.combined.tsv"
NYU_CLASSES = 40
MOST_OBJECTS = 999
"""Of a scene: the benchmark writes label * 1000 + number of the object."""

_BYTES_PER_VERTEX = 32  # of a JSON file: a number of seven digits, its comma and a generous indentation
_SPARE_BYTES = 1 << 20
_TABLE_LIMIT = 4 << 20
_AGAIN = "download the scene again"


class Annotation(NamedTuple):
    """Of every vertex, in the order of the mesh."""

    semantic: np.ndarray
    """(n,) int64: NYU40 class 1 … 40, 0 none."""
    instance: np.ndarray
    """(n,) int64: `objectId` + 1, 0 none."""
    notes: tuple[str, ...] = ()

    @property
    def official(self) -> np.ndarray:
        """(n,) int64: label * 1000 + instance, a line each of the benchmark's ground truth."""
        return self.semantic * 1000 + self.instance


def read_annotation(
    segments: Path, aggregation: Path, table: Path, words: dict[str, int], *, vertices: int
) -> Annotation:
    """Class and object of every vertex; `words` are those of `read_words(table)`, `vertices` the mesh's number of them.

    `UserError` naming the file and what does not fit: another number of vertices, a segment or a word that does
    not exist.
    """
    segment_ids, segment = _segments(segments, vertices)
    groups = _groups(aggregation, vertices)
    of_segment = np.zeros((2, len(segment_ids)), dtype=np.int64)
    disputed = 0
    for group in groups:
        if (label := words.get(group.word)) is None:
            raise UserError(
                f"{aggregation}: calls object {group.number} {group.word[:40]!r}, which {table} does not list; "
                "take the table that came with the scenes"
            )
        at = np.searchsorted(segment_ids, group.segments)
        unknown = group.segments[np.append(segment_ids, -1)[at] != group.segments]
        if len(unknown):
            raise UserError(
                f"{aggregation}: object {group.number} ({group.word[:40]!r}) has segment {unknown[0]}, "
                f"which {segments} does not; {_AGAIN}"
            )
        disputed += int(((of_segment[1, at] > 0) & (of_segment[1, at] != group.number + 1)).sum())
        of_segment[:, at] = [[label], [group.number + 1]]
    semantic, instance = of_segment[:, segment]
    notes = (f"{aggregation}: {disputed} segments belong to two objects; the one listed last has them",)
    return Annotation(semantic, instance, notes if disputed else ())


def read_words(table: Path) -> dict[str, int]:
    """`raw_category` → `nyu40id`, 0 … 40. Of rows with the same word the last one counts."""
    lines = read_text(table, _TABLE_LIMIT).splitlines()
    try:
        rows = list(csv.reader((line for line in lines if line.strip()), delimiter="\t"))
    except csv.Error as error:
        raise UserError(f"{table}: is no table with tabs between ({error}); download it again") from None
    head = rows[0] if rows else []
    if not {"raw_category", "nyu40id"} <= set(head):
        raise UserError(
            f"{table}: its first line names no columns raw_category and nyu40id; download it again"
        )
    word, number = head.index("raw_category"), head.index("nyu40id")
    words = {}
    for row in rows[1:]:
        text = row[number].strip() if len(row) > max(word, number) else ""
        if not (text.isascii() and text.isdigit() and len(text) < 3 and int(text) <= NYU_CLASSES):
            raise UserError(
                f"{table}: the row of {row[word][:40] if len(row) > word else ''!r} has nyu40id {text[:20]!r}, "
                f"not a number up to {NYU_CLASSES}; download it again"
            )
        words[row[word]] = int(text)
    return words


class _Group(NamedTuple):
    """One object."""

    number: int
    word: str
    segments: np.ndarray


def _segments(path: Path, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct segments, ascending, and each vertex' position among them."""
    ids = _whole_numbers(path, "segIndices", _field(path, _json(path, vertices), "segIndices", list))
    if len(ids) != vertices:
        raise UserError(
            f"{path}: segIndices has {len(ids)} entries, the mesh {vertices} vertices; the two belong to different "
            f"meshes, {_AGAIN}"
        )
    distinct, position = np.unique(ids, return_inverse=True)
    return distinct, position.reshape(-1)


def _groups(path: Path, vertices: int) -> list[_Group]:
    groups = []
    for i, entry in enumerate(_field(path, _json(path, vertices), "segGroups", list)):
        where = f"segGroups[{i}]"
        if not isinstance(entry, dict):
            raise UserError(f"{path}: {where} must be a JSON object, got {_shown(entry)}; {_AGAIN}")
        number = _field(path, entry, "objectId", int, where)
        if not 0 <= number < MOST_OBJECTS:
            raise UserError(
                f"{path}: objectId of {where} must be 0 to {MOST_OBJECTS - 1}, got {_shown(number)}; {_AGAIN}"
            )
        word = _field(path, entry, "label", str, where)
        listed = _field(path, entry, "segments", list, where)
        groups.append(_Group(number, word, _whole_numbers(path, f"{where}.segments", listed)))
    return groups


def _json(path: Path, vertices: int) -> dict[str, Any]:
    text = read_text(path, _BYTES_PER_VERTEX * vertices + _SPARE_BYTES)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is no JSON ({' '.join(str(error).split())[:100]}); {_AGAIN}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: must hold a JSON object, got {_shown(value)}; {_AGAIN}")
    return value


def _field(path: Path, entry: dict[str, Any], key: str, kind: type, where: str = "the file") -> Any:
    value = entry.get(key)
    if type(value) is not kind:  # exactly: true is an int to isinstance
        raise UserError(f"{path}: {key} of {where} must be {_KINDS[kind]}, got {_shown(value)}; {_AGAIN}")
    return value


_KINDS: dict[type, str] = {list: "a list", int: "a whole number", str: "a word"}


def _whole_numbers(path: Path, name: str, values: list[Any]) -> np.ndarray:
    # Types first: an array of mixed values would be one of strings, each as long as the longest.
    for value in values:
        if type(value) is not int or not 0 <= value < 2**63:
            raise UserError(
                f"{path}: {name} must hold whole numbers from 0 on, got {_shown(value)}; {_AGAIN}"
            )
    return np.array(values, dtype=np.int64)


def _shown(value: Any) -> str:
    """Short, whatever it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a JSON object"
    return "nothing" if value is None else repr(value[:40] if isinstance(value, str) else value)[:40]


def read_text(path: Path, limit: int) -> str:
    """The whole text, which may have `limit` bytes."""
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such file; {_AGAIN}")
        if (size := path.stat().st_size) > limit:
            raise UserError(f"{path}: has {size:,} bytes, more than the {limit:,} it can need; {_AGAIN}")
        text = decode(path.read_bytes()[:limit])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({os.strerror(error.errno or 0)}); check it") from None
    if "\0" in text:
        raise UserError(f"{path}: is not text; {_AGAIN}")
    return text
