"""What the contract has to know of a method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch

from gestalt3d.methods import method_of
from gestalt3d.methods.method import START, Learned, Moment
from gestalt3d.methods.refiner import visible_part
from gestalt3d.nn.norm import set_bn_momentum
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.testing.frame import tiny_view
from gestalt3d.testing.scene import tiny_scan


@dataclass(frozen=True, kw_only=True)
class Overfit:
    """How a method learns the tiny scan by heart, and what it must know then. It ends as soon as it knows."""

    steps: int = 80
    """At most; the rate falls to 0 over them."""
    rate: float = 1e-2
    """Of Adam, at first."""
    config: Any = None
    """Instead of the case's configuration, where that would not do: for one without dropout, say."""
    loss: float = 0.3
    """Share of the first loss that the last five are below, in the mean."""
    least: float = 0.0
    """Loss of a perfect answer, taken off both."""
    classes: float | None = 0.8
    """Share of the points whose class `segment` finds; None for a method without classes."""
    instances: float | None = 0.5
    """Mean over the true instances of the IoU of the best that `segment` finds; None where only the loss counts."""
    structure: bool = True
    """Floors and walls are instances to the method, too."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A method, configured so small that it segments the tiny scan (3,000 points) in a moment and learns it in seconds."""

    config: Any
    """Stands in the module of its method, as every configuration does."""
    name: str = ""
    """What tells it from other cases of its method."""
    semantics: bool = False
    """The cloud carries the classes of its points, for a method that takes them."""
    moment: Moment = START
    """A moment of the training at which every loss has its weight."""
    labels: Mapping[str, int | None] = field(default_factory=lambda: {"classes": -1, "instances": -1})
    """Fields of a batch that labels go into, those of a part of it as "part.field" → what says there that nothing is known; None
    where that cannot be said. A batch may lack some.
    """
    spread: Callable[[Any, Any], object] | None = None
    """Called with the untrained method, in eval mode, and a batch: scales its weights until it parts the tiny scan into several
    instances. Not needed by a method that does so by itself.
    """
    overfit: Overfit | None = field(default_factory=Overfit)
    """None where another case of the method learns the scan by heart, and where there is nothing to learn."""
    says_whole: bool = True
    """Off for a configuration of a method that completes masks with which it does not."""
    by_itself: bool = True
    """Off where an object of a method that completes masks is completed by what else is visible."""
    draws: bool = True
    """Whether `prepare` draws at random; off for a method that always makes the same batch of a sample."""

    @property
    def method(self) -> type[Any]:
        """The class that `config` configures."""
        return method_of(self.config)

    @property
    def learns(self) -> bool:
        return issubclass(self.method, Learned)

    @property
    def takes_frames(self) -> bool:
        """Whether the method is shown a tiny frame in place of the tiny scan."""
        return self.method.takes is View

    @property
    def id(self) -> str:
        """The method's name and the case's."""
        return "-".join(filter(None, (self.method.name, self.name)))

    def build(self, config: Any = None) -> Any:
        """The method, its weights always the same."""
        torch.manual_seed(0)
        return self.method.from_config(self.config if config is None else config, S3DIS)

    def scan(self, **options: Any) -> Any:
        """The tiny scan as the method is shown it, or the tiny frame; options are those of `tiny_scan`, `boxes` of both."""
        if self.takes_frames:
            return tiny_view(boxes=options.get("boxes", 3))
        scan = tiny_scan(**options)
        return scan if self.semantics else replace(scan, input=replace(scan.input, semantic=None))

    @property
    def completes(self) -> bool:
        """Whether the method completes masks that it is given; off where this case's says no whole ones."""
        return hasattr(self.method, "refine") and self.says_whole

    @property
    def finds(self) -> bool:
        """Whether it finds instances itself."""
        return not hasattr(self.method, "refine") or bool(getattr(self.method, "finds_masks", False))

    def ask(self, method: Any, scan: Any) -> Instances:
        """What a method of this case says of a scan: one that only completes masks, behind the true visible ones."""
        return method.segment(scan.input) if self.finds else self.completed(method, scan)

    def completed(self, method: Any, scan: Any) -> Instances:
        """What a method that completes masks makes of the true visible ones."""
        return method.refine(scan.input, self.seen(method, scan))

    def seen(self, method: Any, scan: Any) -> Instances:
        """What a method that completes masks is given of a scan."""
        return visible_part(scan.truth, width=scan.input.image.shape[2], whole_boxes=True)

    def batch(self, method: Any, seed: int = 0) -> Any:
        """What the method makes of the tiny scan to learn from."""
        return method.prepare(self.scan(), np.random.default_rng(seed))


@cache
def ready(case: Case) -> Any:
    """The untrained method in eval mode, batch norm's statistics those of the tiny scan, its features spread."""
    method = case.build()
    if isinstance(method, Learned):
        batch = case.batch(method)
        set_bn_momentum(method, 1.0)
        with torch.no_grad():
            method(batch)
            method.eval()
            if case.spread is not None:
                case.spread(method, batch)
    return method


def cases_in(module: ModuleType) -> list[Case]:
    """Those that a module holds as `CASE` or `CASES`."""
    alone = getattr(module, "CASE", None)
    return [*([] if alone is None else [alone]), *getattr(module, "CASES", ())]
