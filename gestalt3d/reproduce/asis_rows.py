"""The rows of ASIS's tables: trainings on synthetic rooms that differ in the method alone.

Blocks are those of `asis-rooms`, with which minutes of training go farther than with the paper's; of 2,048 points instead of
4,096, because a budget of minutes needs many steps. They are merged by votes: superpoints, which no paper of these has, take
no part.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal

from gestalt3d.data.augment import PLAIN
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.asis import ASISConfig
from gestalt3d.methods.rooms.backbone import PointNetConfig
from gestalt3d.methods.rooms.blockwise import BlockConfig
from gestalt3d.methods.rooms.merging import VotesConfig
from gestalt3d.methods.sgpn import SGPNConfig
from gestalt3d.recipes.asis import asis_rooms


@dataclass(frozen=True)
class _Row:
    """What a row differs in."""

    kind: Literal["backbone", "sgpn", "vanilla", "if", "sa", "asis"]
    """"backbone" learns classes alone."""
    pointnet2: bool
    lr: float = 2e-3
    dropout: float = 0.0


_BACKBONES = {"pn": False, "pn2": True}
ROWS: dict[str, _Row] = {
    f"{kind}-{name}": _Row(kind, pointnet2)
    for kind in ("backbone", "sgpn", "vanilla", "if", "sa", "asis")
    for name, pointnet2 in _BACKBONES.items()
}
for _suffix, _dropout in (("long", 0.0), ("long-dropout", 0.5)):  # as in the authors' code
    for _name, _pointnet2 in _BACKBONES.items():
        # A vanilla network from which the others go on at half its rate.
        ROWS[f"start-{_name}-{_suffix}"] = _Row("vanilla", _pointnet2, dropout=_dropout)
        for _kind in ("vanilla", "if", "sa", "asis"):
            ROWS[f"{_kind}-{_name}-{_suffix}"] = _Row(_kind, _pointnet2, lr=1e-3, dropout=_dropout)


PARTS = "-parts"
"""Ending of the keys of rows that learn objects in parts instead of rooms."""


def parts_row(key: str, *, steps: int, seed: int) -> Recipe:
    """The training of a row of `ROWS`, its key ending in `PARTS`, on objects in parts: each is one block of 2,048 points."""
    made = row(key.removesuffix(PARTS), steps=steps, seed=seed)
    assert isinstance(made.model, BlockConfig)
    whole = replace(
        made.model,
        blocks=replace(made.model.blocks, size=4.0, stride=4.0),
        training=replace(made.model.training, blocks_per_scan=1, object_blocks=0.0),
    )
    return replace(
        made,
        name=key,
        model=whole,
        optim=replace(made.optim, samples_per_step=8),
        data="parts-1:train",
        validate="parts-1:val",
        classes="partnet-1",
        augment=PLAIN,
        scans_per_step=8,
        separate_scans=False,
    )


def row(key: str, *, steps: int, seed: int) -> Recipe:
    """The training of a row of `ROWS`; `UserError` for any other."""
    if key not in ROWS:
        raise UserError(f"no row {key!r}; there are {', '.join(ROWS)}")
    made = ROWS[key]
    rooms = asis_rooms().model
    assert isinstance(rooms, ASISConfig)
    base = replace(
        rooms,
        backbone=rooms.backbone if made.pointnet2 else PointNetConfig(),
        blocks=replace(rooms.blocks, points=2048),
        merging=VotesConfig(min_iou=0.3),
        turns=1,
        seed=seed,
    )
    shared = {field.name: getattr(base, field.name) for field in fields(BlockConfig)}
    if made.kind in ("sgpn", "backbone"):
        # All pairs of 512 points with all others: the full square takes most of a step on a CPU.
        model = SGPNConfig(**shared, loss_rows=512, semantics_only=made.kind == "backbone")
    else:
        model = ASISConfig(
            **shared,
            semantic_awareness=made.kind in ("sa", "asis"),
            instance_fusion=made.kind in ("if", "asis"),
            dropout=made.dropout,
        )
    return Recipe(
        name=key,
        model=model,
        optim=Optim(steps=steps, lr=made.lr, schedule="cosine", samples_per_step=4,
                    clip=1.0, bn_momentum=0.1, halve_every=1_000_000, precision="bf16"),
        data="rooms:train",
        validate="rooms:val",
        classes="s3dis",
        augment=replace(PLAIN, rotation=True, flip=True),
        scans_per_step=1,
        separate_scans=True,
        seed=seed,
        checkpoint_every=100,
    )  # fmt: skip
