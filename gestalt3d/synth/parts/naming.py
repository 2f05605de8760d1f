"""What a part is called: its path in PartNet, with a number behind a node of which there are several.

"chair/chair_arm#1/arm_horizontal_bar" lies in the second arm. Parts under one name are one part, but a last word without a
number stands for a part of its own each time. The coarser levels follow from the name: at the level at which "chair/chair_arm"
is a class, all that lies in "chair/chair_arm#1" is one instance.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.synth.shapes import Part

_NUMBER = re.compile(r"#\d+")


class Rows(NamedTuple):
    """Which instance each part of an object belongs to."""

    instance: np.ndarray
    """(p,) row of `classes`, -1 none."""
    classes: np.ndarray
    """(i,) class of every instance."""


def instances(names: Sequence[str], vocabulary: Vocabulary) -> Rows:
    """The instances that parts of these names form among the classes of a level, in the order of their first part."""
    known = set(vocabulary.names)
    rows: dict[str, int] = {}
    classes: list[int] = []
    found = np.full(len(names), -1)
    for k, name in enumerate(names):
        nodes = name.split("/")
        plain = _NUMBER.sub("", name).split("/")
        depth = next((d for d in range(len(nodes), 0, -1) if "/".join(plain[:d]) in known), 0)
        if depth == 0:
            continue
        is_alone = depth == len(nodes) and "#" not in nodes[-1]
        key = f"{name}#part {k}" if is_alone else "/".join(nodes[:depth])
        if key not in rows:
            rows[key] = len(classes)
            classes.append(vocabulary.id("/".join(plain[:depth])))
        found[k] = rows[key]
    return Rows(found, np.array(classes, dtype=np.int64))


def renamed(parts: Sequence[Part], names: Mapping[str, str]) -> list[Part]:
    """The parts of furniture for rooms under PartNet's names; "{side}" in a name becomes 0 left of the middle, 1 right of it."""
    sides = [int(part.vertices[:, 0].mean() > 0) for part in parts]
    return [
        part._replace(name=names[part.name].format(side=side))
        for part, side in zip(parts, sides, strict=True)
    ]
