"""The tables of the ASIS paper: 6-fold cross validation on S3DIS, Area 5 where a table gives it as well."""

from dataclasses import replace
from typing import TYPE_CHECKING

from gestalt3d.reproduce.claim import Claim, Faster
from gestalt3d.reproduce.measure import measure
from gestalt3d.reproduce.table import Budget, Figures, Progress, Row, Setting, Table

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.engine.recipe import Recipe


def _instance(mcov: float, mwcov: float, mprec: float, mrec: float) -> dict[str, float]:
    return {"mCov": mcov, "mWCov": mwcov, "mPrec": mprec, "mRec": mrec}


def _semantic(macc: float, miou: float, oacc: float) -> dict[str, float]:
    return {"mAcc": macc, "mIoU": miou, "oAcc": oacc}


CLASSES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase", "board", "clutter",
)  # fmt: skip


def _classes(metric: str, mean: float, *values: float) -> dict[str, float]:
    return {**{f"{metric} {name}": v for name, v in zip(CLASSES, values, strict=True)}, f"m{metric}": mean}


def _recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import asis_rows

    return asis_rows.row(key, steps=steps or ROOMS.full.steps or 0, seed=seed)


def _measured(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    return measure(model, scans, say, columns=("WCov", "IoU"), sampled_blocks=True)


def _block_times(model: "Model") -> dict[str, float]:
    from gestalt3d.reproduce.block_times import block_times

    return block_times(model)


ROOMS = Setting(
    data="rooms:test",
    full=Budget(train=300, test=40, seeds=(0, 1, 2), steps=1600),
    quick=Budget(train=2, test=1, seeds=(0,), steps=2),
    recipe=_recipe,
    measure=_measured,
    about="synthetic rooms: {train} train, {test} test (rooms:test); {steps} steps of 4 blocks of 2,048 points a row, else the"
    " blocks and features of asis-rooms, merged by votes, without superpoints; seeds {seeds}; figures on sampled blocks as in"
    " the paper, 'raw': on the raw points; paper: S3DIS, 6-fold cross validation",
)


def _parts_recipe(key: str, steps: int | None, seed: int) -> "Recipe":
    from gestalt3d.reproduce import asis_rows

    return asis_rows.parts_row(key, steps=steps or PARTS.full.steps or 0, seed=seed)


def _measured_parts(model: "Model", scans: "DataSet", say: Progress) -> Figures:
    return measure(model, scans, say, columns=())


PARTS = Setting(
    data="parts-1:test",
    full=Budget(train=20_000, test=200, seeds=(0, 1, 2), steps=1000),
    quick=Budget(train=8, test=1, seeds=(0,), steps=2),
    recipe=_parts_recipe,
    measure=_measured_parts,
    about="synthetic objects in parts, chairs, tables, lamps and storage furniture by turns, with the coarsest part classes of"
    " PartNet: {train} train, {test} test (parts-1:test); {steps} steps of 8 objects of 2,048 points a row, seeds {seeds}; mIoU:"
    " mean over the classes; paper: ShapeNet part, mean over the shapes of each shape's mean over its parts",
)
LONG = replace(
    ROOMS,
    full=replace(ROOMS.full, steps=4000),
    about="synthetic rooms: {train} train, {test} test (rooms:test); {steps} steps of 4 blocks of 2,048 points a row, all from"
    " one network without associations that has learnt as many steps; else as in asis-table1; seeds {seeds}; paper: S3DIS,"
    " 6-fold cross validation, PointNet",
)


def _long_table(suffix: str, dropout: str) -> Table:
    """Table 3 at five times the steps of the other tables, every row from the same start."""

    def row(label: str, kind: str, **paper: float) -> Row:
        return Row(label, f"{kind}-pn2-long{suffix}", paper, start=f"start-pn2-long{suffix}")

    return Table(
        f"ASIS: what the associations add at five times the steps, from one start, PointNet++, {dropout}",
        LONG,
        _with_raw("mCov", "mWCov", "mPrec", "mRec", "mIoU"),
        (
            row("baseline", "vanilla", mIoU=49.5, mWCov=46.3),
            row("+IF", "if", mIoU=50.0, mWCov=47.0),
            row("+SA", "sa", mIoU=49.8, mWCov=47.4),
            row("+IF +SA", "asis", mIoU=51.1, mWCov=48.2),
        ),
        tuple(
            Claim(f"{better}-pn2-long{suffix}", f"{worse}-pn2-long{suffix}", metric)
            for better, worse in _ASSOCIATIONS
            for metric in ("mCov", "mWCov", "mIoU")
        ),
    )


# Each association helps, and both more than one.
_ASSOCIATIONS = (("if", "vanilla"), ("sa", "vanilla"), ("asis", "vanilla"), ("asis", "if"), ("asis", "sa"))


def _with_raw(*metrics: str) -> tuple[str, ...]:
    return (*metrics, *(f"{m} raw" for m in metrics))


TABLES: dict[str, Table] = {
    "asis-table1": Table(
        "ASIS Table 1: instance segmentation",
        ROOMS,
        _with_raw("mCov", "mWCov", "mPrec", "mRec"),
        (
            Row("PN SGPN", "sgpn-pn", _instance(37.9, 40.8, 38.2, 31.2), _instance(32.7, 35.5, 36.0, 28.7)),
            Row(
                "PN ASIS (vanilla)",
                "vanilla-pn",
                _instance(43.0, 46.3, 50.6, 39.2),
                _instance(38.0, 40.6, 42.3, 34.9),
            ),
            Row("PN ASIS", "asis-pn", _instance(44.7, 48.2, 53.2, 40.7), _instance(40.4, 43.3, 44.5, 37.4)),
            Row("PN++ SGPN", "sgpn-pn2", {}),
            Row(
                "PN++ ASIS (vanilla)",
                "vanilla-pn2",
                _instance(49.6, 53.4, 62.7, 45.8),
                _instance(42.6, 45.7, 53.4, 40.6),
            ),
            Row(
                "PN++ ASIS", "asis-pn2", _instance(51.2, 55.1, 63.6, 47.5), _instance(44.6, 47.8, 55.3, 42.4)
            ),
            Row("planes + DBSCAN", "geometric", {}, untrained="geometric"),
        ),
        tuple(
            Claim(better, worse, metric)
            for backbone in ("pn", "pn2")
            for better, worse in (
                (f"asis-{backbone}", f"vanilla-{backbone}"),
                (f"vanilla-{backbone}", f"sgpn-{backbone}"),
            )
            for metric in ("mCov", "mPrec")
        )
        + tuple(
            Claim(f"{kind}-pn2", f"{kind}-pn", metric)
            for kind in ("vanilla", "asis")
            for metric in ("mCov", "mPrec")
        ),
    ),
    "asis-table2": Table(
        "ASIS Table 2: semantic segmentation",
        ROOMS,
        _with_raw("mAcc", "mIoU", "oAcc"),
        (
            Row("PN alone", "backbone-pn", _semantic(60.3, 48.9, 80.3), _semantic(52.1, 43.4, 83.5)),
            Row("PN SGPN", "sgpn-pn", {}),
            Row("PN ASIS (vanilla)", "vanilla-pn", _semantic(60.7, 49.5, 80.4), _semantic(52.9, 44.7, 83.7)),
            Row("PN ASIS", "asis-pn", _semantic(62.3, 51.1, 81.7), _semantic(55.7, 46.4, 84.5)),
            Row("PN++ alone", "backbone-pn2", {}),
            Row("PN++ SGPN", "sgpn-pn2", {}),
            Row(
                "PN++ ASIS (vanilla)", "vanilla-pn2", _semantic(69.0, 58.2, 85.9), _semantic(58.3, 50.8, 86.7)
            ),
            Row("PN++ ASIS", "asis-pn2", _semantic(70.1, 59.3, 86.2), _semantic(60.9, 53.4, 86.9)),
            Row("planes + DBSCAN", "geometric", {}, untrained="geometric"),
        ),
        (
            Claim("vanilla-pn", "backbone-pn", "mIoU"),
            Claim("asis-pn", "vanilla-pn", "mIoU"),
            Claim("asis-pn2", "vanilla-pn2", "mIoU"),
            Claim("vanilla-pn2", "vanilla-pn", "mIoU"),
            Claim("asis-pn2", "asis-pn", "mIoU"),
        ),
    ),
    "asis-table3": Table(
        "ASIS Table 3: ablation on PointNet",
        ROOMS,
        _with_raw("mIoU", "mWCov"),
        (
            Row("baseline", "vanilla-pn", {"mIoU": 49.5, "mWCov": 46.3}),
            Row("+IF", "if-pn", {"mIoU": 50.0, "mWCov": 47.0}),
            Row("+SA", "sa-pn", {"mIoU": 49.8, "mWCov": 47.4}),
            Row("+IF +SA", "asis-pn", {"mIoU": 51.1, "mWCov": 48.2}),
        ),
        tuple(
            Claim(f"{better}-pn", f"{worse}-pn", metric)
            for better, worse in _ASSOCIATIONS
            for metric in ("mIoU", "mWCov")
        ),
    ),
    "asis-table4": Table(
        "ASIS Table 4: per class, PointNet",
        ROOMS,
        (
            *(f"{metric} {name}" for metric in ("WCov", "IoU") for name in CLASSES),
            *_with_raw("mWCov", "mIoU"),
        ),
        (
            Row(
                "ASIS (vanilla)",
                "vanilla-pn",
                _classes(
                    "WCov", 46.3, 79.2, 77.0, 63.7, 47.6, 6.6, 55.6, 47.5, 50.5, 57.3, 9.9, 31.3, 33.7, 41.5
                )
                | _classes(
                    "IoU", 49.5, 90.1, 87.8, 69.2, 42.3, 26.0, 50.4, 54.9, 57.5, 45.8, 8.9, 38.0, 33.4, 39.2
                ),
            ),
            Row(
                "ASIS",
                "asis-pn",
                _classes(
                    "WCov", 48.2, 80.1, 76.4, 66.1, 53.4, 9.2, 58.8, 49.8, 50.6, 59.4, 9.9, 32.3, 38.7, 42.0
                )
                | _classes(
                    "IoU", 51.1, 91.3, 89.7, 69.8, 45.8, 27.0, 51.9, 55.1, 61.0, 49.3, 9.1, 40.2, 33.5, 40.7
                ),
            ),
        ),
    ),
    "asis-table5": Table(
        "ASIS Table 5: time per block of 4,096 points",
        ROOMS,
        ("network ms", "grouping ms", "overall ms", "scikit-learn grouping ms", "mWCov"),
        tuple(
            Row(
                label,
                key,
                {"network ms": net, "grouping ms": group, "overall ms": net + group, "mWCov": mwcov},
            )
            for label, key, net, group, mwcov in (
                ("SGPN", "sgpn-pn", 18.0, 708.0, 35.5),
                ("ASIS (vanilla)", "vanilla-pn", 11.0, 201.0, 41.4),
                ("ASIS", "asis-pn", 20.0, 185.0, 43.6),
                ("ASIS (vanilla.PN++)", "vanilla-pn2", 35.0, 115.0, 45.7),
                ("ASIS (PN++)", "asis-pn2", 54.0, 125.0, 47.8),
            )
        ),
        claims=(
            Faster("asis-pn", "sgpn-pn", "overall ms", 3.5),
            Faster("asis-pn", "vanilla-pn", "grouping ms", 1.0),
        ),
        times=_block_times,
    ),
    "asis-table6": Table(
        "ASIS Table 6: semantic segmentation of objects in parts",
        PARTS,
        ("mIoU", "oAcc"),
        (
            Row("PointNet", "backbone-pn-parts", {"mIoU": 83.4}),
            Row("ASIS (PointNet)", "asis-pn-parts", {"mIoU": 84.0}),
            Row("PointNet++", "backbone-pn2-parts", {"mIoU": 84.3}),
            Row("ASIS (PointNet++)", "asis-pn2-parts", {"mIoU": 85.0}),
        ),
        (
            Claim("asis-pn-parts", "backbone-pn-parts", "mIoU"),
            Claim("asis-pn2-parts", "backbone-pn2-parts", "mIoU"),
            Claim("backbone-pn2-parts", "backbone-pn-parts", "mIoU"),
        ),
    ),
    "asis-table3-long": _long_table("", "no dropout"),
    "asis-table3-long-dropout": _long_table("-dropout", "dropout 0.5"),
}
