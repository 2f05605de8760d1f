"""Results as JSON: whole or not there, without what JSON does not know."""

import json
from pathlib import Path

import numpy as np
import pytest

from gestalt3d.errors import UserError
from gestalt3d.io.json_files import write_json


def test_json_holds_null_for_undefined(tmp_path) -> None:
    data = {
        "a": float("nan"),
        "b": [1, np.float64(0.5), np.int64(3)],
        "c": np.array([1.0, np.inf]),
        "d": None,
        "e": tmp_path,
    }
    write_json(tmp_path / "out.json", data)
    expected = {"a": None, "b": [1, 0.5, 3], "c": [1.0, None], "d": None, "e": str(tmp_path)}
    assert json.loads((tmp_path / "out.json").read_text()) == expected


def test_json_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"out\.json: cannot be written: a part of the path is a file"):
        write_json(tmp_path / "file" / "out.json", {})
    (tmp_path / "out.json").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_json(tmp_path / "out.json", {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "out.json"]


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "out.json", {"a": 1})
    assert json.loads((tmp_path / "new" / "out.json").read_text()) == {"a": 1}
