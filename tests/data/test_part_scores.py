"""What `evaluate` says of parts is what `score partnet` says of the files that it writes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import Seen, open_data
from gestalt3d.errors import UserError
from gestalt3d.metrics.official import score
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import PARTNET


def spoilt(truth: Instances, seed: int) -> Instances:
    """The true parts, a share of the points of each lost, some with another class, and scores at random."""
    rng = np.random.default_rng(seed)
    masks = [
        truth.elements_of(i)[rng.random(int(truth.sizes[i])) < rng.uniform(0.3, 1)] for i in range(len(truth))
    ]
    offsets = torch.tensor([0, *np.cumsum([len(mask) for mask in masks])])
    classes = torch.where(
        torch.from_numpy(rng.random(len(truth)) < 0.2), truth.classes.roll(1), truth.classes
    )
    scores = torch.from_numpy(rng.random(len(truth)).astype(np.float32))
    sets = Sets(offsets, torch.cat(masks), truth.masks.size)
    return replace(truth, masks=sets, classes=classes, scores=scores, element_classes=None)


def test_figures_are_those_of_the_files_written(tmp_path: Path) -> None:
    data = open_data("parts-chair-2:val", limit=5)
    evaluator, official = data.evaluator(data.vocabulary), data.official(tmp_path / "out", data.vocabulary)
    for i in range(5):
        scan = data[i]
        found = spoilt(scan.truth, i)
        seen = official.add(found, Seen(scan, found))
        evaluator.see(seen.scan, seen.found)
    results = evaluator.results()
    files = score("partnet", tmp_path / "out", tmp_path / "out")
    pooled = results["pooled"]
    assert 20 < pooled["mAP"] < 90
    assert pooled["mAP"] == pytest.approx(100 * files["mAP"])
    assert pooled["shape_mAP"] == pytest.approx(100 * files["shape_mAP"])
    assert [100 * v for v in files["per_shape"]] == pytest.approx(
        [results["scans"][name]["shape_mAP"] for name in data.names]
    )
    for name, row in files["per_class"].items():
        found = pooled["per_class"][name]["partAP"]
        assert found == (None if row["AP"] is None else pytest.approx(100 * row["AP"]))


def test_counts_of_two_evaluations_add_up() -> None:
    data = open_data("parts-lamp-1:val", limit=4)
    together, first, second = (data.evaluator(data.vocabulary) for _ in range(3))
    for i in range(4):
        scan, found = data[i], spoilt(data[i].truth, i)
        together.see(scan, found)
        (first if i < 2 else second).see(scan, found)
    first.add_counts(second.counts())
    assert first.results() == together.results()


def test_without_regard_to_classes_there_is_no_figure_of_parts() -> None:
    data = open_data("parts-lamp-1:val", limit=1)
    evaluator = data.evaluator(data.vocabulary, class_agnostic=True)
    evaluator.see(data[0], data[0].truth)
    pooled = evaluator.results()["pooled"]
    assert pooled["AP50"] == 100 and "mAP" not in pooled


def test_answers_in_other_classes_are_no_submission(tmp_path: Path) -> None:
    data = open_data("parts-lamp-1:val", limit=1)
    with pytest.raises(UserError, match="'partnet-lamp-1', not in those of 'partnet-chair-3'"):
        data.official(tmp_path / "out", PARTNET["chair", 3])
