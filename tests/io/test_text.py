"""Points as lines of text."""

from pathlib import Path

import numpy as np
import pytest

from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud

RNG = np.random.default_rng(0)
XYZ = RNG.uniform(-2, 2, (40, 3)).round(4)
RGB = RNG.integers(0, 256, (40, 3))
NORMALS = RNG.normal(size=(40, 3))
NORMALS /= np.linalg.norm(NORMALS, axis=1, keepdims=True)
LABEL = RNG.integers(0, 5, (40, 1))


def rows(*columns: np.ndarray, sep: str = " ", end: str = "\n") -> str:
    return "".join(
        sep.join(repr(v.item()) for part in row for v in part) + end for row in zip(*columns, strict=True)
    )


CASES = {
    "xyz": ("a.xyz", rows(XYZ), None),
    "colors": ("a.xyz", rows(XYZ, RGB), "bytes"),
    "unit colors": ("a.txt", rows(XYZ, RGB / 255), "bytes"),
    "windows lines": ("a.txt", rows(XYZ, RGB, end="\r\n"), "bytes"),
    "tabs": ("a.txt", rows(XYZ, RGB, sep="\t"), "bytes"),
    "commas": ("a.csv", rows(XYZ, RGB, sep=","), "bytes"),
    "commas and blanks": ("a.csv", rows(XYZ, RGB, sep=", "), "bytes"),
    "semicolons": ("a.csv", rows(XYZ, RGB, sep=";"), "bytes"),
    "decimal commas": ("a.csv", rows(XYZ, RGB, sep=";").replace(".", ","), "bytes"),
    "header": ("a.csv", "X,Y,Z,Red,Green,Blue\n" + rows(XYZ, RGB, sep=","), "bytes"),
    "quoted header": ("a.csv", '"x";"y";"z";"r";"g";"b"\n' + rows(XYZ, RGB, sep=";"), "bytes"),
    "header in another order": (
        "a.csv",
        "id,b,g,r,z,y,x\n" + rows(LABEL, RGB[:, ::-1], XYZ[:, ::-1], sep=","),
        "bytes",
    ),
    "comment as header": ("a.asc", "//X Y Z R G B Label\n40\n" + rows(XYZ, RGB, LABEL), "bytes"),
    "comments inside": (
        "a.txt",
        "# made by hand\n" + rows(XYZ[:20], RGB[:20]) + "# more\n\n" + rows(XYZ[20:], RGB[20:]),
        "bytes",
    ),
    "byte order mark": ("a.txt", "\ufeff" + rows(XYZ, RGB), "bytes"),
    "pts": ("a.pts", "40\n" + rows(XYZ, LABEL * 100 - 200, RGB), "bytes"),
    "pts without colors": ("a.pts", "40\n" + rows(XYZ, LABEL), None),
    "intensity then colors": ("a.txt", rows(XYZ, LABEL * 1000.5, RGB), "bytes"),
    "colors then label": ("a.txt", rows(XYZ, RGB, LABEL), "bytes"),
    "normals": ("a.txt", rows(XYZ, NORMALS), "normals"),
    "normals then label": ("a.txt", rows(XYZ, NORMALS, LABEL), "normals"),
    "colors then normals": ("a.txt", rows(XYZ, RGB, NORMALS), "both"),
    "normals then colors": ("a.txt", rows(XYZ, NORMALS, RGB), "both"),
    "intensity": ("a.txt", rows(XYZ, LABEL), None),
}


@pytest.mark.parametrize("name", CASES)
def test_columns_find_their_roles(tmp_path: Path, name: str) -> None:
    file, text, role = CASES[name]
    path = tmp_path / file
    path.write_bytes(text.encode("utf-8"))
    cloud = load_cloud(path)
    np.testing.assert_allclose(cloud.points.numpy(), XYZ, atol=1e-6)
    assert (cloud.colors is not None) == (role in ("bytes", "both"))
    assert (cloud.normals is not None) == (role in ("normals", "both"))
    if cloud.colors is not None:
        np.testing.assert_allclose(cloud.colors.numpy() * 255, RGB, atol=1e-3)
    if cloud.normals is not None:
        np.testing.assert_allclose(cloud.normals.numpy(), NORMALS, atol=1e-6)


def test_nan_rows_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("nan nan nan\n1 2 3\ninf 0 0\n4 5 6\n")
    cloud = load_cloud(tmp_path / "a.xyz")
    assert cloud.points.isfinite().all(1).tolist() == [False, True, False, True]
    assert cloud.source is not None and any("2 of 4 points are not finite" in n for n in cloud.source.notes)


BAD = {
    "word in a row": ("a.xyz", rows(XYZ) + "1 2 three\n", r"line 41 says 'three'"),
    "short row": ("a.xyz", rows(XYZ) + "1 2\n" + rows(XYZ), r"line 41 has 2 columns instead of 3"),
    "gap": ("a.csv", rows(XYZ, sep=",") + "1,,2\n", "line 41 says ''"),
    "two columns": ("a.txt", "1 2\n3 4\n", "2 columns"),
    "prose": ("a.txt", "The quick brown fox\njumps over the lazy dog\n", "no rows of numbers"),
    "nothing but comments": ("a.txt", "# a\n# b\n", "no rows of numbers"),
    "too many claimed": ("a.pts", "41\n" + rows(XYZ), "ends after 40 of 41"),
    "far too many claimed": ("a.pts", "123456789012\n" + rows(XYZ), "more than fit"),
    "none": ("a.pts", "0\n", "no points"),
    "blank": ("a.xyz", " \n\n", "no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_named(tmp_path: Path, name: str) -> None:
    file, text, message = BAD[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=message):
        load_cloud(tmp_path / file)


def test_binary_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UserError, match="no text"):
        load_cloud(tmp_path / "a.xyz")
