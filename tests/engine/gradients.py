"""The gradient of one step, batch norm in eval and dropout off, by all processes there are; as a script, for torchrun."""

import os
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from gestalt3d.data import open_data
from gestalt3d.engine.batches import StepBatches
from gestalt3d.engine.recipe import Recipe
from gestalt3d.methods.asis import ASIS, ASISConfig
from gestalt3d.methods.method import START
from gestalt3d.methods.rooms.backbone import PointNet2Config
from gestalt3d.methods.rooms.blocks import LatticeConfig
from gestalt3d.methods.rooms.blockwise import TrainingConfig

MODEL = ASISConfig(
    backbone=PointNet2Config(width_scale=0.25, group_size=8),
    width=16,
    blocks=LatticeConfig(points=128),
    training=TrainingConfig(blocks_per_scan=1),
    neighbours=4,
    dropout=0.0,
)


def gradient(folder: Path) -> dict[str, Tensor]:
    """Of every parameter that has one, on the scans of a folder."""
    AcceleratorState._reset_state()  # another test may have left its precision
    accelerator = Accelerator(cpu=True, mixed_precision="no")
    scans = open_data("folder", root=folder)
    recipe = Recipe(name="gradients", model=MODEL, data="folder", root=folder, scans_per_step=2)
    torch.manual_seed(0)
    method = ASIS.from_config(MODEL, scans.vocabulary)
    rank, world = accelerator.process_index, accelerator.num_processes
    (batch,) = StepBatches(scans, method, recipe, rank=rank, world=world)[0]
    wrapped = accelerator.prepare(method)
    wrapped.eval()
    loss = torch.stack(list(method.losses(wrapped(batch), batch, START).values())).sum()
    accelerator.backward(loss)
    accelerator.end_training()
    return {n: p.grad for n, p in method.named_parameters() if p.grad is not None}


if __name__ == "__main__":
    found = gradient(Path(os.environ["GESTALT3D_TEST_SCANS"]))
    if os.environ["RANK"] == "0":
        torch.save(found, sys.argv[1])
