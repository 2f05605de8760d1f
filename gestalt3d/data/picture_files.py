"""Pictures of single objects as files.

rgb/NAME.png           8 bits
intrinsics/NAME.txt    3 x 3, pixels; whole numbers are the centres of pixels
instance/NAME.png      1 at the pixels at which the object is seen, 0 elsewhere
semantic/NAME.png      class from 1 on in the order of classes.txt, 0 none
amodal/NAME_001.png    8 bits, 255 where the object were seen if nothing stood in front
objects/NAME.json      class, pixels, box in the image, and from where it is seen: radians, units of the mesh
shapes/OBJECT.glb      the mesh, once for all pictures of an object; its box's diagonal is 1, its front +z, up +y
classes.txt            a class in each line
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from gestalt3d.data.view_files import rows_of, save_image, save_masks, save_text
from gestalt3d.io import atomic_path
from gestalt3d.io.surfaces import write_glb
from gestalt3d.structures.mesh import Mesh
from gestalt3d.synth.objects.pictures import ObjectView


def save_picture(root: Path | str, seen: ObjectView) -> Path:
    """Write all files of a picture below `root`; returns its colour image. `UserError` where that cannot be."""
    folder, name, truth, camera = Path(root), seen.name, seen.truth, seen.input.camera
    assert camera is not None and truth.shapes is not None and isinstance(truth.shapes[0], Mesh)
    rgb = folder / "rgb" / f"{name}.png"
    save_image(rgb, (seen.input.image.permute(1, 2, 0) * 255).round().byte().numpy())
    save_text(folder / "intrinsics" / f"{name}.txt", rows_of(camera.intrinsics))
    save_masks(folder, name, truth, (camera.size[1], camera.size[0]))
    save_text(folder / "objects" / f"{name}.json", json.dumps(_about(seen), indent=1))
    shape = folder / "shapes" / f"{seen.object_name}.glb"
    if not shape.exists():
        mesh = truth.shapes[0].moved(np.linalg.inv(seen.viewpoint.view_from_object))
        with atomic_path(shape) as temporary, temporary.open("wb") as stream:
            write_glb(
                stream,
                mesh.vertices.numpy(),
                mesh.faces.numpy(),
                name=seen.object_name,
                color=(190, 190, 190),
            )
    return rgb


def _about(seen: ObjectView) -> dict[str, Any]:
    truth = seen.truth
    assert truth.whole is not None and truth.image_boxes is not None
    return {
        "name": seen.name,
        "object": seen.object_name,
        "class": truth.class_name(0),
        "visible_pixels": int(truth.sizes[0]),
        "amodal_pixels": int(truth.whole.sizes[0]),
        "image_box": truth.image_boxes[0].int().tolist(),
        "viewpoint": {name: round(value, 6) for name, value in seen.viewpoint._asdict().items()},
    }
