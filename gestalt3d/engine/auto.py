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
    """`method` is that of the model for clouds with semantics. Photos without depth have models of their own, loaded when one
    comes.
    """

    usual: Model
    for_small: Model
    device: str

    def for_cloud(self, cloud: PointCloud) -> Model:
        """Who segments this cloud. All answer in one vocabulary."""
        labelled = Model(choice.LABELLED, self.method)
        return next(m for m in (self.usual, self.for_small, labelled) if m.name == choice.chosen(cloud))

    @property
    def refines(self) -> bool:
        """It completes the masks of photos."""
        return True

    def segment(
        self,
        given: InputLike,
        *,
        classes: Sequence[str] | None = None,
        min_score: float = 0.0,
        overlap: bool | None = None,
    ) -> Instances:
        """As of any model, but without overlap unless it is asked for; of a photo without depth the objects that one finds and
        another completes, of its own classes.
        """
        given = input_of(given, call="segment(given)")
        if not isinstance(given, View) or given.depth is not None:
            return super().segment(given, classes=classes, min_score=min_score, overlap=bool(overlap))
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
        others = self.usual.with_seed(seed), self.for_small.with_seed(seed)
        return Auto(self.name, super().with_seed(seed).method, *others, self.device)


@lru_cache(maxsize=4)
def _loaded(name: str, device: str) -> Model:
    with stage("load"):
        return load(name, device=device)


def load_auto(device: str) -> Auto:
    usual = load(choice.USUAL, device=device)
    small = checkpoint.load(choice.SMALL, device=device)
    for_small = Model(choice.SMALL, type(small).from_config(small.config, usual.vocabulary))
    labelled = checkpoint.load(choice.LABELLED, device=device)
    return Auto(NAME, labelled, Model(choice.USUAL, choice.sure(usual.method)), for_small, device)
