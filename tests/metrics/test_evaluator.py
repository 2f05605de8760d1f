"""Scores of a method over scans: percent, per scan and pooled."""

import numpy as np
import pytest

from gestalt3d.metrics.evaluator import CloudEvaluator
from gestalt3d.metrics.official import score
from gestalt3d.structures.vocabulary import S3DIS, SCANNET18, Vocabulary

FLAT = Vocabulary("flat", ("wall", "chair", "table"), structure=frozenset({"wall"}))
SEMANTIC = np.repeat([0, 1, 1, 2], 200)
INSTANCE = np.repeat([0, 1, 2, 3], 200)


def _masks(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(labels, kind="stable")[int((labels < 0).sum()) :]
    return np.append(0, np.cumsum(np.bincount(labels[labels >= 0]))), order


def _add(
    evaluator: CloudEvaluator,
    name: str,
    labels=INSTANCE,
    classes=(0, 1, 1, 2),
    scores=(0.9, 0.8, 0.7, 0.6),
    **more,
) -> bool:
    offsets, indices = _masks(labels)
    point_classes = np.where(labels >= 0, np.array([*classes, -1])[labels], -1)
    arguments = {"point_classes": point_classes, "gt_semantic": SEMANTIC, "gt_instance": INSTANCE} | more
    gt = arguments.pop("gt_semantic"), arguments.pop("gt_instance")
    return evaluator.add(name, *gt, offsets, indices, np.array(classes), np.array(scores), **arguments)


def test_exact_answer_scores_a_hundred() -> None:
    evaluator = CloudEvaluator(FLAT)
    assert _add(evaluator, "room")
    scores = evaluator.results()["pooled"]
    for key in (
        "AP",
        "AP50",
        "AP25",
        "recall50",
        "coverage",
        "mCov",
        "mWCov",
        "mPrec",
        "mRec",
        "mAcc",
        "mIoU",
        "oAcc",
    ):
        assert scores[key] == 100, key
    assert scores["class_agnostic"]["AP"] == 100
    assert scores["official"]["mPrec"] == 100
    assert scores["per_class"]["wall"]["AP"] is None
    assert scores["per_class"]["wall"]["Cov"] == 100
    assert scores["per_class"]["chair"]["n_gt"] == 2


def test_scans_are_scored_alone_and_pooled() -> None:
    evaluator = CloudEvaluator(FLAT)
    _add(evaluator, "good")
    _add(evaluator, "bad", labels=np.full(800, -1), classes=(), scores=())
    results = evaluator.results()
    assert (results["scans"]["good"]["AP50"], results["scans"]["bad"]["AP50"], results["pooled"]["AP50"]) == (
        100,
        0,
        50,
    )
    assert results["scans"]["bad"]["mPrec"] is None
    assert results["pooled"]["recall50"] == 50
    assert results["pooled"]["oAcc"] == 50


def test_scans_without_instance_labels_are_listed_not_scored() -> None:
    evaluator = CloudEvaluator(FLAT)
    assert not _add(evaluator, "bare", gt_instance=np.full(800, -1))
    results = evaluator.results()
    assert results["skipped"] == ["bare"]
    assert results["scans"] == {}
    assert results["pooled"]["AP"] is None


def test_wrong_class_counts_only_for_the_class_aware_scores() -> None:
    evaluator = CloudEvaluator(FLAT)
    _add(evaluator, "room", classes=(0, 2, 2, 1))
    scores = evaluator.results()["pooled"]
    assert scores["AP50"] == 0
    assert scores["class_agnostic"]["AP50"] == 100


def test_class_agnostic_scores_across_vocabularies() -> None:
    """The truth has two classes, of which the second is structure; the prediction's first class is."""
    evaluator = CloudEvaluator(FLAT, class_agnostic=True)
    truth = np.repeat([1, 0, 0, 0], 200)
    _add(evaluator, "room", gt_semantic=truth, gt_structure=np.array([False, True]))
    assert evaluator.results()["pooled"] == {
        "AP": 100,
        "AP50": 100,
        "AP25": 100,
        "recall50": 100,
        "coverage": 100,
    }
    with pytest.raises(ValueError, match="class_agnostic=True"):
        _add(CloudEvaluator(FLAT), "room", gt_structure=np.array([False, True]))


def test_order_of_points_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(800) < 0.3, rng.integers(-1, 4, 800), INSTANCE)
    order = rng.permutation(800)
    plain, shuffled = CloudEvaluator(FLAT), CloudEvaluator(FLAT)
    _add(plain, "room", labels=labels)
    _add(shuffled, "room", labels=labels[order], gt_semantic=SEMANTIC[order], gt_instance=INSTANCE[order])
    assert plain.results() == shuffled.results()


def test_agrees_with_the_official_room_format(tmp_path) -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.integers(0, 20, 60), 50)
    semantic = np.arange(20)[truth] % len(S3DIS)
    instance = np.where(rng.random(3000) < 0.2, rng.integers(0, 20, 3000), truth)
    classes = np.array([(i if i % 5 else 3) % len(S3DIS) for i in range(20)])
    np.savez(
        tmp_path / "room.npz", gt_sem=semantic, gt_ins=truth, pred_sem=classes[instance], pred_ins=instance
    )
    official = score("s3dis", tmp_path, tmp_path)
    evaluator = CloudEvaluator(S3DIS)
    offsets, indices = _masks(instance)
    evaluator.add("room", semantic, truth, offsets, indices, classes, np.ones(20), classes[instance])
    ours = evaluator.results()["pooled"]
    assert ours["mCov"] == pytest.approx(100 * official["nan_skipped"]["mCov"])
    assert ours["mPrec"] == pytest.approx(100 * official["nan_skipped"]["mPrec"])
    assert ours["mIoU"] == pytest.approx(100 * official["nan_skipped"]["mIoU"])


def test_agrees_with_the_official_scene_format(tmp_path) -> None:
    rng = np.random.default_rng(2)
    truth = np.repeat(rng.integers(0, 12, 40), 100)
    semantic = np.arange(12)[truth] % 6
    (tmp_path / "gt").mkdir()
    (tmp_path / "pred").mkdir()
    ids = np.array(SCANNET18.official_ids)[semantic] * 1000 + truth + 1
    np.savetxt(tmp_path / "gt" / "scene.txt", ids, fmt="%d")
    masks, lines = [], []
    for i in range(12):
        mask = (truth == i) ^ (rng.random(len(truth)) < 0.01 * i)
        masks.append(np.flatnonzero(mask))
        np.savetxt(tmp_path / "pred" / f"mask{i}.mask", mask, fmt="%d")
        lines.append(f"mask{i}.mask {SCANNET18.official_ids[i % 6]} {1 - i / 20}\n")
    (tmp_path / "pred" / "scene.txt").write_text("".join(lines))
    official = score("scannet", tmp_path / "gt", tmp_path / "pred")
    evaluator = CloudEvaluator(SCANNET18)
    offsets = np.cumsum([0, *map(len, masks)])
    evaluator.add(
        "scene", semantic, truth, offsets, np.concatenate(masks), np.arange(12) % 6, 1 - np.arange(12) / 20
    )
    ours = evaluator.results()["pooled"]
    for key in ("AP", "AP50", "AP25"):
        assert ours[key] == pytest.approx(100 * official[key])
    assert 0 < ours["AP"] < 100


def test_nothing_as_long_as_the_cloud_is_kept() -> None:
    evaluator = CloudEvaluator(FLAT)
    _add(evaluator, "room")
    kept = evaluator._kept["room"]
    arrays = [v for part in (kept.overlaps, kept.objects) for v in vars(part).values()] + [kept.counts]
    assert sum(a.size for a in arrays) < 100
    assert all(a.base is None or a.base.size < 100 for a in arrays)


def test_wrong_arguments_are_named() -> None:
    evaluator = CloudEvaluator(FLAT)
    _add(evaluator, "room")
    with pytest.raises(ValueError, match="'room' was added before"):
        _add(evaluator, "room")
    with pytest.raises(ValueError, match=r"indices of scan 'far' must lie in \[0, 800\)"):
        evaluator.add(
            "far", SEMANTIC, INSTANCE, np.array([0, 1]), np.array([800]), np.array([1]), np.array([1.0])
        )
    with pytest.raises(ValueError, match="800 true classes and 799 instance ids"):
        _add(evaluator, "short", gt_instance=INSTANCE[:-1])


def test_true_instances_that_overlap_are_found_in_full() -> None:
    """A chair stands half behind a table: both whole objects are predicted, and shared points count for both."""
    chair, table = np.arange(0, 300), np.arange(150, 600)
    offsets, indices = np.array([0, 300, 750]), np.concatenate([chair, table])
    classes = np.array([1, 2])
    semantic = np.where(np.arange(800) < 150, 1, 2)
    labels = np.where(np.arange(800) < 150, 0, np.where(np.arange(800) < 600, 1, -1))
    flat, layered = CloudEvaluator(FLAT), CloudEvaluator(FLAT)
    answer = (offsets, indices, classes, np.ones(2))
    flat.add("room", semantic, labels, *answer)
    layered.add("room", semantic, labels, *answer, gt_masks=(offsets, indices, classes))
    assert layered.results()["pooled"]["AP"] == 100 and layered.results()["pooled"]["coverage"] == 100
    assert flat.results()["pooled"]["AP"] < 80
