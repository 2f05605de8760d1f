"""Files to structures and back. Nothing is imported before it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gestalt3d.io.atomic import atomic_path
    from gestalt3d.io.clouds import CLOUD_SUFFIXES, find_clouds, is_cloud_folder, load_cloud, save_cloud
    from gestalt3d.io.inputs import INPUT_SUFFIXES, find_inputs, is_frame, load_input
    from gestalt3d.io.instances import (
        expect_writable,
        load_instances,
        save_instances,
        save_objects,
        save_shapes,
    )
    from gestalt3d.io.submission import Submission

__all__ = [
    "load_input",
    "find_inputs",
    "is_frame",
    "INPUT_SUFFIXES",
    "load_cloud",
    "save_cloud",
    "find_clouds",
    "is_cloud_folder",
    "CLOUD_SUFFIXES",
    "load_instances",
    "save_instances",
    "save_objects",
    "save_shapes",
    "expect_writable",
    "Submission",
    "atomic_path",
]

_HOMES = {
    "load_input": "inputs",
    "find_inputs": "inputs",
    "is_frame": "inputs",
    "INPUT_SUFFIXES": "inputs",
    "load_cloud": "clouds",
    "save_cloud": "clouds",
    "find_clouds": "clouds",
    "is_cloud_folder": "clouds",
    "CLOUD_SUFFIXES": "clouds",
    "load_instances": "instances",
    "save_instances": "instances",
    "save_objects": "instances",
    "save_shapes": "instances",
    "expect_writable": "instances",
    "Submission": "submission",
    "atomic_path": "atomic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
