"""A world of a few boxes, whose picture can be worked out by hand."""

import numpy as np

from gestalt3d.structures.vocabulary import SYNTH
from gestalt3d.synth.colours import Material
from gestalt3d.synth.scanner import World, face_geometry
from gestalt3d.synth.shapes import Builder, Vector
from gestalt3d.synth.views import Stage


def stage_of(*boxes: tuple[str, Vector, Vector]) -> Stage:
    """Boxes by class, lowest and highest corner; nothing else is there."""
    b = Builder()
    for name, low, high in boxes:
        b.box(name, low, high, Material())
    vertices = np.concatenate([part.vertices for part in b.parts])
    faces = np.concatenate([part.faces + 8 * i for i, part in enumerate(b.parts)])
    world = World(
        vertices=vertices,
        faces=faces,
        face_material=np.zeros(len(faces), np.int64),
        face_object=np.repeat(np.arange(len(boxes)), 12),
        materials=np.array([Material().row]),
        frames=np.tile([1.0, 0, 0, 0, 0], (len(boxes), 1)),
        lights=np.zeros((0, 5)),
        ambient=0.5,
        salt=0,
        cells=np.array([[-3.0, -3, 3, 6]]),
        height=2.5,
        obstacles=np.zeros((0, 8)),
    )
    return Stage(world, face_geometry(world)[0], np.array([SYNTH.id(name) for name, _, _ in boxes]))
