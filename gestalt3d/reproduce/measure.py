"""The figures of a row's model on the scans of its table."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gestalt3d.configs import Json, Number
from gestalt3d.metrics.report import per_class
from gestalt3d.reproduce.table import Figures, Progress

if TYPE_CHECKING:
    from gestalt3d.data import DataSet
    from gestalt3d.engine.model import Model
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.samples import Scan


def measure(
    model: "Model", scans: "DataSet", say: Progress, *, columns: tuple[str, ...], sampled_blocks: bool = False
) -> Figures:
    """Means over the classes, and the `columns` of each class, as "AP50 chair".

    With `sampled_blocks` points count as often as overlapping blocks draw them, as in the ASIS paper, and figures on the raw
    points stand beside, as "mCov raw".
    """
    from gestalt3d.data import Seen
    from gestalt3d.data.sampled_blocks import in_sampled_blocks

    seen_as: dict[str, Callable[[Scan, Instances], Seen]] = (
        {"": in_sampled_blocks, " raw": Seen} if sampled_blocks else {"": Seen}
    )
    evaluators = {suffix: scans.evaluator(model.vocabulary) for suffix in seen_as}
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        found = model.segment(scan.input)
        for suffix, evaluator in evaluators.items():
            evaluator.see(*seen_as[suffix](scan, found))
    flat: dict[str, float | None] = {}
    num_true: dict[str, int] = {}
    for suffix, evaluator in evaluators.items():
        pooled = evaluator.results()["pooled"]
        flat |= {f"{k}{suffix}": number(v) for k, v in pooled.items() if not isinstance(v, dict)}
        for c, own in per_class(pooled).items():
            flat |= {f"{m} {c}{suffix}": number(own.get(m)) for m in columns}
            num_true[c] = int(number(own["n_gt"]) or 0)
    return Figures(flat, evaluators[""].left_out(), list(scans.names), num_true)


def number(figure: Json) -> Number | None:
    """A figure as a number, None where it is undefined."""
    assert figure is None or isinstance(figure, int | float)
    return figure
