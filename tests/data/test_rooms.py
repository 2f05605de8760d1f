"""Synthetic rooms as a data set: seeds, vocabularies and the cache."""

from pathlib import Path

import pytest
import torch

import gestalt3d.data.rooms as rooms
from gestalt3d.data import DataSet, open_data
from gestalt3d.data.cache import fingerprint
from gestalt3d.data.rooms import Rooms
from gestalt3d.errors import UserError
from gestalt3d.stages import measure
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import S3DIS, SYNTH, Vocabulary, translate
from gestalt3d.synth.rooms import SPLITS, make_room


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))


def same(a: Scan, b: Scan) -> bool:
    assert a.input.colors is not None and b.input.colors is not None
    assert a.truth.element_classes is not None and b.truth.element_classes is not None
    return (
        a.name == b.name
        and torch.equal(a.input.points, b.input.points)
        and torch.equal(a.input.colors, b.input.colors)
        and torch.equal(a.truth.to_labels(), b.truth.to_labels())
        and torch.equal(a.truth.classes, b.truth.classes)
        and torch.equal(a.truth.element_classes, b.truth.element_classes)
    )


def test_a_room_is_that_of_its_seed_whether_cached_or_not(tmp_path: Path) -> None:
    made = make_room(SPLITS["test"] + 1)
    fresh = Rooms("test", count=2)[1]
    cached = Rooms("test", count=2)[1]
    (tmp_path / "file").write_text("")
    uncached = Rooms("test", count=2, cache_dir=tmp_path / "file")
    assert same(fresh, cached) and same(fresh, uncached[1]) and len(uncached.notes) == 1
    assert torch.equal(fresh.input.points, made.input.points)
    assert torch.equal(fresh.truth.to_labels(), made.truth.to_labels())
    assert fresh.input.colors is not None and made.input.colors is not None
    assert float((fresh.input.colors - made.input.colors).abs().max()) <= 0.5 / 255 + 1e-6


def test_rooms_with_whole_objects_are_the_same_rooms(tmp_path: Path) -> None:
    plain, whole = open_data("rooms:val", limit=1), open_data("rooms-whole:val", limit=1)
    (tmp_path / "file").write_text("")
    uncached = Rooms("val", count=1, shapes=True, cache_dir=tmp_path / "file")[0]
    assert same(plain[0], whole[0]) and plain[0].truth.shapes is None
    truth, made = whole[0].truth, make_room(SPLITS["val"], shapes=True).truth
    assert truth == whole[0].truth == uncached.truth
    assert truth.shapes is not None and made.shapes is not None
    assert truth.amodal_boxes is not None and made.amodal_boxes is not None
    assert torch.equal(truth.amodal_boxes, made.amodal_boxes)
    for shape, before in zip(truth.shapes, made.shapes, strict=True):
        assert isinstance(shape, PointCloud) and isinstance(before, PointCloud)
        extent = before.points.amax(0) - before.points.amin(0)
        assert bool(((shape.points - before.points).abs() <= extent / 65535 + 2e-6).all())
    assert fingerprint(plain, 0) != fingerprint(whole, 0)


def test_rooms_with_whole_objects_have_a_cache_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    Rooms("val", count=1).build(workers=1)
    Rooms("val", count=1, shapes=True).build(workers=1)
    monkeypatch.setattr(rooms, "make_room", None)
    assert Rooms("val", count=1)[0].truth.shapes is None
    assert Rooms("val", count=1, shapes=True)[0].truth.shapes is not None


@pytest.mark.parametrize("name", ["rooms:val", "table-tops:val", "toyboxes:val"])
def test_classes_under_other_names_are_said(name: str) -> None:
    assert open_data(name, limit=1).notes == []
    (note,) = open_data(name, limit=1, vocabulary=Vocabulary("own", ("lamp", "clutter"))).notes
    assert note.startswith("classes of the data under the names of own: ") and "→ clutter" in note


def test_a_cached_room_is_not_generated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    Rooms("val", count=1).build(workers=1)
    monkeypatch.setattr(rooms, "make_room", None)
    assert len(Rooms("val", count=1)[0].input) > 1000


def test_another_generator_version_is_another_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    Rooms("val", count=1).build(workers=1)
    monkeypatch.setattr(rooms, "GENERATOR_VERSION", -1)
    monkeypatch.setattr(rooms, "make_room", None)
    with pytest.raises(TypeError):
        Rooms("val", count=1)[0]


def test_rooms_are_built_in_parallel_and_progress_reaches_the_end() -> None:
    told = []
    with measure(lambda stage, done, total: told.append((done, total))):
        Rooms("train", count=3).build(workers=2)
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert all(str(seed) in Rooms("train", count=3)._cache for seed in range(3))


def test_classes_are_mapped_to_the_vocabulary_asked_for() -> None:
    own, mapped = Rooms("val", count=1)[0].truth, Rooms("val", count=1, vocabulary=S3DIS)[0].truth
    table = torch.from_numpy(translate(SYNTH, S3DIS))
    assert own.vocabulary == SYNTH and mapped.vocabulary == S3DIS
    assert torch.equal(mapped.classes, table[own.classes])
    assert mapped.element_classes is not None and own.element_classes is not None
    assert torch.equal(mapped.element_classes, table[own.element_classes])


def test_splits_and_positions_are_checked() -> None:
    with pytest.raises(UserError, match="train, second, val, test"):
        Rooms("dev")
    with pytest.raises(IndexError):
        Rooms("val", count=1)[1]


def test_open_data_finds_data_sets_by_name(tmp_path: Path) -> None:
    data = open_data("rooms:val", vocabulary=S3DIS, limit=2)
    assert isinstance(data, DataSet) and len(data) == len(data.names) == 2 and data.vocabulary == S3DIS
    assert len(open_data("rooms:test")) == rooms.COUNTS["test"]
    for spec, message in (
        ("scannet20", "rooms:train.*s3dis.*scannet:train.*folder"),
        ("s3dis:area5", "--root"),
        ("folder:x", "splits"),
    ):
        with pytest.raises(UserError, match=message):
            open_data(spec, root=tmp_path if ":x" in spec else None)
