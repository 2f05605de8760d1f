"""Contexts of what a trained network knows: the points that seem to be of the seed's object, and what lies around these.

Ours, not the GSPN paper's, whose contexts are spheres of points with colours. Every point votes for the centre of its object
(Qi et al., "Deep Hough Voting", ICCV 2019), from what a trained MTML with its semantic stage knows of it. Members of a seed are
the points that vote alike, have like features and likely the same class. Their box is the frame in which a PointNet sees them,
another one sees all points around, and a shape is generated: a generator that starts from a box of about the right size and
place learns from a hundredth of the scenes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, Positive, Share, check_ranges
from gestalt3d.methods.staged import Known
from gestalt3d.nn.pointnet import point_layers, scaled
from gestalt3d.ops.neighbour_max import group_max

_LEAST_HALF_WIDTH = 0.3
"""In least radii: frames are no thinner, for a seed may have no member but itself."""
_OUTSIDE = 0.01
"""Share of members that may lie outside the frame, on each of its sides."""
_AROUND = 1.5
"""Radius of the sphere around the frame's centre, in half diagonals of it."""
_FARTHEST = 3.0
"""Votes and distances between them are seen at most so many half diagonals away."""
_UNLIKE = 4.0
"""Distances of features are seen up to here."""
_FLOOR = 0.005
"""Share of the points that may lie below the floor."""


@dataclass(frozen=True)
class MembersConfig:
    """Which points seem to be of a seed's object, and how many are looked at."""

    embedding: Positive = 2.0
    """Most distance of their features from the seed's."""
    votes: Positive = 0.8
    """Most distance of their votes from the seed's, metres."""
    reach: Positive = 2.5
    """Most distance from the seed, metres."""
    agreement: Share = 0.05
    """Least probability of the same class."""
    points: Count = 128
    """Members that a PointNet sees, and points around them that another one sees."""
    frame_points: Count = 512
    """Members that the frame is laid around."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Frame(NamedTuple):
    """Box along the axes around the members of each seed."""

    center: Float[Tensor, "b s 3"]
    half: Float[Tensor, "b s 3"]
    """Half its widths, metres."""


class Votes(nn.Module):
    """From what is known of a point to where the centre of its object is."""

    def __init__(self, channels: int, width_scale: float) -> None:
        super().__init__()
        a, b = (scaled(width, width_scale) for width in (256, 128))
        self.hidden = point_layers([channels, a, a, b])
        self.out = nn.Linear(b, 3)

    def forward(self, points: Float[Tensor, "b n 3"], known: Known) -> Float[Tensor, "b n 3"]:
        return points + self.out(self.hidden(known.joined)).float()


class MemberContext(nn.Module):
    """f_c of each seed from its members and from the points around them, and the frame that these are seen in."""

    def __init__(
        self, config: MembersConfig, classes: int, width_scale: float, *, least_radius: float
    ) -> None:
        super().__init__()
        self.config, self.least_radius = config, least_radius
        widths = [scaled(width, width_scale) for width in (64, 128, 256)]
        self.members = point_layers([13, *widths])
        self.around = point_layers([13, *widths])
        # Beside them: the frame's shape, size and height above the floor, and the classes of the seed.
        self.channels = 2 * widths[-1] + 5 + classes

    def forward(
        self,
        points: Float[Tensor, "b n 3"],
        colors: Float[Tensor, "b n 3"],
        known: Known,
        votes: Float[Tensor, "b n 3"],
        seeds: Int[Tensor, "b s"],
    ) -> tuple[Frame, Float[Tensor, "b s f"]]:
        frames, rows, further = [], [], []
        for k, own in enumerate(seeds):
            alone = Known(*(values[k] for values in known))
            frame, members, around, extra = self._seen(points[k], colors[k], alone, votes[k], own)
            frames.append(frame)
            rows.append((members, around))
            further.append(extra)
        members, around = (torch.stack(each) for each in zip(*rows, strict=True))
        seen = [group_max(self.members(members)), group_max(self.around(around))]
        f_c = torch.cat([*(each.float() for each in seen), torch.stack(further)], dim=-1)
        return Frame(*(torch.stack(each) for each in zip(*frames, strict=True))), f_c

    def _seen(
        self,
        points: Float[Tensor, "n 3"],
        colors: Float[Tensor, "n 3"],
        known: Known,
        votes: Float[Tensor, "n 3"],
        seeds: Int[Tensor, "s"],
    ) -> tuple[Frame, Float[Tensor, "s k 13"], Float[Tensor, "s k 13"], Float[Tensor, "s e"]]:
        c = self.config
        unlike = torch.cdist(known.embedding[seeds], known.embedding)
        apart = torch.cdist(votes[seeds], votes)
        alike = known.classes[seeds] @ known.classes.T
        member = (unlike < c.embedding) & (apart < c.votes) & (alike >= c.agreement)
        member &= torch.cdist(points[seeds], points) < c.reach
        around = first_of(member, seeds, most=c.frame_points)
        frame = _frame(points, around, least=_LEAST_HALF_WIDTH * self.least_radius)
        radius = frame.half.norm(dim=1).clamp(min=self.least_radius)
        near = torch.cdist(frame.center, points) < _AROUND * radius[:, None]

        def features(index: Int[Tensor, "s k"]) -> Float[Tensor, "s k 13"]:
            size = radius[:, None, None]
            towards = (votes[index] - frame.center[:, None]) / size
            each = [
                (points[index] - frame.center[:, None]) / size,
                colors[index],
                towards.clamp(-_FARTHEST, _FARTHEST),
                (apart.gather(1, index)[..., None] / size).clamp(max=_FARTHEST),
                unlike.gather(1, index)[..., None].clamp(max=_UNLIKE),
                alike.gather(1, index)[..., None],
                member.gather(1, index)[..., None].float(),
            ]
            return torch.cat(each, dim=-1)

        floor = torch.quantile(points[:, 2], _FLOOR)
        extra = [
            frame.half / radius[:, None], radius.log()[:, None], (frame.center[:, 2] - floor)[:, None],
            known.classes[seeds],
        ]  # fmt: skip
        members = features(first_of(member, seeds, most=c.points))
        return frame, members, features(first_of(near, seeds, most=c.points)), torch.cat(extra, dim=1)


def _frame(points: Float[Tensor, "n 3"], index: Int[Tensor, "s k"], *, least: float) -> Frame:
    """Around these points but for a few on each side, of half widths of `least` and more."""
    spread = points[index].sort(dim=1).values
    last = index.shape[1] - 1
    low, high = spread[:, round(last * _OUTSIDE)], spread[:, round(last * (1 - _OUTSIDE))]
    return Frame((low + high) / 2, ((high - low) / 2).clamp(min=least))


def first_of(chosen: Bool[Tensor, "s n"], seeds: Int[Tensor, "s"], *, most: int) -> Int[Tensor, "s k"]:
    """The seed and the first chosen points, `most` in all; all of them again and again where there are fewer."""
    chosen = chosen.scatter(1, seeds[:, None], False)
    rank = chosen.cumsum(1)
    kept = chosen & (rank < most)
    row, column = kept.nonzero(as_tuple=True)
    found = seeds[:, None].repeat(1, most)
    found[row, rank[row, column]] = column
    count = rank[:, -1:].clamp(max=most - 1) + 1
    return found.gather(1, torch.arange(most, device=seeds.device)[None] % count)


def at_points(known: Known, voxel_of_point: Int[Tensor, "b n"], sizes: Int[Tensor, "b"]) -> Known:
    """What is known of the voxels of scenes, one scene after the other, at the points of each."""
    rows = voxel_of_point + (sizes.cumsum(0) - sizes)[:, None]
    return Known(*(values[rows] for values in known))


def near_loss(off: Float[Tensor, "k d"]) -> Float[Tensor, ""]:
    """Smooth L1, linear from a fifth on, summed over the columns, mean over the rows; 0 of none."""
    lost = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.2, reduction="sum")
    return lost / max(len(off), 1)


def vote_loss(
    votes: Float[Tensor, "k 3"], centers: Float[Tensor, "k 3"], radius: Float[Tensor, "k"]
) -> Float[Tensor, ""]:
    """Distance in half diagonals of the object."""
    return near_loss((votes - centers) / radius[:, None])
