"""From scans to the batches of each step. What a step sees depends on the seed and its number alone."""

from collections.abc import Callable, Iterator
from typing import Never

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from gestalt3d.data import DataSet
from gestalt3d.data.block_store import BlockStore
from gestalt3d.engine.interrupt import Interrupt, ignore
from gestalt3d.engine.recipe import Recipe
from gestalt3d.errors import UserError
from gestalt3d.methods.method import AnyBatch, CutsBlocks, Learned, Predicted, cuts_blocks
from gestalt3d.structures.samples import Scan, Scans


class StepBatches(Dataset[list[AnyBatch]]):
    """Item `s` is this process's part of step `s`: its scans, augmented and prepared, joined into one batch or a batch each.

    With `blocks` a slot holds the next `blocks_per_sample` of an epoch's blocks instead of random ones of a random scan.
    """

    def __init__(
        self,
        scans: Scans,
        method: Learned[Never, AnyBatch, Predicted],
        recipe: Recipe,
        *,
        rank: int,
        world: int,
        blocks: BlockStore | None = None,
    ):
        self.scans, self.recipe, self.rank, self.world = scans, recipe, rank, world
        self._prepare: Callable[[Scan, np.random.Generator], AnyBatch] = method.prepare
        self._stored: tuple[BlockStore, CutsBlocks[AnyBatch]] | None = None
        if blocks is not None:
            assert cuts_blocks(method)
            self._stored = blocks, method

    @property
    def epoch(self) -> float:
        """Steps that see every block, or as many scans as there are, once."""
        if self._stored is None:
            return len(self.scans) / self.recipe.scans_per_step
        blocks, cutting = self._stored
        return len(blocks) / (self.recipe.scans_per_step * cutting.blocks_per_sample)

    def __len__(self) -> int:
        return self.recipe.optim.steps

    def __getitem__(self, step: int) -> list[AnyBatch]:
        per_process = self.recipe.scans_per_step // self.world
        slots = range(self.rank * per_process, (self.rank + 1) * per_process)
        batches = [self._one(step, slot) for slot in slots]
        return batches if self.recipe.separate_scans else [type(batches[0]).cat(batches)]

    def _one(self, step: int, slot: int) -> AnyBatch:
        if self._stored is not None:
            blocks, cutting = self._stored
            count = cutting.blocks_per_sample
            first = (step * self.recipe.scans_per_step + slot) * count
            rows = blocks.drawn(range(first, first + count), self.recipe.seed)
            return cutting.batch_class(*blocks.rows(rows))
        rng = np.random.default_rng([self.recipe.seed, step, slot])
        scan = self.scans[int(rng.integers(len(self.scans)))]
        return self._prepare(self.recipe.augment(scan, rng), rng)

    def stream(
        self, first: int, until: int, device: torch.device, interrupt: Interrupt
    ) -> Iterator[tuple[int, list[AnyBatch]]]:
        """The steps from `first` on and the batches of each, made by other processes where the recipe has `workers`."""
        loader: DataLoader[list[AnyBatch]] = DataLoader(
            self,
            batch_size=None,
            sampler=list(range(first, until)),
            num_workers=self.recipe.workers,
            prefetch_factor=2 if self.recipe.workers else None,
            worker_init_fn=ignore,
        )
        given = iter(loader)
        for step in range(first, until):
            try:
                parts = next(given)
            except RuntimeError:
                if interrupt.asked:  # whoever ended this process ended the one that makes its batches, too
                    return
                raise
            except UserError as problem:
                # A worker's error arrives with its traceback in the text.
                line = str(problem).strip().splitlines()[-1]
                raise UserError(line.removeprefix(f"{_USER_ERROR}: ")) from None
            yield step, [part.to(device) for part in parts]


_USER_ERROR = f"{UserError.__module__}.{UserError.__qualname__}"


def cut(
    scans: DataSet, method: Learned[Never, AnyBatch, Predicted], recipe: Recipe, *, first: int
) -> BlockStore:
    """The blocks of all scans, from the cache or cut now, beginning with scan `first`; `UserError` where there can be none."""
    if not cuts_blocks(method):
        raise UserError(f"stored_blocks: the method {recipe.method!r} has no blocks; leave it off")
    if not recipe.augment.changes_nothing():
        raise UserError(
            "stored_blocks: blocks that are cut once cannot be augmented; train a recipe that augments nothing, with your own "
            "--data and --root, or leave it off"
        )
    return BlockStore(scans, method.lattice, method.lattice_settings(), first=first)
