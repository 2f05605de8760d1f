"""The judge of a consensus on synthetic rooms, for a CPU."""

from collections.abc import Callable

from gestalt3d.data.augment import PLAIN
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.methods.consensus import ConsensusConfig, SourceConfig
from gestalt3d.methods.ensemble.looks import Look
from gestalt3d.methods.judge import JudgeConfig

LOOKS = (
    Look(), Look(degrees=30.0), Look(degrees=60.0), Look(top=0.3), Look(spacing=0.03), Look(colors=False),
)  # fmt: skip
"""At a room: as it is, turned, without its ceiling, as thin as ASIS draws it, and without its colours."""


def consensus_best() -> Recipe:
    """A judge of what the shipped models for rooms find in six looks at rooms that they have not learnt from.

    Half an hour on two CPU cores, nearly all of it to ask the models.
    """
    consensus = ConsensusConfig(
        sources=(
            SourceConfig("mtml-rooms", LOOKS),
            SourceConfig("asis-rooms", LOOKS, turns=1),
            SourceConfig("rpointnet-rooms"),
            SourceConfig("geometric-regions", names=False),
        )
    )
    return Recipe(
        name="consensus-best",
        model=JudgeConfig(consensus=consensus),
        optim=Optim(
            kind="adamw", steps=1_500, lr=3e-3, schedule="cosine", samples_per_step=8, weight_decay=1e-2,
            bn_momentum=0.05, halve_every=1_000_000,
        ),
        data="rooms:second",
        augment=PLAIN,
        classes="scannet21",
        count=24,
        stored_blocks=True,
        scans_per_step=8,
        checkpoint_every=500,
        validate="rooms:val",
        validate_by=("AP50", "AP25", "coverage"),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], Recipe]] = {"consensus-best": consensus_best}
CHAINS: dict[str, tuple[str, ...]] = {}
