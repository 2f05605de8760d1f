import subprocess
import sys

import numpy as np
import pytest

from gestalt3d.structures.vocabulary import S3DIS, SCANNET18, SCANNET20, SYNTH, VOCABULARIES, Vocabulary
from gestalt3d.viewer.palette import class_colors, height_colors, instance_colors, oklab, score_colors

# Viénot, Brettel & Mollon 1999, and a plane of that kind for tritanopes; another model than the palette uses.
_LMS = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
# A tritanope keeps the plane of white and red.
_TRITAN = np.cross(_LMS @ [1, 1, 1], _LMS @ [1, 0, 0])
_MISSING = {
    "normal": np.eye(3),
    "protanope": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "deuteranope": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    "tritanope": np.array([[1, 0, 0], [0, 1, 0], -_TRITAN / np.array([_TRITAN[2], _TRITAN[2], np.inf])]),
}


def seen_by(colors: np.ndarray, eyes: str) -> np.ndarray:
    linear = (colors / 255.0) ** 2.2
    linear = linear @ (np.linalg.inv(_LMS) @ _MISSING[eyes] @ _LMS).T
    return np.rint(np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def distances(colors: np.ndarray) -> np.ndarray:
    lab = oklab(colors)
    return np.linalg.norm(lab[:, None] - lab[None], axis=2)[np.triu_indices(len(colors), 1)]


@pytest.mark.parametrize(
    ("eyes", "least"), [("normal", 0.10), ("protanope", 0.05), ("deuteranope", 0.05), ("tritanope", 0.04)]
)
def test_the_first_twelve_instances_differ_for_all_eyes(eyes: str, least: float) -> None:
    """A just noticeable difference is about 0.02 in OKLab."""
    assert distances(seen_by(instance_colors(12), eyes)).min() >= least


def test_the_colour_of_an_instance_depends_on_its_number_only() -> None:
    np.testing.assert_array_equal(instance_colors(300)[:7], instance_colors(7))
    assert instance_colors(0).shape == (0, 3)
    assert instance_colors(5000).dtype == np.uint8


def test_consecutive_instances_are_far_apart() -> None:
    lab = oklab(instance_colors(2000))
    assert np.linalg.norm(np.diff(lab, axis=0), axis=1).min() > 0.05


def test_a_class_has_one_colour_in_all_vocabularies() -> None:
    colors = [
        dict(zip(v.names, class_colors(v).tolist(), strict=True))
        for v in (SYNTH, S3DIS, SCANNET20, SCANNET18)
    ]
    assert colors[0]["chair"] == colors[1]["chair"] == colors[2]["chair"] == colors[3]["chair"]
    assert colors[1]["bookcase"] == colors[2]["bookshelf"]
    reordered = Vocabulary("other", tuple(reversed(S3DIS.names)))
    np.testing.assert_array_equal(class_colors(reordered)[::-1], class_colors(S3DIS))


@pytest.mark.parametrize("title", ["synth", "s3dis", "scannet20", "toyboxes"])
def test_classes_of_one_vocabulary_differ(title: str) -> None:
    assert distances(class_colors(VOCABULARIES[title])).min() > 0.035


def test_unknown_class_names_get_a_colour_of_their_own() -> None:
    strange = Vocabulary("strange", ("Zeppelin", "<b>", "日本", ""))
    assert class_colors(strange).shape == (4, 3)
    assert class_colors(Vocabulary("none", ())).shape == (0, 3)


@pytest.mark.parametrize("ramp", [score_colors, height_colors])
def test_ramps_grow_lighter(ramp) -> None:
    lightness = oklab(ramp(np.linspace(0, 1, 65)))[:, 0]
    assert (np.diff(lightness) > 0).all()


def test_scores_outside_and_without_number_are_drawn() -> None:
    colors = score_colors(np.array([-1.0, 0.0, 1.0, 3.0, np.nan]))
    np.testing.assert_array_equal(colors[0], colors[1])
    np.testing.assert_array_equal(colors[2], colors[3])
    assert np.ptp(colors[4].astype(int)) < 20


def test_the_palette_needs_numpy_only() -> None:
    code = (
        "import sys, gestalt3d.viewer.palette; sys.exit(bool({'torch', 'numba', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
