"""Models that need no weights of their own, and the choice between models where none is named."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gestalt3d.methods import config_class, method_class
from gestalt3d.structures.vocabulary import S3DIS, SHAPENET13, TOYBOXES, Vocabulary

if TYPE_CHECKING:
    from gestalt3d.methods.method import AnyMethod

VOCABULARY = S3DIS
"""Of methods without weights that say nothing else."""


class Untrained(NamedTuple):
    method: str
    settings: dict[str, Any]
    about: str
    vocabulary: Vocabulary = VOCABULARY
    needs: tuple[str, ...] = ()
    """The shipped model that it is another form of, whose vocabulary counts."""

    def make(self, given: "Mapping[str, AnyMethod]") -> "AnyMethod":
        """The method; `given` are the models that it needs."""
        cls, config = method_class(self.method), config_class(self.method)(**self.settings)
        if not self.needs:
            return cls.from_config(config, self.vocabulary)
        from gestalt3d.methods.components import Components
        from gestalt3d.methods.judge import Judge
        from gestalt3d.methods.staged import Staged

        first = given[self.needs[0]]
        if isinstance(first, Judge):
            return first.with_consensus(first.config.consensus.with_first_looks())
        parter = cls.from_config(config, first.vocabulary)
        assert isinstance(first, Staged) and isinstance(parter, Components)
        return first.with_parter(parter)


UNTRAINED: dict[str, Untrained] = {
    "geometric": Untrained("geometric", {"variant": "dbscan"}, "RANSAC planes, then DBSCAN"),
    "geometric-regions": Untrained(
        "geometric", {"variant": "regions"}, "RANSAC planes, then region growing by smoothness"
    ),
    "components": Untrained(
        "components", {}, "connected components of the given classes (toy boxes)", TOYBOXES
    ),
    "semantics": Untrained(
        "components",
        {"connected": False},
        "each given class as one instance (toy boxes)",
        TOYBOXES,
    ),
    "components-rooms": Untrained(
        "components",
        {"min_voxels": 3},
        "connected components of the classes that mtml-rooms predicts",
        needs=("mtml-rooms",),
    ),
    "classes-rooms": Untrained(
        "components",
        {"connected": False},
        "each class that mtml-rooms predicts as one instance",
        needs=("mtml-rooms",),
    ),
    "consensus-fast": Untrained(
        "judge", {}, "consensus-best with one look of each method", needs=("consensus-best",)
    ),
    "visible-masks": Untrained(
        "plain-masks", {"complete": "not"}, "visible masks taken for whole objects", SHAPENET13
    ),
    "convex-hulls": Untrained(
        "plain-masks", {"complete": "hull"}, "the convex hulls of visible masks", SHAPENET13
    ),
    "hulls-behind-others": Untrained(
        "plain-masks",
        {"complete": "hull", "behind": True},
        "convex hulls of visible masks, as far as other masks hide them",
        SHAPENET13,
    ),
    "filled-boxes": Untrained(
        "plain-masks", {"complete": "box"}, "the boxes of visible masks, filled", SHAPENET13
    ),
}
