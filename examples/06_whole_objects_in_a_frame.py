"""What one RGB-D frame hides: whole objects of a synthetic room, boxes that no pixel shows all of included."""

import gestalt3d as g3

# Or a folder with a colour image and its depth: g3.load_input("my_frame").
seen = g3.open_data("views:val", limit=1)[0]
found = g3.load("a3is-rooms").segment(seen.input, min_score=0.3)
print(found)
assert found.amodal_boxes is not None and found.shapes is not None  # shapes are voxels, which "voxels" counts

true_object = seen.truth.to_labels()  # of each pixel, -1 for none; only a synthetic world knows whole objects
true_boxes = seen.truth.amodal_boxes
assert true_boxes is not None
for i, shape in enumerate(found.shapes):
    size = " x ".join(f"{side:.2f}" for side in found.amodal_boxes[i, 3:6].tolist())
    pixels = found.elements_of(i)
    assert isinstance(shape, g3.VoxelGrid)
    print(f"{found.class_name(i)}: {size} m, {len(shape)} voxels, {len(pixels)} visible pixels")
    owners = true_object[pixels]
    if (owners >= 0).any():
        owner = int(owners[owners >= 0].mode().values)
        size = " x ".join(f"{side:.2f}" for side in true_boxes[owner, 3:6].tolist())
        print(f"    truly {seen.truth.class_name(owner)}: {size} m")
