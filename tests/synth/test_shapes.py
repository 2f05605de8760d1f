"""Every maker gives closed, upright objects of a plausible size."""

import numpy as np
import pytest

from gestalt3d.synth import beds, fittings, props, sanitary, seating, storage, tables
from gestalt3d.synth.placement import Maker
from gestalt3d.synth.shapes import Builder, mirrored, turned

MAKERS: dict[str, tuple[Maker, tuple[float, float], tuple[float, float]]] = {
    "chair": (seating.chair, (0.35, 0.9), (0.7, 1.2)),
    "office_chair": (seating.office_chair, (0.4, 0.9), (0.75, 1.5)),
    "stool": (seating.stool, (0.25, 0.7), (0.35, 0.85)),
    "bench": (seating.bench, (0.8, 2.0), (0.35, 0.95)),
    "sofa": (seating.sofa, (1.0, 3.8), (0.6, 1.1)),
    "armchair": (seating.armchair, (0.55, 1.2), (0.6, 1.25)),
    "table": (tables.table, (0.6, 2.1), (0.65, 0.8)),
    "coffee_table": (tables.coffee_table, (0.45, 1.4), (0.28, 0.55)),
    "desk": (tables.desk, (0.95, 1.9), (0.68, 1.7)),
    "bookcase": (storage.bookcase, (0.35, 1.8), (0.6, 2.4)),
    "cabinet": (storage.cabinet, (0.35, 2.5), (0.4, 2.5)),
    "dresser": (storage.dresser, (0.65, 1.7), (0.65, 1.3)),
    "night_stand": (storage.night_stand, (0.3, 0.7), (0.35, 0.75)),
    "fridge": (storage.fridge, (0.5, 1.0), (0.8, 2.0)),
    "bed": (beds.bed, (0.8, 2.2), (0.35, 1.4)),
    "toilet": (sanitary.toilet, (0.3, 0.5), (0.35, 1.0)),
    "sink": (sanitary.sink, (0.35, 1.4), (0.3, 1.2)),
    "bathtub": (sanitary.bathtub, (1.3, 1.9), (0.4, 0.85)),
    "monitor": (props.monitor, (0.2, 1.5), (0.15, 0.75)),
    "garbage_bin": (props.garbage_bin, (0.15, 0.6), (0.2, 0.9)),
    "plant": (props.plant, (0.1, 2.2), (0.2, 2.2)),
    "bag": (props.bag, (0.1, 0.8), (0.1, 1.2)),
    "pillow": (props.pillow, (0.3, 0.75), (0.05, 0.35)),
    "box": (props.box, (0.15, 0.9), (0.1, 0.8)),
    "book": (props.books, (0.04, 0.6), (0.005, 0.45)),
    "board": (fittings.board, (0.75, 3.3), (0.6, 1.4)),
    "picture": (fittings.picture, (0.2, 1.3), (0.2, 1.0)),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_sizes_are_those_of_real_furniture(kind: str) -> None:
    maker, width, height = MAKERS[kind]
    sizes = []
    for seed in range(25):
        shape = maker(np.random.default_rng(seed))
        assert shape.kind == kind
        points = np.concatenate([p.vertices for p in shape.parts])
        assert np.isfinite(points).all()
        low, high = points.min(0), points.max(0)
        assert width[0] <= high[0] - low[0] <= width[1]
        assert height[0] <= high[2] - low[2] <= height[1]
        assert kind == "sink" or abs(low[2]) < 0.06
        for part in shape.parts:
            assert part.name and len(part.materials)
            assert part.faces.min() >= 0 and part.faces.max() < len(part.vertices)
        sizes.append(tuple((high - low).round(3)))
    assert len(set(sizes)) > 20, "designs vary"


@pytest.mark.parametrize("kind", MAKERS)
def test_a_generator_decides_everything(kind: str) -> None:
    maker = MAKERS[kind][0]
    a, b = maker(np.random.default_rng(7)), maker(np.random.default_rng(7))
    assert all(
        np.array_equal(p.vertices, q.vertices) and p.materials == q.materials
        for p, q in zip(a.parts, b.parts, strict=True)
    )


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed volume of a closed surface: positive when faces look outwards."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_solids_face_outwards() -> None:
    b = Builder()
    rng = np.random.default_rng(0)
    m = seating.chair(rng).parts[0].materials[0]
    b.box("box", (0, 0, 0), (1, 2, 3), m)
    b.rounded("rounded", (0, 0, 0), (1, 1, 1), 0.2, m)
    b.cylinder("cylinder", (0, 0, 0), (0.3, 0.2, 1), 0.5, 0.4, m, 24)
    b.lathe("lathe", [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)], m, sides=48)
    b.prism("prism", np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float), 0.0, 1.0, m)
    b.blob("blob", (0, 0, 0), (0.5, 0.5, 0.5), rng, m, bumps=0.0, rings=33, sides=48)
    expected = [6.0, None, None, np.pi / 4, 1.0, np.pi / 6]
    for part, truth in zip(b.parts, expected, strict=True):
        found = volume(part.vertices, part.faces)
        assert found > 0.3, part.name
        if truth is not None:
            assert found == pytest.approx(truth, rel=0.02)


def test_mirroring_keeps_faces_outwards() -> None:
    shape = storage.night_stand(np.random.default_rng(0))
    before = [volume(p.vertices, p.faces) for p in shape.parts]
    after = [volume(p.vertices, p.faces) for p in mirrored(shape).parts]
    assert after == pytest.approx(before)


def test_a_turned_shape_stands_on_the_ground() -> None:
    shape = turned(props.bag(np.random.default_rng(2)), pitch=0.7, roll=-0.4)
    points = np.concatenate([p.vertices for p in shape.parts])
    assert points[:, 2].min() == pytest.approx(0, abs=1e-9)
    assert np.allclose(shape.low, points.min(0)) and np.allclose(shape.high, points.max(0))
