"""A recipe: everything that a training depends on. Its fields are the command line's options."""

from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np

from gestalt3d.configs import (
    Config,
    Count,
    CountOrNone,
    Json,
    NotNegative,
    Seed,
    Share,
    Within,
    check_ranges,
)
from gestalt3d.configs import from_plain as config_from_plain
from gestalt3d.configs import to_plain as config_to_plain
from gestalt3d.data import augment as augments
from gestalt3d.data import augment_views
from gestalt3d.data.augment import AugmentConfig
from gestalt3d.errors import UserError
from gestalt3d.methods import config_class, method_of, module_of
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import VOCABULARIES, Vocabulary

Precision = Literal["no", "bf16", "fp16"]


@dataclass(frozen=True)
class Optim:
    """An optimiser and its schedules."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    """The optimiser; "adamw" takes the weight decay off the weights themselves, not into the gradient."""
    momentum: Annotated[float, Within(least=0, below=1)] = 0.9
    """Momentum of "sgd"; the others have none to set."""
    steps: Count = 10_000
    """Steps of the optimiser, which are the length of the training."""
    lr: Annotated[float, Within(above=0, most=10)] = 1e-3
    """Learning rate after warm-up."""
    lr_floor: Annotated[float, Within(least=0, most=10)] = 1e-5
    """The rate never falls below this."""
    schedule: Literal["halving", "cosine", "constant"] = "halving"
    """How the rate falls: by halves every `halve_every`, along a cosine to the last step, or not."""
    halve_every: Count = 300_000
    """Samples (blocks) after which "halving" halves the rate and batch norm's momentum."""
    samples_per_step: Count = 24
    """Blocks in a step, for the schedules that count samples."""
    warmup: CountOrNone = 0
    """Steps over which the rate rises linearly at the start."""
    weight_decay: NotNegative = 0.0
    """What the weights are pulled to zero by."""
    clip: NotNegative = 0.0
    """Largest gradient norm; 0 leaves gradients alone."""
    bn_momentum: Share = 0.5
    """Share of the newest batch in batch norm's running means and variances."""
    precision: Precision = "no"
    """Numbers in the network: 32 bits, or 16 where they do and the processor multiplies them itself; fp16 wants a GPU."""
    ema: Annotated[float, Within(least=0, below=1)] = 0.0
    """Decay of the averaged weights; 0 keeps none."""

    def __post_init__(self) -> None:
        check_ranges(self)


SEMANTIC = ("mIoU", "oAcc")
"""What a validation says of a network that parts nothing."""


@runtime_checkable
class Augment(Protocol):
    """Settings, a frozen dataclass, that change a sample at random."""

    def changes_nothing(self) -> bool:
        """Whether every sample stays what it is."""
        ...

    def __call__(self, sample: Scan, rng: np.random.Generator) -> Scan: ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that a training depends on."""

    name: str
    """Name of the recipe, and of the folder of its run where none is given."""
    model: Config
    """The configuration of a method, which says what is trained."""
    optim: Optim = field(default_factory=Optim)
    """The optimiser and its schedules."""
    augment: Augment = field(default_factory=AugmentConfig)
    """Random changes of the scans in training."""
    init: tuple[str, ...] = ()
    """Start from the weights of this model or file, or of a part, MODEL.PART; several for several parts. Else from nothing."""
    data: str
    """Data set and split to train on, NAME or NAME:SPLIT."""
    root: Path | None = None
    """Folder of the data set; not for synthetic ones."""
    count: Count | None = None
    """Use only this many scans."""
    semantics: Path | None = None
    """Folder of classes that methods are given, <scene>.txt with an official id per vertex; without it the true ones."""
    classes: str = ""
    """Vocabulary that the scans are mapped to; empty: the data's own classes."""
    hold_out: Annotated[float, Within(least=0, below=1)] = 0.0
    """Share of the scans that is validated on and not trained on, chosen by the seed; 0: `validate` names the scans."""
    validate: str = ""
    """Data set and split to validate on, where nothing is held out; empty: none."""
    validate_every: CountOrNone = 0
    """Steps between validations, besides the one at the end; 0 validates never."""
    validate_count: Count = 4
    """Most scans that a validation looks at."""
    validate_by: tuple[str, ...] = ("mCov", "mPrec", "mRec", "AP50", "mIoU")
    """Figures that a validation reports; `best.safetensors` are the weights with the highest first one."""
    scans_per_step: Count = 4
    """Scans in a step, over all processes."""
    # A "scan" of `scans_per_step` is then `blocks_per_scan` of these.
    stored_blocks: bool = False
    """Cut all blocks once, into the cache, and see each once an epoch, instead of random blocks of random scans."""
    separate_scans: bool = False
    """Scans of a step pass the network one by one: memory and batch norm's statistics are those of one scan."""
    workers: Annotated[int, Within(least=0, most=1024)] = 1
    """Data-loader processes."""
    freeze_bn: bool = False
    """Batch norm keeps the statistics of the initial weights."""
    log_every: Count = 20
    """Steps over which logged losses are averaged."""
    checkpoint_every: Count = 200
    """Steps between checkpoints."""
    seed: Seed = 0
    """Seed of the initial weights, the order of the scans and all random changes."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def method(self) -> str:
        """The name of the method that `model` configures."""
        return method_of(self.model).name

    def vocabulary(self) -> Vocabulary | None:
        """The vocabulary named by `classes`; None takes the data's own."""
        if not self.classes:
            return None
        if self.classes not in VOCABULARIES:
            raise UserError(
                f"--classes {self.classes}: no such vocabulary; there are {', '.join(VOCABULARIES)}"
            )
        return VOCABULARIES[self.classes]


def to_plain(recipe: Recipe) -> dict[str, Json]:
    """The recipe as plain JSON, with the name of its method and the kind of its augmentation."""
    plain = config_to_plain(recipe)
    settings = plain["augment"]
    assert isinstance(settings, dict)
    augment = {"kind": type(recipe.augment).__name__, **settings}
    return {**plain, "method": recipe.method, "augment": augment}


def from_plain(plain: Json, where: str) -> Recipe:
    """The recipe that `to_plain` took apart, also where an earlier version did. `UserError` where it is none."""
    if not isinstance(plain, dict):
        raise UserError(f"{where}: holds no recipe")
    given = dict(plain)
    method = given.pop("method", None)
    if not isinstance(method, str):
        raise UserError(f"{where}: names no method")
    model = config_from_plain(config_class(method), given.get("model"), f"{where}.model")
    settings = given.get("augment", {})
    kind: type[Config] = AugmentConfig
    if isinstance(settings, dict):
        settings = dict(settings)
        kind = _augment_class(settings.pop("kind", kind.__name__), method, where)
    augment = config_from_plain(kind, settings, f"{where}.augment")
    return config_from_plain(Recipe, {**given, "model": model, "augment": augment}, where)


def _augment_class(kind: Json, method: str, where: str) -> type[Config]:
    """The augmentation of that name: one of ours, or one that stands beside the method."""
    for place in (augments, augment_views, module_of(method)):
        found = getattr(place, str(kind), None)
        if isinstance(found, type) and is_dataclass(found) and issubclass(found, Augment):
            return found
    raise UserError(f"{where}: knows the augmentation {kind!r}, which there is not here")
