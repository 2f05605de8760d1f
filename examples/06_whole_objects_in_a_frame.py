"""What one RGB-D frame hides: whole objects of a synthetic room, boxes and voxels that no pixel shows included."""

import gestalt3d as g3

# Or a folder with a colour image and its depth: g3.load_input("my_frame").
seen = g3.open_data("views:val", limit=1)[0]
found = g3.load("a3is-rooms").segment(seen.input)
print(found)

for thing in found[:5]:
    box, shape = thing.amodal_boxes[0], thing.shapes[0]
    size = " x ".join(f"{side:.2f}" for side in box[3:6].tolist())
    print(f"{thing.class_name(0)}: {size} m, {len(shape)} voxels of {shape.voxel_size * 100:.0f} cm, "
          f"{int(thing.sizes[0])} visible pixels")  # fmt: skip

# Beside the truth, which only a synthetic world knows.
print(seen.truth.class_name(0), "truly", [round(side, 2) for side in seen.truth.amodal_boxes[0, 3:6].tolist()], "m")
