"""Files to structures and back. Nothing is imported before it is used."""

from typing import TYPE_CHECKING

from gestalt3d.lazy import on_first_use

if TYPE_CHECKING:
    from gestalt3d.io.atomic import atomic_path
    from gestalt3d.io.clouds import CLOUD_SUFFIXES, find_clouds, is_cloud_folder, load_cloud, save_cloud
    from gestalt3d.io.inputs import INPUT_SUFFIXES, Found, Inputs, load_input
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
    "Inputs",
    "Found",
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
    "load_input": "gestalt3d.io.inputs",
    "Inputs": "gestalt3d.io.inputs",
    "Found": "gestalt3d.io.inputs",
    "INPUT_SUFFIXES": "gestalt3d.io.inputs",
    "load_cloud": "gestalt3d.io.clouds",
    "save_cloud": "gestalt3d.io.clouds",
    "find_clouds": "gestalt3d.io.clouds",
    "is_cloud_folder": "gestalt3d.io.clouds",
    "CLOUD_SUFFIXES": "gestalt3d.io.clouds",
    "load_instances": "gestalt3d.io.instances",
    "save_instances": "gestalt3d.io.instances",
    "save_objects": "gestalt3d.io.instances",
    "save_shapes": "gestalt3d.io.instances",
    "expect_writable": "gestalt3d.io.instances",
    "Submission": "gestalt3d.io.submission",
    "atomic_path": "gestalt3d.io.atomic",
}

__getattr__ = on_first_use(__name__, _HOMES)
