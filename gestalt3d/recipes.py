"""Named experiments: each function returns a frozen `Recipe`, whose fields are the command line's options."""

from collections.abc import Callable
from dataclasses import fields, replace

from gestalt3d import plugins
from gestalt3d.data.augment import PLAIN, AugmentConfig
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.asis import ASISConfig
from gestalt3d.methods.mtml import MTMLConfig
from gestalt3d.methods.rooms.backbone import PointNet2Config, PointNetConfig
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import BlockConfig, TrainingConfig
from gestalt3d.methods.rooms.merging import AgreementConfig, VotesConfig
from gestalt3d.methods.sgpn import SGPNConfig
from gestalt3d.methods.staged import StagedConfig
from gestalt3d.methods.superpoints import SuperpointConfig
from gestalt3d.methods.unet import UNetConfig
from gestalt3d.methods.voxels.grouping import ProposalConfig
from gestalt3d.methods.voxels.semantic_noise import SemanticNoiseConfig

# Of a network that parts nothing.
_SEMANTIC = ("mIoU", "oAcc")

# For synthetic rooms, so that the weights work on real scans, too.
_ROOMS = AugmentConfig(
    p_tilt=0.2, p_elastic=0.2, p_crop=0.1, p_no_ceiling=0.2, p_cut_height=0.05, p_holes=0.1, p_falloff=0.1, p_dropout=0.3,
    p_no_color=0.15, p_color=0.6, hue_degrees=12.0, p_bumps=0.5, p_smooth=0.5,
)  # fmt: skip


def asis_rooms() -> Recipe:
    """ASIS (PN++) on synthetic rooms, made to work on real scans, too; two CPU cores, a few hours.

    The shipped weights come from several trainings with it: see their card.
    """
    return Recipe(
        name="asis-rooms",
        model=ASISConfig(
            backbone=PointNet2Config(radii=(0.12, 0.25, 0.5, 1.0), group_size=16),
            blocks=LatticeConfig(size=2.0, stride=1.0, grid=0.03, normals=16),
            training=TrainingConfig(blocks_per_scan=4, object_blocks=0.5, class_balance=0.5),
            merging=AgreementConfig(),
            turns=2, scan_statistics=8, bandwidth=0.5, dropout=0.0,
        ),
        optim=Optim(
            steps=9_000,
            lr=1.5e-3,
            schedule="cosine",
            samples_per_step=8,
            warmup=50,
            clip=1.0,
            bn_momentum=0.1,
            halve_every=1_000_000,
            precision="bf16",
            ema=0.995,
        ),
        data="rooms:train",
        validate="rooms:val",
        classes="s3dis",
        augment=_ROOMS,
        count=5000,
        scans_per_step=2,
        separate_scans=True,
        checkpoint_every=250,
    )  # fmt: skip


def asis_folder() -> Recipe:
    """Your own labelled scans and classes, starting from the shipped weights: add --root DIR --init asis-rooms."""
    base = asis_rooms()
    return replace(
        base,
        name="asis-folder",
        data="folder",
        validate="folder",
        classes="",
        count=None,
        hold_out=0.2,
        validate_every=100,
        validate_count=6,
        augment=replace(_ROOMS, p_bumps=0.0, p_smooth=0.0),  # real scans have that already
        optim=replace(base.optim, steps=500, lr=5e-4, warmup=20, ema=0.0),
    )


def asis_s3dis() -> Recipe:
    """The paper's ASIS (PN++) on S3DIS, tested on Area 5: 100 epochs, batch 24; add --root DIR. Needs a GPU."""
    return Recipe(
        name="asis-s3dis",
        model=ASISConfig(training=TrainingConfig(blocks_per_scan=1)),
        optim=Optim(steps=100 * _S3DIS_STEPS),
        classes="s3dis",
        augment=PLAIN,
        data="s3dis:not5",
        validate="s3dis:area5",
        scans_per_step=24,
        stored_blocks=True,
    )


def asis_s3dis_pointnet() -> Recipe:
    """The paper's ASIS (PN) on S3DIS, tested on Area 5: 50 epochs, batch 24; add --root DIR. Needs a GPU."""
    base = asis_s3dis()
    return replace(
        base,
        name="asis-s3dis-pointnet",
        model=replace(base.model, backbone=PointNetConfig()),
        optim=replace(base.optim, steps=50 * _S3DIS_STEPS),
    )


def sgpn_s3dis_semantics() -> Recipe:
    """The semantic network that SGPN starts from, as PointNet is trained: batch 24, 50 epochs; add --root DIR. Needs a GPU."""
    return replace(
        asis_s3dis_pointnet(),
        name="sgpn-s3dis-semantics",
        model=SGPNConfig(
            backbone=PointNetConfig(), training=TrainingConfig(blocks_per_scan=1), semantics_only=True
        ),
        validate_by=_SEMANTIC,
    )


def sgpn_s3dis() -> Recipe:
    """SGPN on S3DIS as its authors train it: batch 4, 200 epochs; add --root DIR --init WEIGHTS of sgpn-s3dis-semantics."""
    base = sgpn_s3dis_semantics()
    return replace(
        base,
        name="sgpn-s3dis",
        model=replace(base.model, semantics_only=False),
        validate_by=asis_s3dis().validate_by,
        optim=Optim(
            steps=200 * 6 * _S3DIS_STEPS, lr=1e-4, lr_floor=1e-6, halve_every=800_000, samples_per_step=4
        ),
        scans_per_step=4,
        freeze_bn=True,
    )


def mtml_toyboxes() -> Recipe:
    """MTML on the toy boxes of its Sec. 4.1, true semantics as input; a quarter of an hour on one CPU core."""
    return Recipe(
        name="mtml-toyboxes",
        model=MTMLConfig(norm=True, proposals=ProposalConfig(coherent=True)),
        optim=Optim(
            steps=3_000, lr=3e-3, schedule="cosine", samples_per_step=2, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000,
        ),
        augment=PLAIN,
        data="toyboxes:train",
        classes="toyboxes",
        validate="toyboxes:val",
        scans_per_step=2,
    )  # fmt: skip


def mtml_toyboxes_hard() -> Recipe:
    """The same on the preset `hard`, whose boxes touch often."""
    return replace(
        mtml_toyboxes(), name="mtml-toyboxes-hard", data="toyboxes-hard:train", validate="toyboxes-hard:val"
    )


def semantics_rooms() -> Recipe:
    """MTML's semantic stage on synthetic rooms, made to work on real scans, too; one CPU core, about an hour."""
    return Recipe(
        name="semantics-rooms",
        model=UNetConfig(
            width=24, class_balance=0.3, max_extent=5.0, turns=4, superpoints=SuperpointConfig()
        ),
        optim=Optim(
            steps=1_800, lr=8e-3, schedule="cosine", samples_per_step=4, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000, precision="bf16", ema=0.995,
        ),
        data="rooms:train",
        validate="rooms:val",
        augment=_ROOMS,
        classes="scannet21",
        count=2000,
        validate_by=_SEMANTIC,
        checkpoint_every=250,
    )  # fmt: skip


def mtml_rooms_true() -> Recipe:
    """The first stage of mtml-rooms: MTML on synthetic rooms with their true semantics (its Sec. 3.3)."""
    return Recipe(
        name="mtml-rooms-true",
        model=MTMLConfig(
            norm=True,
            turns=2,
            proposals=ProposalConfig(
                bandwidths=(1.0, 1.5, 2.0), across=True, merge=0.6, unions=False, feature_weight=0.0,
                size_weight=0.0, large_weight=1.0, min_voxels=5, coherent=True,
            ),
        ),
        optim=Optim(
            steps=3_000, lr=3e-3, schedule="cosine", samples_per_step=4, warmup=50, clip=1.0, bn_momentum=0.1,
            halve_every=1_000_000, precision="bf16", ema=0.995,
        ),
        data="rooms:train",
        validate="rooms:val",
        augment=_ROOMS,
        classes="scannet21",
        count=2000,
        checkpoint_every=100,
    )  # fmt: skip


def mtml_rooms() -> Recipe:
    """MTML on synthetic rooms with predicted semantics; add --init WEIGHTS of mtml-rooms-true and of semantics-rooms."""
    base, semantics = mtml_rooms_true(), semantics_rooms().model
    assert isinstance(base.model, MTMLConfig) and isinstance(semantics, UNetConfig)
    parter = replace(base.model, semantic_noise=SemanticNoiseConfig(deviation=2.5))
    return replace(
        base,
        name="mtml-rooms",
        model=StagedConfig(semantics, parter),
        optim=replace(base.optim, steps=450, lr=1e-3),
    )


def semantics_scannet() -> Recipe:
    """Semantics of ScanNet for mtml-scannet: a U-Net like the one its paper takes them from; add --root DIR. Needs a GPU."""
    return Recipe(
        name="semantics-scannet",
        model=UNetConfig(width=16, levels=7, normals=0),
        optim=Optim(
            steps=60_000, lr=1e-3, schedule="cosine", samples_per_step=4, bn_momentum=0.1, halve_every=1_000_000,
        ),
        augment=replace(PLAIN, rotation=True, flip=True, stretch=0.1),
        data="scannet:train",
        classes="scannet20",
        validate="scannet:val",
        validate_by=_SEMANTIC,
    )  # fmt: skip


def mtml_scannet() -> Recipe:
    """The paper's MTML on ScanNet: 100 epochs, batch 2; add --root DIR, later --semantics DIR and --init. Needs a GPU."""
    return Recipe(
        name="mtml-scannet",
        model=MTMLConfig(),
        optim=Optim(
            steps=_SCANNET_EPOCHS * _SCANNET_SCANS // 2, lr=5e-4, schedule="constant", samples_per_step=2
        ),
        augment=replace(PLAIN, rotation=True),  # flips happen on voxels
        data="scannet:train",
        classes="scannet20",
        validate="scannet:val",
        scans_per_step=2,
    )


_SCANNET_EPOCHS, _SCANNET_SCANS = 100, 1201

# Areas 1-4 and 6 give about 16,700 blocks at a stride of half a metre; an epoch is that many, 24 a step.
_S3DIS_STEPS = 700


def table_row(key: str, *, steps: int, seed: int) -> Recipe:
    """A row of ASIS's tables on synthetic rooms: "asis-pn2", "if-pn", …. All rows of a table differ in the method alone.

    "backbone-pn" learns classes alone. "asis-pn2-long" and its like go on from the weights of "start-pn2-long", a vanilla
    network, at half its rate; "asis-pn2-long-dropout" and its start have dropout as in the authors' code.

    Blocks are those of `asis-rooms`, with which minutes of training go farther than with the paper's; of 2,048 points instead of
    4,096, because a budget of minutes needs many steps. They are merged by votes: superpoints, which no paper of these has, take
    no part.
    """
    kind, _, rest = key.partition("-")
    backbone, _, variant = rest.partition("-")
    long = variant in ("long", "long-dropout")
    alone = ("start",) if long else ("backbone", "sgpn")
    if (
        kind not in (*alone, "vanilla", "if", "sa", "asis")
        or backbone not in ("pn", "pn2")
        or not (long or not variant)
    ):
        raise UserError(f"no row {key!r}")
    rooms = asis_rooms().model
    assert isinstance(rooms, ASISConfig)
    base = replace(
        rooms,
        backbone=rooms.backbone if backbone == "pn2" else PointNetConfig(),
        blocks=replace(rooms.blocks, points=2048),
        merging=VotesConfig(min_iou=0.3),
        turns=1,
        seed=seed,
    )
    shared = {field.name: getattr(base, field.name) for field in fields(BlockConfig)}
    if kind in ("sgpn", "backbone"):
        # All pairs of 512 points with all others: the full square takes most of a step on a CPU.
        model = SGPNConfig(**shared, loss_rows=512, semantics_only=kind == "backbone")
    else:
        model = ASISConfig(
            **shared,
            semantic_awareness=kind in ("sa", "asis"),
            instance_fusion=kind in ("if", "asis"),
            dropout=0.5 if variant == "long-dropout" else 0.0,
        )
    return Recipe(
        name=key,
        model=model,
        optim=Optim(steps=steps, lr=1e-3 if long and kind != "start" else 2e-3, schedule="cosine", samples_per_step=4,
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


def mtml_row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """A row of MTML's tables: the recipe of that name, or without directions "NAME-fe", the ablation "FE only".

    "mtml-rooms-fe" and its counterpart "mtml-rooms-both" learn all but the semantic stage from nothing, on predicted
    semantics that nothing disturbs, at the rate of mtml-rooms-true. Both draw the same proposals from one embedding, and all
    scores that a row has weigh the same; unions of pieces, superpoints and turns, which the paper does not have, take no part.
    """
    name, _, part = key.rpartition("-")
    name = name if part in ("fe", "both") else key
    base = recipe(name)
    on_rooms = name == "mtml-rooms"
    staged = base.model if isinstance(base.model, StagedConfig) else None
    parter = base.model if staged is None else staged.parter
    if not isinstance(parter, MTMLConfig) or on_rooms != (part == "both" or (on_rooms and part == "fe")):
        raise UserError(f"no row {key!r}")
    optim = mtml_rooms_true().optim if on_rooms else base.optim
    scored = parter.proposals
    if staged is not None:
        scored = replace(scored, feature_weight=1.0, size_weight=1.0, semantic_weight=1.0, merge=None)
    parter = replace(
        parter, direction=part != "fe", semantic_noise=SemanticNoiseConfig(), turns=1, proposals=scored
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


RECIPES: dict[str, Callable[[], Recipe]] = {
    "asis-rooms": asis_rooms,
    "asis-folder": asis_folder,
    "asis-s3dis": asis_s3dis,
    "asis-s3dis-pointnet": asis_s3dis_pointnet,
    "sgpn-s3dis-semantics": sgpn_s3dis_semantics,
    "sgpn-s3dis": sgpn_s3dis,
    "mtml-toyboxes": mtml_toyboxes,
    "mtml-toyboxes-hard": mtml_toyboxes_hard,
    "semantics-rooms": semantics_rooms,
    "mtml-rooms-true": mtml_rooms_true,
    "mtml-rooms": mtml_rooms,
    "semantics-scannet": semantics_scannet,
    "mtml-scannet": mtml_scannet,
}


def _leg(name: str, *options: str, init: tuple[str, ...] = (), out: str = "") -> str:
    """The command of one training; `init` are names of earlier runs, or of shipped models with a colon before them."""
    weights = [run[1:] if run.startswith(":") else f"runs/{run}/last.safetensors" for run in init]
    words = [*options, *(["--init", *weights] if init else [])]
    return " ".join(["gestalt3d train", name, *words, f"--out runs/{out or name}"])


_ROOT = "--root DIR"
_CHAINS: dict[str, tuple[str, ...]] = {
    "asis-rooms": (
        _leg("asis-rooms", out="asis-rooms-1"),
        _leg(
            "asis-rooms", "--optim.lr 1.3e-3 --optim.steps 5000 --seed 6", init=("asis-rooms-1",), out="asis-rooms-2"
        ),
        "gestalt3d average runs/asis-rooms-1/last.safetensors runs/asis-rooms-2/last.safetensors --shares 0.3 0.7 "
        "-o runs/asis-rooms.safetensors",
    ),
    "asis-folder": (_leg("asis-folder", _ROOT, init=(":asis-rooms",)),),
    "sgpn-s3dis": (
        _leg("sgpn-s3dis-semantics", _ROOT),
        _leg("sgpn-s3dis", _ROOT, init=("sgpn-s3dis-semantics",)),
    ),
    "mtml-rooms": (
        _leg("semantics-rooms"),
        _leg("mtml-rooms-true"),
        _leg("mtml-rooms", init=("mtml-rooms-true", "semantics-rooms")),
    ),
    "mtml-scannet": (
        _leg("semantics-scannet", _ROOT),
        "gestalt3d evaluate -m runs/semantics-scannet/last.safetensors -d scannet:train --root DIR --submission runs/classes",
        _leg("mtml-scannet", _ROOT, out="mtml-scannet-true"),
        _leg("mtml-scannet", _ROOT, "--semantics runs/classes/semantic", init=("mtml-scannet-true",)),
    ),
}  # fmt: skip


def makers() -> dict[str, Callable[[], Recipe]]:
    """Every recipe by name, ours first, then those of methods from elsewhere."""
    known = dict(RECIPES)
    for _, module in plugins.working():
        known |= {name: make for name, make in getattr(module, "RECIPES", {}).items() if name not in known}
    return known


def chain(name: str) -> tuple[str, ...]:
    """The commands that make the weights of a recipe from nothing, one after the other; DIR is the folder of the data."""
    synthetic = recipe(name).data.partition(":")[0] in ("rooms", "toyboxes", "toyboxes-hard")
    return _CHAINS.get(name, (_leg(name) if synthetic else _leg(name, _ROOT),))


def recipe(name: str) -> Recipe:
    """The recipe of that name; `UserError` listing the known ones."""
    if name in RECIPES:
        return RECIPES[name]()
    known = makers()
    if name not in known:
        raise UserError("; ".join([f"no recipe {name!r}; there are {', '.join(known)}", *plugins.broken()]))
    return known[name]()
