"""gestalt3d: object instances from scans. The public API, loaded on first use so that the import stays cheap."""

from typing import TYPE_CHECKING

from gestalt3d.lazy import on_first_use

__version__ = "0.1.0"

_PUBLIC = {
    # files
    "load_input": "gestalt3d.io",
    "load_cloud": "gestalt3d.io",
    "save_cloud": "gestalt3d.io",
    "load_instances": "gestalt3d.io",
    "save_instances": "gestalt3d.io",
    "save_objects": "gestalt3d.io",
    "Submission": "gestalt3d.io",
    # structures
    "PointCloud": "gestalt3d.structures.pointcloud",
    "View": "gestalt3d.structures.view",
    "Camera": "gestalt3d.structures.camera",
    "Mesh": "gestalt3d.structures.mesh",
    "VoxelGrid": "gestalt3d.structures.voxelgrid",
    "Sets": "gestalt3d.structures.sets",
    "Instances": "gestalt3d.structures.instances",
    "Sample": "gestalt3d.structures.samples",
    "Scan": "gestalt3d.structures.samples",
    "Vocabulary": "gestalt3d.structures.vocabulary",
    # methods and what one does with them
    "load": "gestalt3d.engine.model",
    "Model": "gestalt3d.engine.model",
    "evaluate": "gestalt3d.engine.evaluate",
    "train": "gestalt3d.engine.train",
    "open_data": "gestalt3d.data",
    "make_room": "gestalt3d.synth.rooms",
    "make_view": "gestalt3d.synth.views",
    "score": "gestalt3d.metrics.official",
    # looking
    "view": "gestalt3d.viewer",
    "save_page": "gestalt3d.viewer",
    "save_picture": "gestalt3d.viewer",
    # errors
    "UserError": "gestalt3d.errors",
}

__all__ = [
    "__version__",
    "load_input",
    "load_cloud",
    "save_cloud",
    "load_instances",
    "save_instances",
    "save_objects",
    "Submission",
    "PointCloud",
    "View",
    "Camera",
    "Mesh",
    "VoxelGrid",
    "Sets",
    "Instances",
    "Sample",
    "Scan",
    "Vocabulary",
    "load",
    "Model",
    "evaluate",
    "train",
    "open_data",
    "make_room",
    "make_view",
    "score",
    "view",
    "save_page",
    "save_picture",
    "UserError",
]

if TYPE_CHECKING:
    from gestalt3d.data import open_data
    from gestalt3d.engine.evaluate import evaluate
    from gestalt3d.engine.model import Model, load
    from gestalt3d.engine.train import train
    from gestalt3d.errors import UserError
    from gestalt3d.io import (
        Submission,
        load_cloud,
        load_input,
        load_instances,
        save_cloud,
        save_instances,
        save_objects,
    )
    from gestalt3d.metrics.official import score
    from gestalt3d.structures.camera import Camera
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.mesh import Mesh
    from gestalt3d.structures.pointcloud import PointCloud
    from gestalt3d.structures.samples import Sample, Scan
    from gestalt3d.structures.sets import Sets
    from gestalt3d.structures.view import View
    from gestalt3d.structures.vocabulary import Vocabulary
    from gestalt3d.structures.voxelgrid import VoxelGrid
    from gestalt3d.synth.rooms import make_room
    from gestalt3d.synth.views import make_view
    from gestalt3d.viewer import save_page, save_picture, view


__getattr__ = on_first_use(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return sorted(__all__)
