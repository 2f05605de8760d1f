"""Photos with annotations in the layouts of the data sets, on files the tests write and on real ones if there are any."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import gestalt3d as g3
from gestalt3d.data import KNOWN, VIEWS, open_data
from gestalt3d.data.photos import PHOTOS
from gestalt3d.data.photos.annotated import AnnotatedPhotos
from gestalt3d.errors import UserError
from gestalt3d.io.whole_masks import runs_of
from gestalt3d.structures.vocabulary import Vocabulary
from tests.coco.files import CATEGORY, HEIGHT, LAYOUTS, PHOTO, VISIBLE, WHOLE, document, rle, save
from tests.command import Command

NAMED = {
    "COCOA": "cocoa",
    "KINS 2020": "kins",
    "KINS 2019": "kins",
    "UOAIS": "uoais",
    "COCOA-cls": "d2sa",
    "COCO": "coco",
}


def write_photos(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (HEIGHT, WHOLE[0].shape[1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"p{i}.png")


def write(root: Path, layout: str, name: str = "a.json", photos: str = "images") -> Path:
    write_photos(root / photos)
    (root / "annotations").mkdir(exist_ok=True)
    return save(root / "annotations" / name, document(layout))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_objects(tmp_path: Path, layout: str) -> None:
    path = write(tmp_path, layout)
    data = open_data("coco" if layout == "COCO" else "coco-amodal", root=path)
    assert data.names == ["p0", "p1"] and data.notes == [] and data.without_instances() == []
    for i, rows in enumerate(([0, 1], [2])):
        sample = data[i]
        assert sample.input.depth is None and tuple(sample.input.image.shape) == (3, 12, 20)
        truth = sample.truth
        known = WHOLE if layout == "COCO" else VISIBLE
        assert [truth.mask(k).reshape(12, 20).tolist() for k in range(len(rows))] == [
            known[r].tolist() for r in rows
        ]
        if layout == "COCO":
            assert truth.whole is None
        else:
            assert truth.whole is not None
            assert all(
                (truth.whole.dense(k).numpy().reshape(12, 20) == WHOLE[r]).all() for k, r in enumerate(rows)
            )
        names = [truth.class_name(k) for k in range(len(rows))]
        assert (
            names == ["object"] * len(rows)
            if layout == "COCOA"
            else [["cup", "box"][CATEGORY[r] == 7] for r in rows]
        )
    boxes = data[0].truth.image_boxes
    assert boxes is not None and boxes.tolist() == [[2, 2, 8, 8], [5, 4, 15, 10]]
    assert data.vocabulary.official_ids == (() if layout == "COCOA" else (2, 7))
    assert data.vocabulary.title == ("coco" if layout == "COCO" else "coco-amodal")


@pytest.mark.parametrize(
    ("spec", "layout", "file"),
    [
        ("cocoa:val", "COCOA", "COCO_amodal_val2014.json"),
        ("cocoa-cls:train", "COCOA-cls", "COCO_amodal_train2014_with_classes.json"),
        ("d2sa:val", "COCOA-cls", "D2S_amodal_validation.json"),
        ("kins:train", "KINS 2020", "update_train_2020.json"),
        ("kins:test", "KINS 2019", "instances_val.json"),
        ("uoais", "UOAIS", "annotation_final.json"),
    ],
)
def test_official_files_are_found(tmp_path: Path, spec: str, layout: str, file: str) -> None:
    write(tmp_path, layout, file, photos="training/image_2")
    root = tmp_path if ":" in spec else tmp_path / "annotations"
    data = open_data(spec, root=root, limit=1)
    assert data.names == ["p0"] and len(data[0].truth) == 2
    with pytest.raises(UserError, match=r"has no split 'late'|has no splits"):
        open_data(f"{spec.partition(':')[0]}:late", root=root)


def test_d2sa_trains_on_two_files(tmp_path: Path) -> None:
    write(tmp_path, "COCOA-cls", "D2S_amodal_training_rot0.json")
    assert len(open_data("d2sa:train", root=tmp_path)) == 2
    path = write(tmp_path, "COCOA-cls", "D2S_amodal_augmented.json")
    data = open_data("d2sa:train", root=tmp_path)
    assert len(data) == 4 and len(set(data.names)) == 4
    other = document("COCOA-cls")
    other["categories"][0]["name"] = "mug"
    save(path, other)
    with pytest.raises(UserError, match="its categories are others than those of"):
        open_data("d2sa:train", root=tmp_path)


def test_annotations_without_visible_masks_are_no_amodal_data(tmp_path: Path) -> None:
    path = write(tmp_path, "COCO", "D2S_amodal_validation.json")
    for spec, root in (("coco-amodal", path), ("d2sa:val", tmp_path)):
        with pytest.raises(UserError, match="nothing of what is visible"):
            open_data(spec, root=root)
    write(tmp_path, "COCOA-cls", "update_train_2020.json")
    with pytest.raises(
        UserError, match="has the keys of COCOA-cls, kins has those of KINS 2020 or KINS 2019"
    ):
        open_data("kins:train", root=tmp_path)


def test_photos_that_are_not_there_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "COCOA-cls")
    (tmp_path / "images" / "p0.png").unlink()
    data = open_data("coco-amodal", root=path)
    assert data.names == ["p1"] and data.notes == ["1 of 2 photos are not there"]
    (tmp_path / "images" / "p1.png").unlink()
    with pytest.raises(UserError, match="none of its 2 photos is in its folder"):
        open_data("coco-amodal", root=path)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..", "", "a\0b", "C:/x.png", "..\\x.png"]
)
def test_names_of_photos_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "COCOA-cls")
    save(
        path, json.loads(path.read_text()) | {"images": [document("COCO")["images"][0] | {"file_name": name}]}
    )
    with pytest.raises(UserError, match=r"is no name of a photo|has no 'file_name'"):
        open_data("coco-amodal", root=path)


def test_photos_of_other_sizes_are_refused_and_turned_ones_fit(tmp_path: Path) -> None:
    path = write(tmp_path, "COCOA-cls")
    photo = tmp_path / "images" / "p0.png"
    data = open_data("coco-amodal", root=path)
    stored = np.asarray(Image.open(photo))
    exif = Image.Exif()
    exif[0x0112] = 6
    # As it is seen it has the size of the masks, but it is stored on its side.
    Image.fromarray(np.rot90(stored).copy()).save(photo, exif=exif)
    assert np.allclose(data[0].input.image.permute(1, 2, 0).numpy() * 255, stored, atol=0.51)
    # As it is stored it fits, whatever its EXIF says.
    Image.fromarray(stored).save(photo, exif=exif)
    assert np.allclose(data[0].input.image.permute(1, 2, 0).numpy() * 255, stored, atol=0.51)
    Image.fromarray(np.zeros((24, 40, 3), np.uint8)).save(photo)
    with pytest.raises(UserError, match=r"p0\.png: is 40 x 24, .*a\.json has masks of 20 x 12 for it"):
        data[0]


def test_crowds_and_what_has_no_pixel_are_no_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "COCOA-cls")
    changed = document("COCOA-cls")
    changed["annotations"][0]["iscrowd"] = 1
    changed["annotations"][2] |= {"segmentation": [], "visible_mask": []}
    data = open_data("coco-amodal", root=save(path, changed))
    assert [len(data[i].truth) for i in range(2)] == [1, 0] and data.without_instances() == ["p1"]
    assert (
        "a.json: crowds, left out: 1" in data.notes and "a.json: objects whose mask is empty: 1" in data.notes
    )


def test_what_is_not_within_the_whole_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "COCOA-cls")
    changed = document("COCOA-cls")
    changed["annotations"][1]["visible_mask"] = rle(np.ones((12, 20), bool))
    data = open_data("coco-amodal", root=save(path, changed))
    assert data.notes == ["a.json: objects whose visible mask is not within the whole one: 1"]


def test_classes_go_under_other_names(tmp_path: Path) -> None:
    other = Vocabulary("mine", ("bottle", "cup"))
    data = open_data("coco-amodal", root=write(tmp_path, "COCOA-cls"), vocabulary=other)
    assert data[0].truth.classes.tolist() == [1, -1] and "box → no class" in data.notes[-1]


def test_photos_of_one_name_in_several_folders_keep_their_folders(tmp_path: Path) -> None:
    changed = document("COCOA-cls")
    for folder, image in zip(("a", "b"), changed["images"], strict=True):
        write_photos(tmp_path / folder)
        image["file_name"] = f"{folder}/p0.png"
    assert open_data("coco-amodal", root=save(tmp_path / "x.json", changed)).names == ["a_p0", "b_p0"]


def test_data_can_be_handed_to_workers(tmp_path: Path) -> None:
    data = open_data("coco-amodal", root=write(tmp_path, "COCOA-cls"))
    again: Any = pickle.loads(pickle.dumps(data))
    assert again[0].truth == data[0].truth and again.fingerprint(0) == data.fingerprint(0)
    with pytest.raises(IndexError):
        data[2]


def test_a_root_is_asked_for_and_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name it with --root"):
        open_data("cocoa:val")
    for spec in ("cocoa:val", "coco-amodal", "uoais"):
        with pytest.raises(UserError, match=r"no such file or folder|holds 0 files|has no COCO_amodal"):
            open_data(spec, root=tmp_path / "none")
        with pytest.raises(UserError, match=r"holds 0 files \*\.json|has no COCO_amodal_val2014\.json"):
            open_data(spec, root=tmp_path)
    write(tmp_path, "COCOA", "COCO_amodal_val2014.json")
    with pytest.raises(UserError, match="say which split, such as cocoa:val"):
        open_data("cocoa", root=tmp_path)
    with pytest.raises(UserError, match="is one file, without splits"):
        open_data("cocoa:val", root=tmp_path / "annotations" / "COCO_amodal_val2014.json")


def test_photos_are_views() -> None:
    assert set(PHOTOS) <= set(KNOWN) and set(PHOTOS) <= set(VIEWS)


def test_the_truth_as_an_answer_scores_a_hundred(tmp_path: Path) -> None:
    data = open_data("coco-amodal", root=write(tmp_path, "KINS 2019"))
    evaluator = data.evaluator(data.vocabulary)
    for i in range(2):
        evaluator.see(data[i], data[i].truth)  # pyright: ignore[reportArgumentType]
    result = evaluator.results()
    pooled = result["pooled"]
    assert pooled["AP"] == 100 and pooled["n_gt"] == 3 and result["scans"]["p0"]["AP50"] == 100
    assert pooled["visible"]["AP"] == 100 and pooled["iou"]["class"]["occluded"] == 100  # type: ignore[index, call-overload]
    agnostic = data.evaluator(data.vocabulary, class_agnostic=True)
    agnostic.see(data[0], data[0].truth)  # pyright: ignore[reportArgumentType]
    assert [*agnostic.results()["pooled"]["per_class"]] == ["object"]  # type: ignore[union-attr, arg-type]


def test_counts_of_several_runs_add_up(tmp_path: Path) -> None:
    data = open_data("coco-amodal", root=write(tmp_path, "COCOA-cls"))
    together, first, second = (data.evaluator(data.vocabulary) for _ in range(3))
    for i, apart in enumerate((first, second)):
        found = data[i].truth[:1]
        for one in (together, apart):
            one.see(data[i], found)  # pyright: ignore[reportArgumentType]
    second.add_counts(json.loads(json.dumps(first.counts())))
    assert second.results()["pooled"] == together.results()["pooled"]
    assert len(together.left_out()["AP"]) == 2
    with pytest.raises(ValueError, match="was counted before"):
        second.add_counts(first.counts())
    with pytest.raises(ValueError, match="counted with"):
        data.evaluator(data.vocabulary, class_agnostic=True).add_counts(first.counts())
    broken = json.loads(json.dumps(first.counts()))
    broken["scans"]["p0"]["objects"]["truth"]["whole"] = ["zz", "zz"]
    with pytest.raises(ValueError, match="no counts of masks"):
        data.evaluator(data.vocabulary).add_counts(broken)


def test_masks_come_back_from_sets(tmp_path: Path) -> None:
    data = AnnotatedPhotos(write(tmp_path, "COCOA-cls"))
    truth = data[0].truth
    runs = runs_of(truth.masks, width=20, height=12)
    assert all((runs.mask(k) == VISIBLE[k]).all() for k in range(2))
    assert PHOTO == [0, 0, 1] and isinstance(truth.classes, torch.Tensor)


# --- real samples ---


def test_real_cocoa(shared: Path) -> None:
    root = shared / "data" / "cocoa"
    data = g3.open_data("cocoa:val", root=root)
    truths = [data[i].truth for i in range(len(data))]
    assert (len(truths), sum(map(len, truths))) == (3, 27)
    hidden = [int(n) for t in truths for n in (t.whole.sizes - t.sizes)]  # type: ignore[union-attr]
    assert sum(n > 0 for n in hidden) == 15 and not any("not within" in note for note in data.notes)
    # The share that the file says is hidden is that of the masks.
    regions = [
        r
        for a in json.loads((root / "annotations/COCO_amodal_val2014.json").read_text())["annotations"]
        for r in a["regions"]
    ]
    said = [r["occlude_rate"] for r in regions]
    found = [1 - float(v) / float(w) for t in truths for v, w in zip(t.sizes, t.whole.sizes, strict=True)]  # type: ignore[union-attr]
    assert found == pytest.approx(said, abs=1e-3)
    assert [r["area"] for r in regions] == [int(n) for t in truths for n in t.whole.sizes]  # type: ignore[union-attr]


def test_real_d2sa_masks_are_those_of_the_pictures(shared: Path) -> None:
    root = shared / "data" / "d2sa"
    data = g3.open_data("coco", root=root / "D2S_amodal_sample.json")
    files = [a["mask_file"] for a in json.loads((root / "D2S_amodal_sample.json").read_text())["annotations"]]
    assert len(files) == 13
    masks = [data[i].truth.mask(k) for i in range(len(data)) for k in range(len(data[i].truth))]
    for file, mask in list(zip(files, masks, strict=True))[:4]:
        picture = np.asarray(Image.open(next(root.rglob(Path(file).name))).convert("L"))
        assert (mask.reshape(picture.shape) == (picture > 127)).all()


def test_real_syntable(shared: Path) -> None:
    data = g3.open_data("uoais", root=shared / "data" / "syntable" / "annotation_final.json")
    assert [len(data[i].truth) for i in range(3)] == [14, 14, 10]
    assert any("listed more than once: 35" in note for note in data.notes)
    assert any("area is said" in note for note in data.notes)


# --- data check, evaluate ---


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_data_check_counts_photos_and_objects(tmp_path: Path, command: Command) -> None:
    write(tmp_path, "KINS 2020", "update_train_2020.json")
    answer = command("data", "check", "kins", "--root", tmp_path)
    assert answer.code == 2 and "has no update_test_2020.json" in answer.out and "train objects" in answer.out
    path = write(tmp_path, "COCOA-cls", "mine.json")
    answer = command("data", "check", "coco-amodal", "--root", path)
    assert answer.code == 0 and "All is there" in answer.out
    (tmp_path / "images" / "p1.png").write_bytes(b"\x89PNG")
    answer = command("data", "check", "coco-amodal", "--root", path)
    assert answer.code == 2 and "p1.png: cannot be read" in answer.out
    (tmp_path / "images" / "p1.png").unlink()
    assert "1 of 2 photos are not there" in command("data", "check", "coco-amodal", "--root", path).out


def test_a_model_for_clouds_says_that_photos_have_no_depth(tmp_path: Path, command: Command) -> None:
    path = write(tmp_path, "COCOA-cls")
    answer = command("evaluate", "-m", "geometric", "-d", "coco-amodal", "--root", path)
    assert answer.code == 2 and "Traceback" not in answer.err
    assert "depth" in answer.err, answer.err
