"""Blocks on disk: cut once, every one equally likely, one copy whoever cuts them, damage is mended."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gestalt3d.data import DataSet, block_store, open_data
from gestalt3d.data.block_store import BlockStore
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.rooms.backbone import PointNet2Config
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.structures.samples import Scan
from tests.scenes import save_folder, tiny_scan

CONFIG = ASISConfig(
    backbone=PointNet2Config(width_scale=0.25, group_size=8), width=16, blocks=LatticeConfig(points=128)
)


@pytest.fixture
def scans(tmp_path: Path) -> DataSet:
    return open_data("folder", root=save_folder(tmp_path / "scans", count=3))


def store(scans: DataSet, root: Path, **more: object) -> BlockStore:
    method = ASIS.from_config(CONFIG, scans.vocabulary)
    return BlockStore(scans, method.lattice, method.lattice_settings(), root=root, **more)  # type: ignore[arg-type]


def test_stored_blocks_are_those_that_are_cut(scans: DataSet, tmp_path: Path) -> None:
    kept = store(scans, tmp_path)
    method = ASIS.from_config(CONFIG, scans.vocabulary)
    made = [batch for i in range(len(scans)) for batch in method.lattice(scans[i])]
    fields = [torch.cat(parts) for parts in zip(*made, strict=True)]
    assert len(kept) == len(fields[0]) > 3 * 9
    for stored, cut in zip(kept.rows(range(len(kept))), fields, strict=True):
        assert stored.dtype == cut.dtype and torch.equal(stored, cut)


def test_training_blocks_are_those_that_segment_looks_at() -> None:
    """Same lattice, same draws, same features: what differs between training and test is the weights alone."""
    scan, method = tiny_scan(), ASIS.from_config(CONFIG, tiny_scan().truth.vocabulary)
    seen: list[torch.Tensor] = []
    forward = method.forward

    def watch(batch: object) -> object:
        seen.append(batch.points)  # type: ignore[attr-defined]
        return forward(batch)  # type: ignore[arg-type]

    method.forward = watch  # type: ignore[method-assign]
    method.segment(scan.input)
    assert torch.equal(torch.cat(seen), torch.cat([batch.points for batch in method.lattice(scan)]))


def test_labels_follow_their_points() -> None:
    scan = tiny_scan()
    method = ASIS.from_config(CONFIG, scan.truth.vocabulary)
    floor = scan.truth.vocabulary.id("floor")
    for batch in method.lattice(scan):
        heights = batch.points[..., 2]
        assert bool((heights[batch.classes == floor] < 0.05).all())
        for classes, instances in zip(batch.classes, batch.instances, strict=True):
            assert instances.unique().tolist() == list(range(int(instances.max()) + 1))
            assert all(len(classes[instances == i].unique()) == 1 for i in range(int(instances.max()) + 1))


def test_an_epoch_is_every_block_once_in_an_order_of_its_own(scans: DataSet, tmp_path: Path) -> None:
    kept = store(scans, tmp_path)
    n = len(kept)
    first, second = kept.drawn(range(n), 7), kept.drawn(range(n, 2 * n), 7)
    assert Counter(first) == Counter(second) == Counter(range(n)) and first != second
    assert kept.drawn(range(n), 8) != first
    assert kept.drawn(range(n - 2, n + 3), 7) == [*first[-2:], *second[:3]]  # whatever was drawn before
    scan_of = np.searchsorted(kept._ends, first[:12], side="right")
    assert len(set(scan_of.tolist())) == len(scans)  # a step is not one room


def test_what_is_cut_is_not_cut_again(scans: DataSet, tmp_path: Path) -> None:
    kept = store(scans, tmp_path)

    def never(_scan: Scan) -> Iterator[list[torch.Tensor]]:
        raise AssertionError("cut again")

    settings = ASIS.from_config(CONFIG, scans.vocabulary).lattice_settings()
    again = BlockStore(scans, never, settings, root=tmp_path)
    assert len(again) == len(kept)
    with pytest.raises(AssertionError, match="cut again"):
        BlockStore(scans, never, ("another stride",), root=tmp_path)


def test_a_changed_scan_is_cut_again(scans: DataSet, tmp_path: Path) -> None:
    before = len(store(scans, tmp_path))
    save_folder(tmp_path / "scans", count=1)  # the first one, written anew
    assert len(store(scans, tmp_path)) == before
    (folder,) = tmp_path.glob("blocks-*")
    assert len(list(folder.iterdir())) == len(scans) + 1


@pytest.mark.parametrize("damage", ["truncate", "missing", "about"])
def test_a_damaged_store_is_mended(scans: DataSet, tmp_path: Path, damage: str) -> None:
    good = store(scans, tmp_path).rows(range(40))
    folder = next(next(tmp_path.glob("blocks-*")).iterdir())
    if damage == "truncate":
        (folder / "0.bin").write_bytes((folder / "0.bin").read_bytes()[:-4])
    elif damage == "missing":
        (folder / "1.bin").unlink()
    else:
        (folder / "fields.json").write_text(json.dumps({"count": 3}))
    for a, b in zip(store(scans, tmp_path).rows(range(40)), good, strict=True):
        assert torch.equal(a, b)


def test_a_killed_cut_leaves_no_scan_half_done(scans: DataSet, tmp_path: Path) -> None:
    method = ASIS.from_config(CONFIG, scans.vocabulary)

    def killed(scan: Scan) -> Iterator[object]:
        yield next(method.lattice(scan))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BlockStore(scans, killed, method.lattice_settings(), root=tmp_path)  # type: ignore[arg-type]
    (folder,) = tmp_path.glob("blocks-*")
    assert not list(folder.iterdir())
    assert len(store(scans, tmp_path)) > 0


def test_processes_that_start_at_once_share_one_cache(scans: DataSet, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gestalt3d.data import open_data;"
        "from tests.data.test_block_store import store;"
        "made = store(open_data('folder', root=sys.argv[1]), Path(sys.argv[2]), first=int(sys.argv[3]));"
        "print(len(made), float(made.rows(range(len(made)))[0].sum()))"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "scans"), str(tmp_path)]
    running = [subprocess.Popen([*words, str(k)], stdout=subprocess.PIPE, text=True) for k in (0, 0)]
    said = {process.communicate(timeout=120)[0] for process in running}
    assert len(said) == 1 and all(process.returncode == 0 for process in running)
    (folder,) = tmp_path.glob("blocks-*")
    assert len(list(folder.iterdir())) == len(scans)


def test_a_store_that_cannot_be_written_is_one_line(
    scans: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="GESTALT3D_CACHE"):
        store(scans, tmp_path / "file")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(block_store, "_write", full)
    with pytest.raises(UserError, match=r"tiny0: .*No space left.*GESTALT3D_CACHE"):
        store(scans, tmp_path / "other")


def test_any_scans_will_do(scans: DataSet, tmp_path: Path) -> None:
    """Scans that cannot say on their own whether they have changed are told apart by what they hold."""

    class Plain(LabelledClouds):
        vocabulary, names, notes = scans.vocabulary, scans.names, scans.notes

        def __len__(self) -> int:
            return 2

        def __getitem__(self, i: int) -> Scan:
            return scans[i]

    one, other = store(Plain(), tmp_path), store(scans, tmp_path / "other")
    for a, b in zip(one.rows(range(30)), other.rows(range(30)), strict=True):
        assert torch.equal(a, b)
