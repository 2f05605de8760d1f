"""Class names, the data sets' official ids, which classes are structure, and tables between vocabularies (NumPy only)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gestalt3d.structures.partnet_classes import PARTS


@dataclass(frozen=True)
class Vocabulary:
    """An ordered list of classes. A class id is a position in `names`; -1 means no class."""

    title: str
    names: tuple[str, ...]
    official_ids: tuple[int, ...] = ()
    """The data set's own number of each class; empty: the position itself."""
    structure: frozenset[str] = frozenset()
    """Names of the classes that are the building, not objects in it: void in class-agnostic scores."""

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"vocabulary {self.title!r} names a class twice")
        if self.official_ids and len(self.official_ids) != len(self.names):
            raise ValueError(
                f"vocabulary {self.title!r} has {len(self.names)} names and {len(self.official_ids)} ids"
            )
        if unknown := self.structure - set(self.names):
            raise ValueError(f"vocabulary {self.title!r} calls unknown classes structure: {sorted(unknown)}")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def id(self, name: str) -> int:
        """Position of `name`; `KeyError` naming the known classes when there is none."""
        if name not in self._position:
            raise KeyError(f"no class {name!r} in {self.title}; it has {', '.join(self.names)}")
        return self._position[name]

    @property
    def is_structure(self) -> np.ndarray:
        """(c,) bool."""
        return np.array([name in self.structure for name in self.names], dtype=bool)

    def from_official(self, ids: np.ndarray) -> np.ndarray:
        """Official ids → positions, -1 for ids outside the vocabulary. Any integer array; int64 of the same shape."""
        official = np.array(self.official_ids or range(len(self)), dtype=np.int64)
        order = np.argsort(official)
        ids = np.asarray(ids).astype(np.int64)
        at = np.clip(np.searchsorted(official[order], ids), 0, max(len(official) - 1, 0))
        return np.where(official[order][at] == ids, order[at], -1)


REST = ("clutter", "otherfurniture", "object")
"""What is none of the other classes, in the vocabularies that have such a class."""


def translate(source: Vocabulary, target: Vocabulary) -> np.ndarray:
    """(len(source) + 1,) int64 table: `table[id]` is the target's id. Entry -1 maps to -1, so index with ids as they are.

    A class maps to the target's class of the same name, else through `SYNONYMS`, else to the target's rest class
    ("clutter", "otherfurniture", "object") where it has one, else to -1. Structure is never the rest: a ceiling is no furniture.
    NYUv2's forty become its thirteen as published.
    """
    if (source.title, target.title) == (NYU40.title, NYU13.title):
        return np.append(NYU13.from_official(np.array(NYU13_OF_NYU40)), -1)
    rest = next((target.id(name) for name in REST if name in target.names), -1)
    table = np.full(len(source) + 1, -1, dtype=np.int64)
    for i, name in enumerate(source.names):
        candidates = (name, *SYNONYMS.get(name, ()))
        otherwise = -1 if name in source.structure else rest
        table[i] = next((target.id(c) for c in candidates if c in target.names), otherwise)
    return table


def mapping(source: Vocabulary, target: Vocabulary) -> str:
    """In words, what `translate` does with the classes that change their name; empty where none does."""
    to: dict[str, list[str]] = {}
    for name, row in zip(source.names, translate(source, target).tolist(), strict=False):
        other = target.names[row] if row >= 0 else "no class"
        if other != name:
            to.setdefault(other, []).append(name)
    parts = "; ".join(f"{', '.join(names)} → {other}" for other, names in to.items())
    return f"classes of the data under the names of {target.title}: {parts}" if parts else ""


# What a class of `SYNTH`, `NYU40` or `SHAPENET13` is called elsewhere, nearest name first.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "shower_curtain": ("showercurtain", "curtain"),
    "desk": ("table",),
    "coffee_table": ("table",),
    "night_stand": ("cabinet",),
    "dresser": ("cabinet",),
    "bookshelf": ("bookcase",),
    "bookcase": ("bookshelf",),
    "armchair": ("sofa", "chair"),
    "office_chair": ("chair",),
    "stool": ("chair",),
    "bench": ("chair",),
    "whiteboard": ("board",),
    "board": ("picture",),
    "picture": ("board",),
    "fridge": ("refrigerator",),
    "garbage_bin": ("bin",),
    "column": ("wall",),
    "beam": ("ceiling",),
    "floor_lamp": ("lamp",),
    "desk_lamp": ("lamp",),
    "monitor": ("tv", "display"),
    "tv": ("monitor", "display"),
    "television": ("tv", "monitor"),
    "display": ("monitor", "tv"),
    "night stand": ("night_stand", "cabinet"),
    "books": ("book",),
}

SYNTH = Vocabulary(
    "synth",
    (
        "ceiling", "floor", "wall", "beam", "column", "window", "door",
        "table", "desk", "coffee_table", "chair", "office_chair", "armchair", "stool", "bench", "sofa", "bed",
        "bookcase", "cabinet", "dresser", "night_stand", "counter", "fridge", "board", "picture", "curtain",
        "monitor", "lamp", "garbage_bin", "toilet", "sink", "bathtub", "box", "book", "bag", "pillow", "plant", "clutter",
    ),
    structure=frozenset({"ceiling", "floor", "wall", "beam", "column"}),
)  # fmt: skip

S3DIS = Vocabulary(
    "s3dis",
    (
        "ceiling", "floor", "wall", "beam", "column", "window", "door",
        "table", "chair", "sofa", "bookcase", "board", "clutter",
    ),
    structure=frozenset({"ceiling", "floor", "wall", "beam", "column"}),
)  # fmt: skip

SCANNET20 = Vocabulary(
    "scannet20",
    (
        "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
        "desk", "curtain", "refrigerator", "shower curtain", "toilet", "sink", "bathtub", "otherfurniture",
    ),
    official_ids=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39),
    structure=frozenset({"wall", "floor"}),
)  # fmt: skip

SCANNET21 = Vocabulary(
    "scannet21",
    (*SCANNET20.names, "ceiling"),
    official_ids=(*SCANNET20.official_ids, 22),
    structure=SCANNET20.structure | {"ceiling"},
)
"""ScanNet's twenty and the ceiling, which its benchmark ignores: a scan has one, and it is no furniture."""

SCANNET18 = Vocabulary("scannet18", SCANNET20.names[2:], SCANNET20.official_ids[2:])

NYU40 = Vocabulary(
    "nyu40",
    (
        "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
        "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
        "refrigerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
        "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
    ),
    official_ids=tuple(range(1, 41)),
    structure=frozenset({"wall", "floor", "ceiling", "otherstructure"}),
)  # fmt: skip
"""The forty classes of Gupta et al. (2013); 0 is unlabelled."""

NYU13 = Vocabulary(
    "nyu13",
    (
        "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall",
        "window",
    ),
    official_ids=tuple(range(1, 14)),
    structure=frozenset({"ceiling", "floor", "wall"}),
)  # fmt: skip
"""The thirteen classes of Couprie et al. (2013)."""
NYU13_OF_NYU40: tuple[int, ...] = (
    12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
    7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
)  # fmt: skip
"""The official number in `NYU13` of each of `NYU40`: a door is wall, a desk a table."""

DSS19 = Vocabulary(
    "dss19",
    (
        "bathtub", "bed", "bookshelf", "box", "chair", "counter", "desk", "door", "dresser", "garbage_bin", "lamp",
        "monitor", "night_stand", "pillow", "sink", "sofa", "table", "tv", "toilet",
    ),
)  # fmt: skip
"""The nineteen kinds of objects of Deep Sliding Shapes on NYUv2 and SUN RGB-D, in its order, and of A3IS-CNN after it."""

SHAPENET13 = Vocabulary(
    "shapenet13",
    (
        "airplane", "bench", "cabinet", "car", "chair", "display", "lamp", "speaker", "rifle", "sofa", "table", "phone",
        "vessel",
    ),
    official_ids=(
        2691156, 2828884, 2933112, 2958343, 3001627, 3211117, 3636649, 3691459, 4090263, 4256520, 4379243, 4401088, 4530566,
    ),
)  # fmt: skip
"""The thirteen categories of ShapeNet that are rendered from 24 viewpoints (Kato et al. 2018), with their synsets."""

PASCAL12 = Vocabulary(
    "pascal12",
    (
        "aeroplane", "bicycle", "boat", "bottle", "bus", "car", "chair", "diningtable", "motorbike", "sofa", "train",
        "tvmonitor",
    ),
)  # fmt: skip
"""The twelve rigid classes of PASCAL3D+."""

TABLE_TOPS = Vocabulary("table-tops", ("table", "object"), structure=frozenset({"table"}))

TOYBOXES = Vocabulary("toyboxes", ("box1", "box2", "box3", "box4", "box5"))

PARTNET: dict[tuple[str, int], Vocabulary] = {
    (category, level): Vocabulary(
        f"partnet-{category.replace('_', '')}-{level}",
        tuple(name for _, name, levels in parts if level in levels),
        official_ids=tuple(number for number, _, levels in parts if level in levels),
    )
    for category, parts in PARTS.items()
    for level in (1, 2, 3)
}
"""Classes of parts by category and level of detail, under their paths in PartNet, such as "chair/chair_back/back_surface"."""
PARTNET_ALL: dict[int, Vocabulary] = {
    level: Vocabulary(
        f"partnet-{level}", tuple(name for category in PARTS for name in PARTNET[category, level].names)
    )
    for level in (1, 2, 3)
}
"""Those of the four categories together, by level."""

_SHAPENET = {
    "airplane": 4, "bag": 2, "cap": 2, "car": 4, "chair": 4, "earphone": 3, "guitar": 3, "knife": 2, "lamp": 4,
    "laptop": 2, "motorbike": 6, "mug": 2, "pistol": 3, "rocket": 3, "skateboard": 3, "table": 3,
}  # fmt: skip
SHAPENET_PART = Vocabulary(
    "shapenet-part",
    tuple(
        f"{category}/{number}"
        for number, category in enumerate(c for c, parts in _SHAPENET.items() for _ in range(parts))
    ),
)
"""ShapeNet's fifty parts; a part has a number and no name."""

VOCABULARIES: dict[str, Vocabulary] = {
    v.title: v
    for v in (
        SYNTH,
        S3DIS,
        SCANNET20,
        SCANNET21,
        SCANNET18,
        NYU40,
        NYU13,
        DSS19,
        SHAPENET13,
        PASCAL12,
        TABLE_TOPS,
        TOYBOXES,
        *PARTNET.values(),
        *PARTNET_ALL.values(),
        SHAPENET_PART,
    )
}
