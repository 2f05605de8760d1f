"""The scan cache: what goes in comes out, damage and races are survived."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data.cache import Packed, ScanCache, cache_root, digest, fingerprint, pack, unpack
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS


def packed(n: int = 50, seed: int = 0, colored: bool = True) -> Packed:
    rng = np.random.default_rng(seed)
    classes = np.array([8, 2, 7], dtype=np.int16)
    instance = rng.integers(-1, 3, n).astype(np.int16)
    return Packed(
        points=rng.random((n, 3), dtype=np.float32),
        colors=rng.integers(0, 256, (n, 3), dtype=np.uint8) if colored else None,
        instance=instance,
        semantic=np.where(instance >= 0, classes[instance], -1).astype(np.int16),
        classes=classes,
        origin=np.array([1e5, 2.0, 3.0]),
    )


def same(a: Packed, b: Packed) -> bool:
    return all((x is None and y is None) or np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("given", [packed(), packed(colored=False), packed(0)])
def test_a_saved_scan_comes_back_unchanged(tmp_path: Path, given: Packed) -> None:
    cache = ScanCache("kind", root=tmp_path)
    cache.save("a", given)
    found = ScanCache("kind", root=tmp_path).load("a")
    assert found is not None and same(found, given)
    assert same(pack(unpack(found, "a", S3DIS)), given)


def overlapping() -> Scan:
    """A chair and a table that share a point, whole masks that share more."""
    truth = Instances(
        masks=Sets.from_sizes(torch.tensor([2, 3]), torch.tensor([0, 1, 1, 2, 3]), 6),
        classes=torch.tensor([8, 7]),
        scores=torch.ones(2),
        vocabulary=S3DIS,
        whole=Sets.from_sizes(torch.tensor([4, 4]), torch.tensor([0, 1, 2, 4, 1, 2, 3, 5]), 6),
        element_classes=torch.tensor([8, 8, 7, 7, -1, -1]),
    )
    return Scan("a", PointCloud(torch.rand(6, 3)), truth)


def test_what_overlaps_still_does_when_it_comes_back(tmp_path: Path) -> None:
    cache = ScanCache("kind", root=tmp_path)
    cache.save("a", pack(overlapping()))
    found = cache.load("a")
    assert found is not None and unpack(found, "a", S3DIS).truth == overlapping().truth


def with_whole_objects() -> Scan:
    """A flat one, one without points and one far away; amodal boxes are any."""
    shapes = [torch.rand(40, 3) * torch.tensor([1, 2, 0]), torch.zeros(0, 3), torch.rand(30, 3) + 70]
    scan = overlapping()
    truth = replace(
        scan.truth[[0, 1, 1]],
        shapes=tuple(PointCloud(points) for points in shapes),
        amodal_boxes=torch.rand(3, 7),
    )
    return replace(scan, truth=truth)


def test_whole_objects_come_back_to_a_hundredth_of_a_millimetre_per_metre(tmp_path: Path) -> None:
    scan, cache = with_whole_objects(), ScanCache("kind", root=tmp_path)
    cache.save("a", pack(scan))
    packed = cache.load("a")
    assert packed is not None
    found = unpack(packed, "a", S3DIS)
    assert found.truth.amodal_boxes is not None and scan.truth.amodal_boxes is not None
    assert torch.equal(found.truth.amodal_boxes, scan.truth.amodal_boxes)
    assert found.truth.shapes is not None and scan.truth.shapes is not None
    for shape, before in zip(found.truth.shapes, scan.truth.shapes, strict=True):
        assert isinstance(shape, PointCloud) and isinstance(before, PointCloud)
        assert shape.points.shape == before.points.shape and shape.points.dtype == torch.float32
        # Half a step of the longest extent, 2 m, and float32 at 70 m.
        assert float((shape.points - before.points).abs().max() if len(shape) else 0) < 1 / 65535 + 1e-5
    assert fingerprint([scan], 0) != fingerprint([overlapping()], 0)


def test_a_shape_far_from_its_origin_is_kept_in_the_frame_of_the_scan() -> None:
    scan = with_whole_objects()
    moved = scan.truth.moved(np.diag([1.0, 1, 1, 1]) + np.eye(4, k=3) * 5)
    found = unpack(pack(replace(scan, truth=moved)), "a", S3DIS).truth
    assert found.shapes is not None and scan.truth.shapes is not None
    for shape, before in zip(found.shapes, scan.truth.shapes, strict=True):
        assert isinstance(shape, PointCloud) and isinstance(before, PointCloud)
        torch.testing.assert_close(shape.points, before.points + torch.tensor([5.0, 0, 0]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("field", ["amodal_boxes", "shape_offsets", "shape_points", "shape_bounds"])
def test_damaged_whole_objects_are_made_again(tmp_path: Path, field: str) -> None:
    cache = ScanCache("kind", root=tmp_path)
    for damage in (np.zeros((2, 3), np.uint16), None):
        cache.save("a", pack(with_whole_objects()))
        file = tmp_path / "kind" / "a" / f"{field}.npy"
        if damage is not None:
            np.save(file, damage)
        elif field != "amodal_boxes":
            file.unlink()
        assert (cache.load("a") is None) == (damage is not None or field != "amodal_boxes")


@pytest.mark.parametrize("field", ["mask_offsets", "mask_indices", "whole_offsets", "whole_indices"])
def test_damaged_masks_are_made_again(tmp_path: Path, field: str) -> None:
    cache = ScanCache("kind", root=tmp_path)
    for damage in (np.array([0, 99, 5]), None):
        cache.save("a", pack(overlapping()))
        file = tmp_path / "kind" / "a" / f"{field}.npy"
        if damage is None:
            file.unlink()
        else:
            np.save(file, damage)
        assert cache.load("a") is None


def test_make_runs_once(tmp_path: Path) -> None:
    calls = []
    cache = ScanCache("kind", root=tmp_path)
    for _ in range(3):
        cache.get("a", lambda: calls.append(1) or packed())
    assert len(calls) == 1


def test_writing_to_a_loaded_scan_does_not_reach_the_file(tmp_path: Path) -> None:
    cache = ScanCache("kind", root=tmp_path)
    cache.save("a", packed())
    first = cache.load("a")
    assert first is not None
    unpack(first, "a", S3DIS).input.points.zero_()
    again = cache.load("a")
    assert again is not None and same(again, packed())


@pytest.mark.parametrize("damage", ["truncate", "empty", "missing", "lengths"])
def test_a_damaged_scan_is_made_again(tmp_path: Path, damage: str) -> None:
    cache = ScanCache("kind", root=tmp_path)
    cache.save("a", packed())
    file = tmp_path / "kind" / "a" / "instance.npy"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-10])
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    else:
        np.save(file, np.zeros(3, dtype=np.int16))
    assert same(cache.get("a", packed), packed())
    found = cache.load("a")
    assert found is not None and same(found, packed())


def test_a_process_killed_while_writing_leaves_no_scan_and_its_rest_is_swept(tmp_path: Path) -> None:
    left = tmp_path / "kind" / ".new-killed"
    left.mkdir(parents=True)
    (left / "points.npy").write_bytes(b"half")
    assert ScanCache("kind", root=tmp_path).load(".new-other") is None
    assert left.exists()  # it may belong to a process at work
    os.utime(left, (0, 0))
    ScanCache("kind", root=tmp_path)
    assert not left.exists()


def test_the_second_of_two_writers_gives_way_without_a_trace(tmp_path: Path) -> None:
    one, two = ScanCache("kind", root=tmp_path), ScanCache("kind", root=tmp_path)
    one.save("a", packed())
    two.save("a", packed())
    assert two.notes == [] and [p.name for p in (tmp_path / "kind").iterdir()] == ["a"]


def test_without_a_place_to_write_scans_are_made_each_time_and_a_note_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = ScanCache("kind", root=tmp_path / "file")
    assert same(cache.get("a", packed), packed()) and cache.load("a") is None
    assert len(cache.notes) == 1 and "GESTALT3D_CACHE" in cache.notes[0]


def test_the_environment_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    monkeypatch.delenv("GESTALT3D_CACHE")
    assert cache_root() != tmp_path / "here"


def test_digests_tell_their_parts_apart() -> None:
    assert digest(1, 2) == digest(1, 2) != digest(12) and len(digest("x")) == 12
