"""Sets of elements: masks of instances, proposals, groups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gestalt3d.structures.rows import chosen_row, equal_fields


@dataclass(frozen=True, eq=False, repr=False)
class Sets:
    """Set `i` is `indices[offsets[i]:offsets[i + 1]]`, ascending; sets may be empty and may overlap.

    Elements are counted from 0 to `size`: the points of a cloud, the pixels of an image row by row, or the voxels of a grid.
    """

    offsets: Int[Tensor, "i_plus_1"]
    indices: Int[Tensor, "m"]
    size: int
    """Elements that there are, in sets or not."""

    def __post_init__(self) -> None:
        offsets, indices = self.offsets, self.indices
        if (
            len(offsets) == 0
            or int(offsets[0]) != 0
            or int(offsets[-1]) != len(indices)
            or bool((offsets.diff() < 0).any())
        ):
            raise ValueError(f"offsets must rise from 0 to {len(indices)}")
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < self.size):
            raise ValueError(f"indices must lie in [0, {self.size})")

    @classmethod
    def from_labels(cls, labels: Int[Tensor, "n"], count: int | None = None) -> "Sets":
        """Set `i` has the elements of label `i`, for `count` labels from 0 on; negative labels are in no set.

        Without `count` only labels that occur have a set, in ascending order, so that none is empty.
        """
        labels = labels.to(torch.int64)
        if count is not None and len(labels) and int(labels.max()) >= count:
            raise ValueError(f"label {int(labels.max())} is none of {count}, counted from 0")
        order = torch.argsort(labels, stable=True)
        order = order[int((labels < 0).sum()) :]
        if count is None:
            sizes = torch.unique_consecutive(labels[order], return_counts=True)[1]
        else:
            sizes = torch.bincount(labels[order], minlength=count)
        return cls(_offsets(sizes), order, len(labels))

    @classmethod
    def from_sizes(cls, sizes: Int[Tensor, "i"], indices: Int[Tensor, "m"], size: int) -> "Sets":
        """The elements of one set after the other."""
        return cls(_offsets(sizes), indices, size)

    @classmethod
    def of(cls, each: Sequence[Int[Tensor, "_"]], size: int) -> "Sets":
        """Set by set, which elements of `size` it has."""
        sizes = torch.tensor([len(elements) for elements in each], dtype=torch.int64)
        return cls(_offsets(sizes), torch.cat([torch.zeros(0, dtype=torch.int64), *each]), size)

    @classmethod
    def empty(cls, size: int) -> "Sets":
        """No sets of `size` elements."""
        return cls(torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), size)

    @classmethod
    def cat(cls, parts: Sequence["Sets"]) -> "Sets":
        """The sets of all `parts`, which must be of the same elements, one after the other."""
        if len({part.size for part in parts}) != 1:
            raise ValueError(f"sets of {[part.size for part in parts]} elements cannot be joined")
        sizes = torch.cat([part.sizes for part in parts])
        return cls(_offsets(sizes), torch.cat([part.indices for part in parts]), parts[0].size)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: Any) -> Int[Tensor, "k"]:
        """The elements of set `i`, ascending; `IndexError` where there is none. `take` chooses several sets."""
        i = chosen_row(i, len(self), of="sets")
        return self.indices[int(self.offsets[i]) : int(self.offsets[i + 1])]

    def __iter__(self) -> Iterator[Int[Tensor, "k"]]:
        return iter(self.indices.split(self.sizes.tolist()) if len(self) else ())

    def __eq__(self, other: object) -> bool:
        return (
            equal_fields(self, other, (f.name for f in fields(self)))
            if isinstance(other, Sets)
            else NotImplemented
        )

    def __repr__(self) -> str:
        return f"{len(self)} set{'' if len(self) == 1 else 's'} of {self.size:,} elements"

    @property
    def sizes(self) -> Int[Tensor, "i"]:
        """Elements of each set."""
        return self.offsets.diff()

    @property
    def owners(self) -> Int[Tensor, "m"]:
        """The set of each entry of `indices`."""
        sizes = self.sizes
        return torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)

    def take(self, rows: Int[Tensor, "q"]) -> "Sets":
        """The sets of these numbers, in the order asked for."""
        sizes = self.sizes[rows]
        offsets = _offsets(sizes)
        shift = torch.repeat_interleave(offsets[:-1] - self.offsets[rows], sizes)
        at = torch.arange(int(offsets[-1]), device=shift.device) - shift
        return Sets(offsets, self.indices[at], self.size)

    def pieces(self, most: int) -> Iterator["Sets"]:
        """Consecutive sets: as many as have `most` elements together, at least one; one empty piece of none."""
        first, count = 0, len(self)
        while first < max(count, 1):
            fit = int(torch.searchsorted(self.offsets, int(self.offsets[first]) + most, right=True)) - 1
            last = min(max(fit, first + 1), count)
            start, stop = int(self.offsets[first]), int(self.offsets[last])
            yield Sets(self.offsets[first : last + 1] - start, self.indices[start:stop], self.size)
            first = max(last, 1)

    def dense(self, i: Any) -> Bool[Tensor, "n"]:
        """True for the elements of set `i`."""
        mask = torch.zeros(self.size, dtype=torch.bool, device=self.indices.device)
        mask[self[i]] = True
        return mask

    def to_labels(self, scores: Float[Tensor, "i"]) -> Int[Tensor, "n"]:
        """One set for each element: that of the highest score, the lower number on ties, -1 where it is in none."""
        order = torch.argsort(scores, descending=True, stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=order.device)
        best = torch.full((self.size,), len(order), dtype=torch.int64, device=self.indices.device)
        best.scatter_reduce_(0, self.indices, place.repeat_interleave(self.sizes), "amin")
        return torch.cat([order, order.new_tensor([-1])])[best]

    @property
    def overlap(self) -> bool:
        """Whether any element is in two sets."""
        return bool((torch.bincount(self.indices, minlength=1) > 1).any())

    def holding(self, elements: Int[Tensor, "k"]) -> tuple[Int[Tensor, "p"], Int[Tensor, "p"]]:
        """Pairs of a place in `elements` and a set that has the element there, the places ascending; elements may be in none."""
        order = torch.argsort(self.indices, stable=True)
        keys, owners = self.indices[order], self.owners[order]
        low, high = torch.searchsorted(keys, elements), torch.searchsorted(keys, elements, right=True)
        times = high - low
        place = torch.arange(len(elements)).repeat_interleave(times)
        start = (times.cumsum(0) - times).repeat_interleave(times)
        return place, owners[low[place] + torch.arange(len(place)) - start]

    def restricted(self, elements: Int[Tensor, "k"]) -> "Sets":
        """The sets among these elements, none of which is named twice; they are counted anew in the order given."""
        place = self.indices.new_full((self.size,), -1)
        place[elements] = torch.arange(len(elements), device=elements.device)
        placed, owners = place[self.indices], self.owners
        stays = placed >= 0
        placed, owners = placed[stays], owners[stays]
        order = torch.argsort(owners * max(len(elements), 1) + placed)
        return Sets.from_sizes(torch.bincount(owners, minlength=len(self)), placed[order], len(elements))

    def without(self, other: "Sets") -> "Sets":
        """Set by set, the elements that the other's set of the same number has not."""
        if len(other) != len(self) or other.size != self.size:
            raise ValueError(f"{other} cannot be taken from {self}")
        keys, taken = (sets.owners * self.size + sets.indices for sets in (self, other))
        stays = ~torch.isin(keys, taken)
        sizes = torch.bincount(self.owners[stays], minlength=len(self))
        return Sets.from_sizes(sizes, self.indices[stays], self.size)

    def within(self, elements: Int[Tensor, "size"], size: int) -> "Sets":
        """The same sets where element `e` is one of more: number `elements[e]`, ascending, of `size`."""
        return Sets(self.offsets, elements[self.indices], size)

    def to(self, device: torch.device | str) -> "Sets":
        return Sets(self.offsets.to(device), self.indices.to(device), self.size)


def _offsets(sizes: Int[Tensor, "i"]) -> Int[Tensor, "i_plus_1"]:
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
