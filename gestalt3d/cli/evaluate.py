"""`gestalt3d evaluate`."""

import os
import sys
from itertools import product
from pathlib import Path
from typing import Annotated, Optional

from gestalt3d.cli.options import DataName, Device, Json, ModelName, expect_writable, option
from gestalt3d.cli.report import say_hidden_masks, say_meanings, say_whole_objects, write_json
from gestalt3d.errors import UserError
from gestalt3d.terminal import Progress, complain, say, table

_FIGURES = ("mCov", "mWCov", "mPrec", "mRec", "AP", "AP50", "AP25", "oAcc", "mAcc", "mIoU")
_OF_PARTS = ("mAP", "shape_mAP", "shape_mIoU")
_OF_BOXES = ("APb", "APb50", "recallb")
_OF_MASKS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")


def evaluate(
    *,
    model: ModelName = "asis-rooms",
    data: DataName = "rooms:val",
    root: Annotated[
        Path | None,
        option(
            "folder of the data set, or file of annotations; synthetic ones need none", "PATH", default=""
        ),
    ] = None,
    limit: Annotated[int | None, option("only the first N scans", "N", default="")] = None,
    class_agnostic: Annotated[
        bool,
        option("compare objects whatever their classes; walls, floors and ceilings do not count", default=""),
    ] = False,
    blocks: Annotated[
        bool,
        option(
            "count points drawn in square blocks of the room, as the ASIS paper does, instead of all points",
            default="",
        ),
    ] = False,
    seeds: Annotated[
        tuple[int, ...],
        option(
            "seeds of the model's random choices; of several the mean is shown",
            "N…",
            default="0",
        ),
    ] = (),
    poses: Annotated[
        int,
        option(
            "measure each scan N times, first as it is, then turned and moved; the mean is shown",
            "N",
            default="1",
        ),
    ] = 1,
    submission: Annotated[
        Path | None,
        option(
            "scannet, s3dis and parts only: also write what was found to this new folder, in the format that `score` reads",
            "DIR",
            default="",
        ),
    ] = None,
    add_to: Annotated[
        Optional[Path],  # noqa: UP045
        option(
            "keep counts in this file, to measure a data set in several runs; the figures are of all scans counted there",
            "FILE",
            default="",
        ),
    ] = None,
    semantics: Annotated[
        Optional[Path],  # noqa: UP045
        option(
            "scannet only: folder with classes that the model is given, <scene>.txt with a NYU40 id for each vertex",
            "DIR",
            default="",
        ),
    ] = None,
    device: Device = "cpu",
    json: Json = None,
) -> None:
    """Measure a model, once for each seed and pose. Scans that fail are told and left out; exit code 2 at the end."""
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit}: must be at least 1")
    if poses < 1:
        raise UserError(f"--poses {poses}: must be at least 1")
    for name, place in (("--submission", submission), ("--add-to", add_to)):
        if place is not None and (len(seeds) > 1 or poses > 1):
            raise UserError(
                f"{name} {place}: holds one answer per scan; give one of the --seeds and no --poses"
            )
    from gestalt3d.data import VIEWS, Seen, open_data

    if data.partition(":")[0] in VIEWS and (poses > 1 or blocks):
        raise UserError(f"-d {data}: a view has one pose and no blocks; drop --poses and --blocks")
    expect_writable(json)
    expect_writable(add_to, "--add-to")
    from gestalt3d.data.posed import Posed
    from gestalt3d.data.sampled_blocks import in_sampled_blocks
    from gestalt3d.engine.evaluate import Evaluation, averaged
    from gestalt3d.engine.evaluate import evaluate as evaluate_model
    from gestalt3d.engine.model import load
    from gestalt3d.metrics.report import per_class

    ready = load(model, device=device)
    scans = open_data(
        data,
        root=root,
        vocabulary=None if class_agnostic else ready.vocabulary,
        limit=limit,
        semantics=semantics,
    )
    results: list[Evaluation] = []
    failed: dict[str, None] = {}

    def on_failure(line: str) -> None:
        if line not in failed:  # of several seeds and poses the first says it
            complain(f"gestalt3d evaluate: {line}")
        failed[line] = None

    with Progress() as on_progress:
        seeded = [ready.with_seed(seed) for seed in seeds] or [ready]
        for one, pose in product(seeded, range(poses)):
            on_progress.begin(data)
            results.append(
                evaluate_model(
                    one,
                    Posed(scans, pose) if poses > 1 else scans,
                    data=data,
                    class_agnostic=class_agnostic,
                    seen_as=in_sampled_blocks if blocks else Seen,
                    submission=submission,
                    add_to=add_to,
                    report=lambda done, total, name: on_progress("", done, total, name),
                    on_failure=on_failure,
                )
            )
    several = len(results) > 1
    result = averaged(results) if several else results[0]
    if several:
        result["seeds"], result["poses"] = list(seeds), poses
    keys = ("AP", "AP50", "AP25", "recall50", "coverage") if class_agnostic else _FIGURES
    keys = (*(key for key in _OF_PARTS if key in result["pooled"]), *keys)
    # Of data with boxes and no masks.
    has_boxes_alone = "APb" in result["pooled"]
    keys = _OF_BOXES if has_boxes_alone else keys
    are_masks = "by_occlusion" in result["pooled"]
    keys = _OF_MASKS if are_masks else keys
    shown = scans.names if add_to is not None else result["scans"]
    figures = {name: result["scans"][name] for name in shown if name in result["scans"]}
    rows = [{"scan": name, **{k: v.get(k) for k in keys}} for name, v in figures.items()]
    together = f"all {len(result['scans'])} in {add_to}" if "parts" in result else "all"
    rows.append({"scan": together, **{k: result["pooled"].get(k) for k in keys}})
    if "pooled_sd" in result:
        rows.append({"scan": "± sd over seeds and poses", **{k: result["pooled_sd"].get(k) for k in keys}})
    table(f"{model} on {data}, percent", rows)
    if has_boxes_alone and all(result["pooled"][key] is None for key in _OF_BOXES):
        say(f"NOTE {model} finds no boxes of whole objects, and these are all that {data} knows")
    if (of_classes := per_class(result["pooled"])) and not class_agnostic and not has_boxes_alone:
        say()
        table("per class", [{"class": name, **values} for name, values in of_classes.items()])
        keys = (*keys, "n_gt", "n_pred")
    say()
    say_meanings(keys, masks_in_photos=are_masks)
    if are_masks:
        say_hidden_masks(result["pooled"])
    whole = result["pooled"] if has_boxes_alone else result["pooled"].get("amodal")
    if isinstance(whole, dict):
        say_whole_objects(whole)
    for note in scans.notes:
        say(f"NOTE {note}")
    for name, using in result.get("models", {}).items():
        say(f"{name}: segmented by {using}")
    if result["skipped"]:
        say(f"without instance labels, not scored: {', '.join(result['skipped'])}")
    if submission is not None and submission.is_dir():
        say(f"wrote    {submission}{os.sep}{{{','.join(sorted(p.name for p in submission.iterdir()))}}}")
    if json is not None:
        write_json(json, result)
    if failed:
        complain(f"gestalt3d evaluate: {len(scans) - len(failed)} scans done, {len(failed)} could not be")
        sys.exit(2)
