"""Objects of one photo, completed behind what hides them: found by a model, or given as masks by anyone else."""

import torch

import gestalt3d as g3

# Or a photo: g3.load_input("photo.jpg").
seen = g3.open_data("photos:val", limit=4)[3]
model = g3.load("auto")
found = model.segment(seen.input)
print(found)
g3.save_picture("photo.png", seen.input, found, panels=("rgb", "instance"))
g3.save_page("photo.html", seen.input, found)  # its meshes can be turned

# Visible masks from a detector of your own, or by hand, as pixels counted row by row; here the true ones.
masks = g3.Instances(
    masks=seen.truth.masks,
    classes=torch.full((len(seen.truth),), -1),  # nobody says what they are
    scores=torch.ones(len(seen.truth)),
    vocabulary=seen.truth.vocabulary,
)
completed = model.refine(seen.input, masks)
assert completed.whole is not None and seen.truth.whole is not None
for i in range(len(completed)):
    visible, whole, true = len(completed.masks[i]), len(completed.whole[i]), len(seen.truth.whole[i])
    kind = seen.truth.class_name(i)
    print(f"{kind}: {visible:,} pixels visible, {whole:,} with what hides them, truly {true:,}")
