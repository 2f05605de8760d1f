"""The tables of the GSPN paper: instances of rooms (1), proposals seed by seed (4, as far as it does, and 5), features (6)."""

from typing import TYPE_CHECKING

from gestalt3d.reproduce import mtml, whole
from gestalt3d.reproduce.claim import Claim
from gestalt3d.reproduce.measure import measure
from gestalt3d.reproduce.table import Budget, Figures, Progress, Row, Setting, Table

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.recipe import Recipe


def _recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import gspn_rows

    return gspn_rows.row(key, steps=steps, seed=seed)


def _measured(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    from gestalt3d.reproduce.proposals import measure

    return measure(model, scans, say)


def _heads_recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import gspn_rows

    return gspn_rows.heads_row(key, steps=steps, seed=seed)


def _alone_recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import gspn_rows

    return gspn_rows.alone_row(key, steps=steps, seed=seed)


def _instances(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    return measure(model, scans, say, columns=("AP50",))


def _parts_recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import gspn_rows

    return gspn_rows.parts_row(key, steps=steps, seed=seed)


def _by_category(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    """The means of AP50 over the classes of each category, too, of those that have a true part."""
    found = measure(model, scans, say, columns=("AP50",))
    for category, shown in CATEGORIES.items():
        own = [
            v for name, v in found.values.items() if name.startswith(f"AP50 {category}/") and v is not None
        ]
        found.values[f"AP50 {shown}"] = sum(own) / len(own) if own else None
    return found


CATEGORIES = {"chair": "Chair", "table": "Table", "lamp": "Lamp", "storage_furniture": "Storage"}
PARTS = Setting(
    data="parts:test",
    full=Budget(train=20_000, test=200, seeds=(0, 1, 2)),
    quick=Budget(train=8, test=4, seeds=(0,), steps=2),
    recipe=_parts_recipe,
    measure=_by_category,
    about="synthetic objects in parts, chairs, tables, lamps and storage furniture by turns, PartNet's finest classes: {train}"
    " train, {test} test (parts:test); one network for all four; SGPN: 1,600 steps of 8 objects; R-PointNet: 2,400 steps of GSPN"
    " and 1,600 of the heads, 2 objects each; seeds {seeds}; AP50 by ScanNet's rule, parts from 1 point on; paper: PartNet, a"
    " network a category",
)
HEADS = Setting(
    data="rooms:test",
    full=Budget(train=2000, test=40, seeds=(0, 1, 2), steps=400),
    quick=Budget(train=2, test=1, seeds=(0,), steps=2),
    recipe=_heads_recipe,
    measure=_instances,
    about="synthetic rooms: {train} train (rooms-whole:train), {test} test (rooms:test); {steps} steps of the heads a row, behind"
    " the GSPN of the shipped rpointnet-rooms, seeds {seeds}; f_sem: of the semantic stage and MTML that this GSPN stands behind,"
    " or of a PointNet++ that learns with the heads, trained before for five times the steps or not; AP by ScanNet's rule; paper:"
    " ScanNet v2, validation scenes",
)
ALONE = Setting(
    data="rooms:test",
    full=Budget(train=2000, test=40, seeds=(0, 1, 2), steps=400),
    quick=Budget(train=2, test=1, seeds=(0,), steps=2),
    recipe=_alone_recipe,
    measure=_instances,
    about="synthetic rooms: {train} train, {test} test (rooms:test); {steps} steps of the proposals, as many of the heads and of"
    " a PointNet++ for f_sem, from nothing, seeds {seeds}; AP by ScanNet's rule; paper: ScanNet v2, validation scenes",
)
WHOLE = Setting(
    data="rooms-whole:test",
    full=Budget(train=2000, test=40, seeds=(0, 1, 2)),
    quick=Budget(train=2, test=1, seeds=(0,), steps=2),
    recipe=_heads_recipe,
    measure=whole.measure,
    about="synthetic rooms: {test} test (rooms-whole:test); of the objects that were found, by the share of their surface that no"
    " scanned point shows: the shape and the amodal box that were generated (answer), the visible points of the found mask and"
    " the box around them, and this box down to the ground; Chamfer: mean distance to the nearest point, mean of both ways",
)
PROPOSALS = Setting(
    data="rooms-whole:test",
    full=Budget(train=2000, test=40, seeds=(0, 1, 2), steps=400),
    quick=Budget(train=2, test=1, seeds=(0,), steps=2),
    recipe=_recipe,
    measure=_measured,
    about="synthetic rooms: {train} train, {test} test (rooms-whole:test); {steps} steps of gspn-rooms, seeds {seeds}; of random"
    " seeds on objects, as many in every row: mIoU of the proposal's box with the object's, CD: Chamfer distance of its sure"
    " points and the object, mean squared distances both ways, added; the object is what was scanned, of 'whole objects' all"
    " of it; paper: ScanNet validation scenes, its CD in units that it does not give: 0.0450 for GSPN, 0.0532 for E-D, 0.0524 for"
    " 1-Context, 0.0571 without centre prediction",
)


def _categories(*values: float) -> dict[str, float]:
    return {f"AP50 {shown}": value for shown, value in zip(CATEGORIES.values(), values, strict=True)}


TABLES: dict[str, Table] = {
    "gspn-table1": Table(
        "GSPN Table 1: AP50 of instances by class",
        mtml.ROOMS,
        (*mtml.paper_column(1), *mtml.AVERAGES),
        (
            Row("SGPN", "sgpn-rooms", mtml.paper_column(2) | {"AP50": 14.3}),
            Row("ASIS", "asis-rooms-short", {}),
            Row(
                "R-PointNet as shipped",
                "rpointnet-rooms",
                mtml.paper_column(1) | {"AP50": 30.6},
                weights="rpointnet-rooms",
            ),
            Row("MTML as shipped", "mtml-rooms-superpoints", {}, weights="mtml-rooms"),
        ),
        (
            Claim("rpointnet-rooms", "sgpn-rooms", "AP50"),
            Claim("rpointnet-rooms", "asis-rooms-short", "AP50"),
            Claim("mtml-rooms-superpoints", "rpointnet-rooms", "AP50"),
        ),
    ),
    "gspn-table2": Table(
        "GSPN Table 2: AP50 of parts by category",
        PARTS,
        (*(f"AP50 {shown}" for shown in CATEGORIES.values()), "AP50", "AP25"),
        (
            Row("SGPN", "sgpn-parts", _categories(19.4, 14.6, 14.4, 21.5)),
            Row(
                "R-PointNet", "rpointnet-parts-alone", _categories(26.8, 21.9, 18.3, 26.7), start="gspn-parts"
            ),
            Row("R-PointNet behind MTML, as shipped", "rpointnet-parts", {}, weights="rpointnet-parts"),
        ),
        (
            Claim("rpointnet-parts-alone", "sgpn-parts", "AP50"),
            Claim("rpointnet-parts", "sgpn-parts", "AP50"),
        ),
    ),
    "gspn-table4-proposals": Table(
        "GSPN Table 4: proposals, seed by seed",
        PROPOSALS,
        ("mIoU", "IoU > 0.5"),
        (
            Row("bounding box regression", "gspn-boxes", {"mIoU": 51.4}),
            Row("binary segmentation", "gspn-segments", {"mIoU": 54.3}),
            Row("GSPN", "gspn", {"mIoU": 58.1}),
            Row("behind MTML, whole objects, shipped", "gspn-rooms-voting", {}, weights="rpointnet-rooms"),
        ),
        tuple(Claim("gspn", other, "mIoU") for other in ("gspn-boxes", "gspn-segments")),
    ),
    "gspn-table4": Table(
        "GSPN Table 4: instances from three kinds of proposals",
        ALONE,
        ("AP", "AP50", "AP25"),
        (
            Row(
                "bounding box regression",
                "rpointnet-boxes",
                {"AP": 15.8, "AP50": 33.1, "AP25": 51.3},
                start="gspn-boxes",
            ),
            Row(
                "binary segmentation",
                "rpointnet-segments",
                {"AP": 14.9, "AP50": 30.9, "AP25": 47.7},
                start="gspn-segments",
            ),
            Row("GSPN", "rpointnet-alone", {"AP": 19.3, "AP50": 37.8, "AP25": 53.4}, start="gspn"),
        ),
        tuple(Claim("rpointnet-alone", other, "AP50") for other in ("rpointnet-boxes", "rpointnet-segments")),
    ),
    "gspn-table5": Table(
        "GSPN Table 5: designs of the generator",
        PROPOSALS,
        ("CD cm²", "mIoU"),
        (
            Row("GSPN", "gspn", {"mIoU": 58.1}),
            Row("E-D", "gspn-ed", {"mIoU": 40.8}),
            Row("1-Context", "gspn-one-context", {"mIoU": 48.6}),
            Row("No Center Pred", "gspn-no-center", {"mIoU": 40.9}),
        ),
        tuple(Claim("gspn", other, "mIoU") for other in ("gspn-ed", "gspn-one-context", "gspn-no-center")),
    ),
    "gspn-table6": Table(
        "GSPN Table 6: features of the heads",
        HEADS,
        ("AP", "AP50", "AP25"),
        (
            Row(
                "without f_c",
                "rpointnet-no-context",
                {"AP": 17.8, "AP50": 34.9, "AP25": 51.5},
                init=("rpointnet-rooms.gspn",),
            ),
            Row(
                "without f_sem",
                "rpointnet-no-semantics",
                {"AP": 16.1, "AP50": 31.9, "AP25": 47.7},
                init=("rpointnet-rooms.gspn",),
            ),
            Row(
                "without pre-training",
                "rpointnet-no-pretraining",
                {"AP": 18.0, "AP50": 36.4, "AP25": 51.7},
                init=("rpointnet-rooms.gspn",),
            ),
            Row(
                "with pre-training, of a PointNet++",
                "rpointnet-pn2",
                {"AP": 19.1, "AP50": 37.6, "AP25": 54.1},
                init=("rpointnet-rooms.gspn",),
                start="semantics-of-pn2",
            ),
            Row(
                "R-PointNet",
                "rpointnet",
                {"AP": 19.1, "AP50": 37.6, "AP25": 54.1},
                init=("rpointnet-rooms.gspn",),
            ),
        ),
        tuple(
            Claim("rpointnet", other, metric)
            for other in ("rpointnet-no-context", "rpointnet-no-semantics")
            for metric in ("AP", "AP50", "AP25")
        )
        + tuple(
            Claim("rpointnet-pn2", "rpointnet-no-pretraining", metric) for metric in ("AP", "AP50", "AP25")
        ),
    ),
    "gspn-whole": Table(
        "Whole objects that R-PointNet generates (not in the paper)",
        WHOLE,
        whole.columns(),
        (Row("R-PointNet as shipped", "rpointnet-rooms-whole", {}, weights="rpointnet-rooms"),),
    ),
}
