"""Points as lines of text."""

import re
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


def quoted(text: str) -> str:
    """Every cell between bars or commas in quotes."""
    return re.sub(r"[^|,\n]+", lambda m: f'"{m[0]}"', text)


ID = np.arange(40)[:, None] + 1000
WHOLE = np.array([[1.0, -2.0, 0.0]])
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
    "an id and blanks in the names": (
        "a.csv",
        "Point ID,X,Y,Z,R,G,B\n" + rows(ID, XYZ, RGB, sep=","),
        "bytes",
    ),
    "survey names": (
        "a.csv",
        "id,Easting,Northing,Height,Red,Green,Blue\n" + rows(ID, XYZ, RGB, sep=","),
        "bytes",
    ),
    "x, y and a height": ("a.csv", "ID,X,Y,Height\n" + rows(ID, XYZ, sep=","), None),
    "german survey names": ("a.txt", "Rechtswert\tHochwert\tHöhe\n" + rows(XYZ, sep="\t"), None),
    "names with units": ("a.csv", '"X [m]";"Y [m]";"Z [m]"\n' + rows(XYZ, sep=";"), None),
    "names of a viewer": ("a.csv", '"Points:0","Points:1","Points:2"\n' + rows(XYZ, sep=","), None),
    "an index without a name": ("a.csv", ",x,y,z\n" + rows(ID, XYZ, sep=","), None),
    "a name twice": ("a.csv", "z,easting,northing,height\n" + rows(LABEL, XYZ, sep=","), None),
    "names by commas over blanks": ("a.txt", "x,y,z,r,g,b\n" + rows(XYZ, RGB), "bytes"),
    "names by blanks over commas": ("a.csv", "x y z r g b\n" + rows(XYZ, RGB, sep=","), "bytes"),
    "a title above the names": ("a.csv", "Scan of 2024\n\nX,Y,Z\n" + rows(XYZ, sep=","), None),
    "a line of units below the names": ("a.csv", "X,Y,Z\n[m],[m],[m]\n" + rows(XYZ, sep=","), None),
    "a title alone": ("a.txt", "the north hall as scanned\n" + rows(XYZ), None),
    "float colours by name": ("a.txt", "//X Y Z Rf Gf Bf\n" + rows(XYZ, RGB / 255), "bytes"),
    "mean colours": ("a.xyz", rows(XYZ, RGB + 0.25), "means"),
    "colours from -1": ("a.xyz", rows(XYZ, RGB / 127.5 - 1), "bytes"),
    "float colours as scalar fields": (
        "a.csv",
        "X,Y,Z,scalar_Rf,scalar_Gf,scalar_Bf\n" + rows(XYZ, RGB / 255, sep=","),
        "bytes",
    ),
    "normals by name": ("a.txt", "# x y z Nx Ny Nz\n" + rows(XYZ, NORMALS), "normals"),
    "quoted numbers": ("a.csv", quoted(rows(XYZ, RGB, sep="|")).replace("|", ","), "bytes"),
    "quotes further down": ("a.csv", rows(XYZ[:5], sep=",") + quoted(rows(XYZ[5:], sep=",")), None),
    "quoted decimal commas": (
        "a.csv",
        quoted(rows(XYZ, RGB, sep="|")).replace(".", ",").replace("|", ","),
        "bytes",
    ),
    "commas at the end": ("a.csv", rows(XYZ, RGB, sep=",", end=",\n"), "bytes"),
    "commas at the end, names": ("a.csv", "x,y,z,\n" + rows(XYZ, sep=",", end=",\n"), None),
    "semicolons at the end": ("a.csv", rows(XYZ, RGB, sep=";", end=";;\n").replace(".", ","), "bytes"),
    "tabs at the end": ("a.txt", "x\ty\tz\t\n" + rows(XYZ, sep="\t", end="\t\n"), None),
    "blanks at the end": ("a.txt", rows(XYZ, RGB, end="  \n"), "bytes"),
    "decimal commas by blanks": ("a.xyz", rows(XYZ, RGB).replace(".", ","), "bytes"),
    "decimal commas by tabs": ("a.txt", "x\ty\tz\n" + rows(XYZ, sep="\t").replace(".", ","), None),
    "decimal commas after whole numbers": (
        "a.csv",
        "x;y;z\n" + rows(np.vstack([WHOLE, XYZ[1:]]), sep=";").replace(".0;", ";").replace(".", ","),
        "first whole",
    ),
    "two stations": ("a.pts", "15\n" + rows(XYZ[:15]) + "25\n" + rows(XYZ[15:]), None),
    "three stations": (
        "a.pts",
        "10\n" + rows(XYZ[:10], RGB[:10]) + "\n0\n30\n" + rows(XYZ[10:], RGB[10:]),
        "bytes",
    ),
    "a count too short": ("a.pts", "15\n" + rows(XYZ), None),
}


@pytest.mark.parametrize("name", CASES)
def test_columns_find_their_roles(tmp_path: Path, name: str) -> None:
    file, text, role = CASES[name]
    path = tmp_path / file
    path.write_bytes(text.encode("utf-8"))
    cloud = load_cloud(path)
    expected = np.vstack([WHOLE, XYZ[1:]]) if role == "first whole" else XYZ
    np.testing.assert_allclose(cloud.points.numpy(), expected, atol=1e-6)
    assert (cloud.colors is not None) == (role in ("bytes", "both", "means"))
    assert (cloud.normals is not None) == (role in ("normals", "both"))
    if cloud.colors is not None:
        np.testing.assert_allclose(cloud.colors.numpy() * 255, RGB, atol=0.26 if role == "means" else 1e-3)
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
    "names without coordinates": (
        "a.csv",
        "id,width,height\n" + rows(XYZ, sep=","),
        "none of its columns id, width, height is a coordinate",
    ),
    "degrees": ("a.csv", "lat,lon,alt\n" + rows(XYZ, sep=","), "degrees; project them"),
    "too few names": (
        "a.csv",
        "x,y,z\n" + rows(XYZ, RGB, sep=","),
        r"names 3 columns \(x, y, z\), but its rows have 6",
    ),
    "decimal commas between commas": (
        "a.csv",
        "x,y,z\n" + rows(XYZ, sep=",").replace(".", ","),
        "replace decimal commas by points",
    ),
    "decimal commas between commas, no names": (
        "a.csv",
        rows(XYZ, sep=",").replace(".", ","),
        "write decimal points, or set the numbers apart",
    ),
    "words after the numbers": ("a.csv", "x,y,z,label\n" + "1,2,3,chair\n" * 9, "'chair' among the numbers"),
    "words before the numbers": ("a.txt", "chair 1 2 3\n" * 40, "'chair' among the numbers"),
    "a class first": ("a.txt", rows(LABEL, XYZ + 0.00005), "is an id or a class and not x"),
    "one class first": ("a.txt", rows(0 * LABEL, XYZ + 0.00005, RGB), "is an id or a class and not x"),
    "an id first": ("a.txt", rows(ID, XYZ + 0.00005, RGB), "is an id or a class and not x"),
    "a grid of heights": (
        "a.asc",
        "ncols 4\nnrows 2\nxllcorner 0.0\nyllcorner 0.0\ncellsize 1.0\nNODATA_value -9999\n1.5 2 3 4\n2 3 4 5\n",
        "grid of heights",
    ),
    "a text about something": (
        "a.txt",
        "# Office\nThe scans of 2024.\nColumns are as follows, an example:\n1 2 3\nThanks.\n",
        "begins with text",
    ),
    "a station cut off": ("a.pts", "15\n" + rows(XYZ[:15]) + "26\n" + rows(XYZ[15:]), "ends after 25 of 26"),
    "a station that claims too much": (
        "a.pts",
        "15\n" + rows(XYZ[:15]) + "999999999\n1 2 3\n",
        "more than fit",
    ),
    "thousands": ("a.csv", "x;y;z\n1.234,5;2;3\n", "no rows of numbers"),
    "no value": ("a.csv", "x,y,z\n" + rows(XYZ, sep=",") + "1,NULL,3\n", "'NULL' where a number belongs"),
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


SAID = {
    "id": ("Point ID,X,Y,Z,R,G,B", "columns: position from X, Y, Z; colour from R, G, B; not used: Point ID"),
    "survey": ("E,N,H,a,b,c,d", "columns: position from E, N, H; not used: a, b, c, d"),
    "no names": ("", "columns by number: position from 1, 2, 3; colour from 4, 5, 6; not used: 7"),
}


@pytest.mark.parametrize("name", SAID)
def test_one_note_says_which_columns_were_taken(tmp_path: Path, name: str) -> None:
    names, note = SAID[name]
    columns = (LABEL, XYZ, RGB) if name == "id" else (XYZ, RGB, LABEL)
    (tmp_path / "a.csv").write_text(names + "\n" + rows(*columns, sep=","))
    source = load_cloud(tmp_path / "a.csv").source
    assert source is not None and len(source.notes) == 1 and source.notes[0].startswith(note)


def test_nothing_is_said_of_plain_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("X,Y,Z,R,G,B\n" + rows(XYZ, RGB, sep=","))
    source = load_cloud(tmp_path / "a.csv").source
    assert source is not None and "columns" not in "".join(source.notes)


def test_a_count_that_is_not_the_number_of_rows_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.pts").write_text("15\n" + rows(XYZ))
    source = load_cloud(tmp_path / "a.pts").source
    assert (
        source is not None and "its count says 15 points, but more rows follow: all are read" in source.notes
    )


def test_results_of_a_table_have_x_y_z_whatever_the_columns_were_called(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Point ID,Easting,Northing,Height\n" + rows(ID, XYZ, sep=","))
    source = load_cloud(tmp_path / "a.csv").source
    assert source is not None and source.table is not None
    assert source.table.dtype.names == ("point_id", "x", "y", "z")
