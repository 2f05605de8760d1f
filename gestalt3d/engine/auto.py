"""The model that chooses by what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model, load
from gestalt3d.io.given import InputLike, input_of
from gestalt3d.methods import choice
from gestalt3d.stages import stage
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import Vocabulary

NAME = "auto"


@dataclass(frozen=True, repr=False)
class Auto(Model):
    """`method` is that of the usual model for clouds. Photos without depth have models of their own, loaded when one comes."""

    for_small: Model
    device: str

    def for_cloud(self, cloud: PointCloud) -> Model:
        """Who segments this cloud. Both answer in one vocabulary."""
        return self.for_small if choice.is_small(cloud) else Model(choice.USUAL, self.method)

    @property
    def refines(self) -> bool:
        """It completes the masks of photos."""
        return True

    def segment(
        self, given: InputLike, *, classes: Sequence[str] | None = None, min_score: float = 0.0
    ) -> Instances:
        """As of any model; of a photo without depth the objects that one finds and another completes, of its own classes."""
        given = input_of(given, call="segment(given)")
        if not isinstance(given, View) or given.depth is not None:
            return super().segment(given, classes=classes, min_score=min_score)
        found = _loaded(choice.FINDER, self.device).segment(
            given, classes=classes, min_score=max(min_score, choice.LEAST_SCORE)
        )
        return self.refine(given, found)

    def refine(self, given: InputLike, seen: Instances, *, min_score: float = 0.0) -> Instances:
        """As of any model that completes masks."""
        return _loaded(choice.COMPLETER, self.device).refine(given, seen, min_score=min_score)

    @property
    def vocabulary_of_photos(self) -> Vocabulary:
        """That of the model that completes masks."""
        return _loaded(choice.COMPLETER, self.device).vocabulary

    def with_seed(self, seed: int) -> "Auto":
        return Auto(self.name, super().with_seed(seed).method, self.for_small.with_seed(seed), self.device)


@lru_cache(maxsize=4)
def _loaded(name: str, device: str) -> Model:
    with stage("load"):
        return load(name, device=device)


def load_auto(device: str) -> Auto:
    usual = checkpoint.load(choice.USUAL, device=device)
    small = checkpoint.load(choice.SMALL, device=device)
    for_small = Model(choice.SMALL, type(small).from_config(small.config, usual.vocabulary))
    return Auto(NAME, usual, for_small, device)
