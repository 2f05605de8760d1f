"""Small labelled scenes that tests make in milliseconds."""

from pathlib import Path

from gestalt3d.testing import tiny_scan

__all__ = ["save_folder", "tiny_scan"]


def save_folder(folder: Path, count: int = 2) -> Path:
    """`count` tiny scans as PLY with their labels beside."""
    from gestalt3d.data.folder import save_scan

    for seed in range(count):
        save_scan(folder, tiny_scan(seed))
    return folder
