"""What several verbs say about a result, and write with `--json`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gestalt3d.terminal import say, table

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from gestalt3d.engine.results import Answer
    from gestalt3d.metrics.report import Figures
    from gestalt3d.stages import Stage
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.pointcloud import PointCloud
    from gestalt3d.structures.view import View


def say_classes(answer: "Answer", truth: "Instances | None" = None) -> None:
    """Instances and points or pixels per class, and how many instances there are where that is known."""
    found, elements = answer.found, elements_of(answer.given)
    rows = []
    names = [*enumerate(found.vocabulary.names), (-1, "unknown")]
    for c, name in names:
        mine = found.classes == c
        real = int((truth.classes == c).sum()) if truth is not None else 0
        count = int(mine.sum())
        # Some models label walls and floors without parting them.
        if not count and (not real or name in found.vocabulary.structure):
            continue
        row: dict[str, Any] = {"class": name, "instances": count}
        if truth is not None:
            row["there are"] = real
        mean = float(found.scores[mine].mean()) if count else None
        rows.append(row | {elements: int(found.sizes[mine].sum()), "mean score": mean})
    rows.append({"class": "none", elements: int((answer.labels < 0).sum())})
    table("instances per class", rows, digits=2)


def elements_of(given: "PointCloud | View") -> str:
    """What masks are of."""
    from gestalt3d.structures.view import View

    return "pixels" if isinstance(given, View) else "points"


def say_meanings(
    shown: "Container[str]", *, whole_objects: bool = False, masks_in_photos: bool = False
) -> None:
    from gestalt3d.metrics.report import meanings

    for line in meanings(shown, whole_objects=whole_objects, masks_in_photos=masks_in_photos):
        say(line)


def say_whole_objects(figures: "Figures") -> None:
    """Tables of the figures of `AmodalEvaluator`, where it has any: of classes with truth, and by what is hidden."""
    from gestalt3d.metrics.amodal import FIGURES
    from gestalt3d.metrics.report import per_class

    shown = [name for name in FIGURES if figures.get(name) is not None]
    if not shown:
        return
    agnostic = figures.get("class_agnostic")
    of_all = {"mean of the classes" if isinstance(agnostic, dict) else "objects": figures}
    of_all |= {"any class": agnostic} if isinstance(agnostic, dict) else {}
    say()
    rows = [*of_all.items(), *((name, own) for name, own in per_class(figures).items() if own["n_gt"])]
    table(
        "whole objects, percent",
        [{"class": name, **{k: own[k] for k in (*shown, "n_gt")}} for name, own in rows],
    )
    whole = figures["whole"]
    if isinstance(whole, dict) and isinstance(ranges := whole["hidden"], dict) and whole["objects"]:
        say()
        own = {key: value for key, value in whole.items() if key != "hidden"}
        rows = [*((f"{name} %", row) for name, row in ranges.items()), ("all", own)]
        table("by what is hidden of an object", [{"hidden": name, **dict(row)} for name, row in rows])
        shown += own
    say()
    say_meanings(shown, whole_objects=True)


def say_hidden_masks(figures: "Mapping[str, Any]", digits: int = 1) -> None:
    """Tables of what `coco_amodal.scores` says of occluded objects, where the truth knows what is visible."""
    if figures["by_occlusion"] is None:
        return
    say()
    ranges = [{"hidden": name, **own} for name, own in figures["by_occlusion"].items()]
    table("whole masks by the share of the object that is hidden", ranges, digits=digits)
    iou, order = figures["iou"], figures["order"]
    say()
    means = [
        {"mean over": name, **own} for name, own in iou.items() if isinstance(own, dict) and "whole" in own
    ]
    table("IoU of true objects with what was found of them", means, digits=digits)
    say()
    if order["accuracy"] is not None:
        say(f"which of two is in front: {order['accuracy']:.{digits}f} of {order['pairs']:,} pairs right")
    how = (
        "compared one by one: the true visible masks were given"
        if iou.get("given")
        else "found by a mask of their class, IoU .5 and score .05 or more"
    )
    say(f"{iou['n_found']:,} of {iou['n']:,} objects {how}; {iou['n_occluded']:,} hide something")
    say_meanings({*means[0], "n_gt"}, masks_in_photos=True)


def say_seconds(work: "Stage", with_start_up: float | None = None) -> None:
    """What took how long: stages in brackets are parts of the one before them, the others add up to the last figure."""
    more = "" if with_start_up is None else f", with start-up {with_start_up:.1f}"
    say(f"seconds  {work} = {work.seconds:.1f}{more}")


def timings(work: "Stage") -> dict[str, dict[str, float]]:
    """The seconds of `say_seconds` for `--json`."""
    return {"seconds": work.shares, "seconds_within": work.within}


def say_files(files: tuple[Path, ...]) -> None:
    # As a shell writes several names, so that the line can be copied.
    start = str(files[0]).removesuffix("instances.npz")
    say(f"wrote    {start}{{{','.join(str(file).removeprefix(start) for file in files)}}}")


def say_titles(titles: dict[str, str]) -> None:
    width = max(map(len, titles))
    for name, title in titles.items():
        say(f"  {name:<{width}}  {title}")


def say_broken() -> None:
    """Methods of other packages that cannot be used."""
    from gestalt3d import plugins

    for line in plugins.broken():
        say(f"NOTE {line}")


def object_rows(found: "Instances", elements: str = "points") -> list[dict[str, Any]]:
    """The instances for `--json`; `elements` names what their sizes count."""
    rows = zip(found.scores.tolist(), found.sizes.tolist(), strict=True)
    return [{"class": found.class_name(i), "score": s, elements: n} for i, (s, n) in enumerate(rows)]


def write_json(path: Path, result: "Mapping[str, object]") -> None:
    from gestalt3d.io import json_files  # and with it NumPy, which help does not need

    json_files.write_json(path, result)
