"""Official file formats in, official numbers out: the ScanNet instance benchmark without its tools."""

from pathlib import Path

import numpy as np

import gestalt3d as g3
from gestalt3d.structures.vocabulary import SCANNET18

rng = np.random.default_rng(0)
gt, pred = Path("gt"), Path("pred")
(pred / "masks").mkdir(parents=True, exist_ok=True)
gt.mkdir(exist_ok=True)

# gt/<scene>.txt: label * 1000 + instance of every vertex, 0 for nothing. Here twelve objects in a row.
labels = rng.choice(SCANNET18.official_ids, 12)
truth = np.repeat(labels * 1000 + np.arange(1, 13), 500)
np.savetxt(gt / "scene0000_00.txt", truth, fmt="%d")

# pred/<scene>.txt: mask file, label, confidence. Here every object found, its mask shifted by up to 200 vertices.
lines = []
for i, label in enumerate(labels):
    first = 500 * i + rng.integers(0, 200)
    mask = np.zeros(len(truth), dtype=int)
    mask[first : first + 500] = 1
    np.savetxt(pred / "masks" / f"{i}.txt", mask, fmt="%d")
    lines.append(f"masks/{i}.txt {label} {rng.random():.3f}\n")
(pred / "scene0000_00.txt").write_text("".join(lines), encoding="utf-8")

# The same as `gestalt3d score scannet --gt gt --pred pred`: fractions, None where a class does not occur.
figures = g3.score("scannet", gt, pred)
print({name: round(figures[name], 3) for name in ("AP", "AP50", "AP25")})
print({name: values["AP50"] for name, values in figures["per_class"].items() if values["AP50"] is not None})
