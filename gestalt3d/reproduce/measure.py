"""The figures of a row's model on the scans of its table."""

from typing import Any

from gestalt3d.reproduce.table import Figures, Progress


def measure(
    model: Any, scans: Any, say: Progress, *, columns: tuple[str, ...], sampled_blocks: bool = False
) -> Figures:
    """Means over the classes, and the `columns` of each class, as "AP50 chair".

    With `sampled_blocks` points count as often as overlapping blocks draw them, as in the ASIS paper, and figures on the raw
    points stand beside, as "mCov raw".
    """
    from gestalt3d.engine.evaluate import add_scan
    from gestalt3d.metrics.evaluator import CloudEvaluator

    suffixes = ("", " raw") if sampled_blocks else ("",)
    evaluators = {
        suffix: CloudEvaluator(model.vocabulary, min_region=scans.min_region) for suffix in suffixes
    }
    for i in range(len(scans)):
        say(f"evaluate {scans.names[i]}", i, len(scans))
        scan = scans[i]
        found = model.segment(scan.input)
        for suffix, evaluator in evaluators.items():
            add_scan(evaluator, scan, found, sampled_blocks=sampled_blocks and not suffix)
    flat: dict[str, Any] = {}
    for suffix, evaluator in evaluators.items():
        pooled = evaluator.results()["pooled"]
        flat |= {f"{k}{suffix}": v for k, v in pooled.items() if not isinstance(v, dict)}
        flat |= {f"{m} {c}{suffix}": v.get(m) for c, v in pooled["per_class"].items() for m in columns}
    last = evaluators[suffixes[-1]].results()["pooled"]["per_class"]
    return Figures(
        flat, evaluators[""].left_out(), list(scans.names), {c: v["n_gt"] for c, v in last.items()}
    )
