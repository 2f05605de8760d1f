"""The trained rows of MTML's tables: on toy boxes its recipes, with and without directions, on rooms at a budget of their own.

On rooms both rows learn all but the semantic stage from nothing, on predicted semantics that nothing disturbs, at the rate of
`mtml-rooms-true`. Both draw the same proposals from one embedding, and all scores that a row has weigh the same; unions of
pieces, superpoints and turns, which the paper does not have, take no part.
"""

from dataclasses import replace

from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.staged import StagedConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig
from gestalt3d.recipes.mtml import mtml_rooms, mtml_rooms_true, mtml_toyboxes, mtml_toyboxes_hard

_TOYBOXES = {"mtml-toyboxes": mtml_toyboxes, "mtml-toyboxes-hard": mtml_toyboxes_hard}
ROWS = {
    **{name: (make, True) for name, make in _TOYBOXES.items()},
    **{f"{name}-fe": (make, False) for name, make in _TOYBOXES.items()},
    "mtml-rooms-both": (mtml_rooms, True),
    "mtml-rooms-fe": (mtml_rooms, False),
}
"""By key: the recipe, and whether directions are learnt; without, it is the ablation "FE only"."""


def row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `ROWS`, with the recipe's own steps for None; `UserError` for any other."""
    if key not in ROWS:
        raise UserError(f"no row {key!r}; there are {', '.join(ROWS)}")
    make, direction = ROWS[key]
    base = make()
    staged = base.model if isinstance(base.model, StagedConfig) else None
    parter = base.model if staged is None else staged.parter
    assert isinstance(parter, MTMLConfig)
    optim, scored = base.optim, parter.proposals
    if staged is not None:
        optim = mtml_rooms_true().optim
        scored = replace(scored, feature_weight=1.0, size_weight=1.0, semantic_weight=1.0, merge=None)
    parter = replace(
        parter, direction=direction, semantic_noise=SemanticNoiseConfig(), turns=1, proposals=scored
    )
    if staged is not None:
        staged = StagedConfig(replace(staged.semantics, superpoints=None), parter)
    return replace(
        base,
        name=key,
        model=staged or parter,
        optim=replace(optim, steps=steps or optim.steps),
        seed=seed,
    )
