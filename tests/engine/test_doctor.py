"""The doctor says what is broken and goes on."""

import pytest

from gestalt3d.engine import cards, checkpoint, doctor


def test_every_part_is_examined_once() -> None:
    findings = doctor.examine()
    names = [f.what for f in findings]
    assert len(names) == len(set(names)) and {"torch", "numba kernels", "shipped weights"} <= set(names)
    assert all(f.detail for f in findings)
    assert all(f.remedy for f in findings if not f.ok)


def test_what_is_broken_is_found_and_the_rest_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("kernels do not compile\nsecond line")

    monkeypatch.setattr("gestalt3d.ops.farthest_points.farthest_points", broken)
    findings = {f.what: f for f in doctor.examine()}
    found = findings["numba kernels"]
    assert not found.ok and found.detail == "RuntimeError: kernels do not compile" and found.remedy
    assert findings["torch"].ok and "laspy" in findings


def test_a_cache_that_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder, ok in ((tmp_path / "new" / "cache", True), (tmp_path / "file" / "cache", False)):
        monkeypatch.setenv("GESTALT3D_CACHE", str(folder))
        finding = {f.what: f for f in doctor.examine()}["cache folder"]
        assert finding.ok is ok and finding.detail == str(folder) and bool(finding.remedy) is not ok
    assert not (tmp_path / "new").exists()


def test_kernels_that_no_folder_keeps_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import NullCache

    from gestalt3d.ops._numba import farthest_points

    for kernel in vars(farthest_points).values():
        if hasattr(kernel, "py_func"):
            monkeypatch.setattr(kernel, "_cache", NullCache())
    finding = {f.what: f for f in doctor.examine()}["numba kernels"]
    assert not finding.ok and "anew at each start" in finding.detail and "NUMBA_CACHE_DIR" in finding.remedy


def test_weights_that_do_not_load_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "asis-rooms.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(checkpoint, "shipped", lambda: {"asis-rooms": tmp_path / "asis-rooms.safetensors"})
    finding = {f.what: f for f in doctor.examine()}["shipped weights"]
    assert not finding.ok and "asis-rooms" in finding.detail


def test_cards_show_figures_flat_or_per_data(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"\0" * 2_000_000)
    monkeypatch.setattr(checkpoint, "shipped", lambda: {"mine": weights})

    def card() -> cards.Card:
        return next(card for card in cards.cards() if card.name == "mine")

    assert card().about == "weights, 2.0 MB, trained on unknown data"
    weights.with_suffix(".json").write_text(
        '{"method": "asis", "data": "rooms", "figures": {"mCov": 55, "real rooms": {"AP50": 20}}}'
    )
    assert card().about == "asis, 2.0 MB, trained on rooms"
    assert card().lines == ("mCov 55", "real rooms: AP50 20")
