"""Your own labelled scans with your own classes: fine-tune a shipped model on them and use what comes out.

The first argument, if any, names another model to start from: a shipped name or a weight file.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch

import gestalt3d as g3
from gestalt3d.data.folder import save_scan
from gestalt3d.recipes import recipe

start = sys.argv[1] if len(sys.argv) > 1 else "asis-rooms"

# Labels of your own: every scan is a cloud, and instances with a class each. Here synthetic rooms under names that
# the shipped model has never heard of.
MINE = g3.Vocabulary("mine", ("building", "seat", "surface", "rest"), structure=frozenset({"building"}))
NAMES = {"building": ("floor", "wall", "ceiling", "door", "window", "beam", "column")}
NAMES |= {
    "seat": ("chair", "office_chair", "armchair", "stool", "sofa"),
    "surface": ("table", "desk", "counter"),
}


def under_my_names(scan: g3.Scan) -> g3.Scan:
    old = scan.truth
    mine = {name: MINE.id(word) for word, names in NAMES.items() for name in names}
    classes = torch.tensor([mine.get(old.class_name(i), MINE.id("rest")) for i in range(len(old))])
    return g3.Scan(scan.name, scan.input, g3.Instances.from_labels(old.to_labels(), classes, vocabulary=MINE))


# A folder holds <name>.ply with <name>.gt.npz beside it. `gestalt3d data check folder --root my_scans` counts them.
for seed in range(3):
    save_scan("my_scans", under_my_names(g3.make_room(seed)))

# As `gestalt3d train asis-folder --root my_scans --init asis-rooms` does, only far shorter: use 500 steps or more.
base = recipe("asis-folder")
short = replace(base.optim, steps=4, precision="no")
run = Path("runs/mine")
weights = g3.train(
    replace(base, root=Path("my_scans"), init=(start,), optim=short, scans_per_step=1, workers=0),
    run,
    resume=(run / "last.safetensors").exists(),  # run again, this goes on, or has nothing left to do
)

model = g3.load(weights)
print("classes:", ", ".join(model.vocabulary.names))
new = g3.make_room(2_000_007).input
found = model.segment(new)
for name in model.vocabulary.names:
    rows = found.classes == found.class_id(name)
    print(f"{name:10} {int(rows.sum()):3} instances, {int(found.sizes[rows].sum()):6,} points")
