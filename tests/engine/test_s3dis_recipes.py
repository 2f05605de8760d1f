"""The recipes of S3DIS on files in its format, from the data to figures: every fold, SGPN after its semantics."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.data import open_data
from gestalt3d.engine.evaluate import evaluate
from gestalt3d.engine.model import load
from gestalt3d.engine.recipe import Recipe
from gestalt3d.engine.train import train
from gestalt3d.errors import UserError
from gestalt3d.ops.blocks import cut_blocks
from gestalt3d.recipes import recipe
from gestalt3d.structures.vocabulary import S3DIS
from tests.scenes import tiny_scan
from tests.settings import changed

NAMES = ("asis-s3dis", "asis-s3dis-pointnet", "sgpn-s3dis-semantics", "sgpn-s3dis")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A room in each of three areas, as annotated text."""
    for area in (1, 3, 5):
        scan = tiny_scan(area, points=900)
        table = np.c_[scan.input.points.numpy(), np.rint(scan.input.colors.numpy() * 255)]  # type: ignore[union-attr]
        labels = scan.truth.to_labels().numpy()
        folder = tmp_path / "s3dis" / f"Area_{area}" / "office_1" / "Annotations"
        folder.mkdir(parents=True)
        for i in range(len(scan.truth)):
            file = folder / f"{scan.truth.class_name(i)}_{i}.txt"
            np.savetxt(file, table[labels == i], fmt="%.4f %.4f %.4f %d %d %d")
    return tmp_path / "s3dis"


def small(name: str, root: Path, **changes: object) -> Recipe:
    """That recipe with a small network, for two steps."""
    base = recipe(name)
    model = changed(base.model, width=16, blocks={"points": 256}, backbone={"width_scale": 0.25})
    return replace(
        base, root=root, model=model, optim=replace(base.optim, steps=2), workers=0, **changes  # type: ignore[arg-type]
    )  # fmt: skip


def test_the_papers_settings() -> None:
    for name in NAMES:
        r = recipe(name)
        assert r.stored_blocks and r.data == "s3dis:not5" and r.validate == "s3dis:area5"
        assert r.scans_per_step * r.model.training.blocks_per_scan == r.optim.samples_per_step  # type: ignore[union-attr]
    batches = {name: recipe(name).optim.samples_per_step for name in NAMES}
    assert batches == dict(zip(NAMES, (24, 24, 24, 4), strict=True))
    semantics, sgpn = recipe("sgpn-s3dis-semantics"), recipe("sgpn-s3dis")
    assert sgpn.freeze_bn and not semantics.freeze_bn
    assert replace(semantics.model, semantics_only=False) == sgpn.model  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["asis-s3dis", "asis-s3dis-pointnet"])
def test_a_fold_trains_without_its_area_and_is_measured_on_it(name: str, root: Path, tmp_path: Path) -> None:
    fold = small(name, root, data="s3dis:not3", validate="s3dis:area3", validate_every=2, validate_count=1)
    said: list[str] = []
    last = train(fold, tmp_path / "run", device="cpu", note=said.append)
    assert (tmp_path / "run" / "best.safetensors").exists()
    kept = {folder.name for cache in (tmp_path / "cache").glob("s3dis-*") for folder in cache.iterdir()}
    assert {name.rpartition("-")[0] for name in kept} == {
        "Area_1_office_1", "Area_3_office_1", "Area_5_office_1",
    }  # fmt: skip
    assert any("2 scans into blocks" in line for line in said)
    found = evaluate(load(last), open_data("s3dis:area3", root=root, vocabulary=S3DIS))
    assert list(found["scans"]) == ["Area_3_office_1"] and found["pooled"]["mIoU"] is not None


def test_sgpn_starts_from_its_semantics_and_not_without(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"never trained.*--init"):
        train(small("sgpn-s3dis", root), tmp_path / "refused", device="cpu")
    first = train(small("sgpn-s3dis-semantics", root), tmp_path / "semantics", device="cpu")
    found = evaluate(load(first), open_data("s3dis:area5", root=root, vocabulary=S3DIS))["pooled"]
    assert found["mIoU"] is not None and found["mPrec"] is None  # it parts nothing into instances
    said: list[str] = []
    train(
        replace(small("sgpn-s3dis", root), init=(str(first),)),
        tmp_path / "sgpn",
        device="cpu",
        note=said.append,
    )
    assert "anew" not in said[0]


def test_the_real_hallway_trains_and_is_measured(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "s3dis"
    fold = small("asis-s3dis", root, data="s3dis:area3", validate="s3dis:area3", scans_per_step=4)
    said: list[str] = []
    last = train(fold, tmp_path / "run", device="cpu", note=said.append)
    scans = open_data("s3dis:area3", root=root, vocabulary=S3DIS)
    blocks = len(cut_blocks(scans[0].input.points, size=1.0, stride=0.5).origins)
    assert blocks > 10 and any(line.startswith(f"{blocks} blocks") for line in said)
    scan = evaluate(load(last), scans)["scans"]
    assert scan["Area_3_hallway_3"]["oAcc"] is not None
