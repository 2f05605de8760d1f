"""The trained rows of A3D's tables: small recipes on the same pictures, for as many steps."""

from dataclasses import replace

from gestalt3d.configs import Config
from gestalt3d.data.augment_views import AS_IT_IS
from gestalt3d.engine.model import Model
from gestalt3d.engine.recipe import Optim, Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.a3d import A3D, A3DConfig, EdgeRefine
from gestalt3d.methods.mask_rcnn import MaskRCNNConfig
from gestalt3d.methods.pcnet import PCNetConfig
from gestalt3d.recipes import recipe

_SMALL = recipe("a3d-objects").model
assert isinstance(_SMALL, A3DConfig)
_A3D = replace(_SMALL, around="amodal", margin=1.1, shift=False, class_forcing=1.0)
_RCNN = MaskRCNNConfig(
    levels="mobilenetv2", start="imagenet", width=64, shorter=128, longer=128, anchors=(16, 32, 64, 96, 128), proposals=50,
    rois=16, box_hidden=256, mask_width=64, mask_layers=4, centres=64, priors=8, most=5,
)  # fmt: skip
ROWS: dict[str, Config] = {
    "a3d-table": _A3D,
    "a3d-table-no-cross-view": replace(_A3D, cross_view=False),
    "a3d-table-one-azimuth": replace(_A3D, azimuths=1),
    "mask-rcnn-objects": _RCNN,
    "orcnn-objects": replace(_RCNN, head="orcnn"),
    "bcnet-objects": replace(_RCNN, head="bcnet"),
    "shapedict-objects": replace(_RCNN, head="shapedict"),
}
"""Settings by key. A step is sixteen objects: two pictures of each with `cross_view`, else one."""
_AT_PHOTO_SIZE = replace(
    _RCNN, shorter=240, longer=320, anchors=(16, 32, 64, 128, 192), proposals=200, rois=64
)
_OF_PHOTOS: dict[str, Config] = {
    "a3d": replace(_A3D, cross_view=False),
    "pcnet": PCNetConfig(side=64, widths=(16, 32, 64, 64)),
    "mask-rcnn": _AT_PHOTO_SIZE,
    "orcnn": replace(_AT_PHOTO_SIZE, head="orcnn"),
    "bcnet": replace(_AT_PHOTO_SIZE, head="bcnet"),
    "shapedict": replace(_AT_PHOTO_SIZE, head="shapedict"),
}
PICTURES = 35_100
"""Single objects to learn from, `objects:train`."""
SHARES = {"few": 4, "all": 1}
"""Which part of the single objects a training on photos starts from learnt from, where it does not start from nothing."""


def row(key: str, *, steps: int | None, seed: int) -> Recipe:
    """The training of a row of `ROWS`; `UserError` for any other. Rows without `cross_view` see as many pictures."""
    if key not in ROWS:
        raise UserError(f"no row {key!r}; there are {', '.join(ROWS)}")
    return _of_objects(key, ROWS[key], steps, seed)


def row_of_photos(key: str, *, steps: int | None, seed: int) -> Recipe:
    """A training on photos, "METHOD-photos-START" with a start of `SHARES` or "none", or what it starts from, "METHOD-START":
    as many steps on pictures of single objects, two of each where the method makes use of it.
    """
    name, _, start = key.rpartition("-")
    method = name.removesuffix("-photos")
    if method not in _OF_PHOTOS or start not in (*SHARES, "none"):
        raise UserError(f"no row {key!r}; there are those of {', '.join(_OF_PHOTOS)}")
    model = _OF_PHOTOS[method]
    if name == method:
        if isinstance(model, A3DConfig):
            model = replace(model, cross_view=True)
        elif isinstance(model, MaskRCNNConfig):
            # The size at which an object fills its picture as it fills its box in a photo.
            model = replace(model, shorter=128, longer=128)
        return replace(_of_objects(key, model, steps, seed), count=PICTURES // SHARES[start])
    base = recipe("a3d-photos")
    optim = replace(base.optim, steps=steps or base.optim.steps, precision="no")
    return replace(base, name=key, model=model, optim=optim, seed=seed)


def _of_objects(key: str, model: Config, steps: int | None, seed: int) -> Recipe:
    pairs = isinstance(model, A3DConfig) and model.cross_view
    base = recipe("a3d-objects")
    optim: Optim = replace(base.optim, steps=steps or base.optim.steps, precision="no")
    if isinstance(model, MaskRCNNConfig):
        optim = replace(optim, lr=5e-4)
    return replace(
        base,
        name=key,
        model=model,
        optim=optim,
        seed=seed,
        augment=AS_IT_IS,
        scans_per_step=16 if pairs else 32,
    )


def silhouettes_alone(model: Model) -> Model:
    """A trained A3D that answers with the silhouettes of its meshes, their edges not refined."""
    assert isinstance(model.method, A3D) and isinstance(model.method.refinement, EdgeRefine)
    model.method.refinement.convs = None
    return model
