"""SGPN: Similarity Group Proposal Network (Wang et al., CVPR 2018), the baseline of ASIS's tables.

One decoder and three heads: a feature whose pairwise distances say which points belong together, a class,
and how far a point's proposal can be trusted. Every point proposes the points similar to it; GroupMerging
makes instances of the proposals.

Readings:
- S = 10 D of the authors' code with D the squared distance, k1 = 10, k2 = 80; the paper has S = D.
- Pairs are weighted with the inverse sizes of their instances and the semantic cross entropy with the
  inverse sizes of the classes, as in the code, but as weighted means, so that the learning rate does not
  depend on how many there are.
- `loss_rows` compares only some points with all others in training; the authors compare all with all.
- alpha rises by 2 every 5 of 200 epochs up to 10; here by the share of the training that is done.
- A proposal holds the points with S below k1, the bound that also defines the confidence's target; the code
  estimates a bound per class on the validation set.
- The confidence goes through a sigmoid; the heads have 128 channels without batch norm, no ReLU on the
  similarity feature.
- Proposals are visited from the most to the least confident. Of two that overlap the larger stays. A point
  in several groups belongs to the most confident, a point in none to the one most frequent in its own
  proposal.
- Least sizes are the code's, in points of 4,096; blocks of other numbers of points have them in proportion.
- The code starts from a semantic network and freezes its batch norm: `semantics_only` trains that network, with the
  unweighted cross entropy of PointNet's; freezing is an option of the training.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, CountOrNone, NotNegative, Share, Width
from gestalt3d.losses.semantic import semantic_loss
from gestalt3d.losses.similarity import double_hinge_loss
from gestalt3d.methods.method import Moment
from gestalt3d.methods.rooms.backbone import backbone
from gestalt3d.methods.rooms.blockwise import Batch, BlockConfig, BlockMethod
from gestalt3d.structures.vocabulary import Vocabulary

AUTHORS_POINTS = 4096
"""In a block."""


@dataclass(frozen=True)
class SGPNConfig(BlockConfig):
    """Defaults are the authors' code's for S3DIS."""

    similarity: Width = 128
    """Channels of each head."""
    k1: NotNegative = 10.0
    """Distance S from which on points of one class in two instances cost nothing; those of a proposal are nearer."""
    k2: NotNegative = 80.0
    """Distance S from which on points of two classes cost nothing."""
    epochs: Count = 200
    """Epochs over which alpha's schedule is laid."""
    semantics_only: bool = False
    """Train and predict classes alone: the network that SGPN starts from."""
    loss_rows: Count | None = None
    """Points per block that are compared with all others in training; all where unset."""
    min_confidence: Share = 0.4
    """Least confidence of a point whose proposal counts."""
    min_proposal: CountOrNone = 5
    """A proposal has more points than this, of the authors' 4,096 in a block; in proportion where `blocks.points` differs."""
    merge_iou: Share = 0.6
    """Proposals that overlap by a larger IoU are one group."""
    merge_containment: Share = 0.8
    """Proposals of which one holds a larger share of the other are one group."""
    min_group: CountOrNone = 50
    """A group has more points than this, of the authors' 4,096 in a block as well."""

    @property
    def share_of_points(self) -> float:
        """Points of a block as a share of the authors', whose numbers of points these are."""
        return self.blocks.points / AUTHORS_POINTS


class Prediction(NamedTuple):
    logits: Float[Tensor, "b n c"]
    similarity: Float[Tensor, "b n d"]
    """F_SIM."""
    confidence: Float[Tensor, "b n"]


class SGPN(BlockMethod[Prediction]):
    name = "sgpn"
    config: SGPNConfig

    def __init__(self, config: SGPNConfig, vocabulary: Vocabulary, encoder: nn.Module, decoder: nn.Module):
        super().__init__(config, vocabulary)
        self.encoder = encoder
        self.decoder = decoder
        self.similarity = nn.Linear(config.width, config.similarity)
        self.classify = _head(config.width, config.similarity, len(vocabulary))
        self.trust = _head(config.width, config.similarity, 1)

    @classmethod
    def from_config(cls, config: SGPNConfig, vocabulary: Vocabulary) -> "SGPN":
        encoder, (decoder,) = backbone(
            config.backbone, features=config.blocks.features, width=config.width, decoders=1
        )
        return cls(config, vocabulary, encoder, decoder)

    @property
    def finds_instances(self) -> bool:
        return not self.config.semantics_only

    def alpha(self, at: Moment) -> float:
        """The weight of pairs of one class and two instances."""
        return min(10.0, 2.0 + 2.0 * (at.progress * self.config.epochs // 5))

    def forward(self, batch: Batch) -> Prediction:
        shared = self.decoder(self.encoder(batch.points))
        trust = self.trust(shared)[..., 0].float()
        return Prediction(self.classify(shared).float(), self.similarity(shared).float(), trust.sigmoid())

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """Similarity, class and confidence."""
        c = self.config
        if c.semantics_only:
            return {"semantic": semantic_loss(prediction.logits, batch.classes, self.class_weights)}
        terms = double_hinge_loss(
            prediction.similarity,
            batch.instances,
            batch.classes,
            alpha=self.alpha(at),
            k1=c.k1,
            k2=c.k2,
            rows=c.loss_rows,
        )
        rows = terms.overlap.shape[1]
        known = (batch.instances[:, :rows] >= 0).float()
        miss = (prediction.confidence[:, :rows] - terms.overlap).square() * known
        return {
            "similarity": terms.loss,
            "semantic": balanced_cross_entropy(prediction.logits, batch.classes),
            "confidence": miss.sum() / known.sum().clamp(min=1),
        }

    def group(self, prediction: Prediction) -> Int[Tensor, "n"]:
        """Instances of one block: GroupMerging."""
        if self.config.semantics_only:
            return torch.full((prediction.logits.shape[1],), -1)
        f = prediction.similarity[0]
        length2 = f.square().sum(1)
        proposals = 10 * (length2[:, None] + length2 - 2 * f @ f.T) < self.config.k1
        return torch.from_numpy(
            merge_groups(proposals.numpy(), prediction.confidence[0].numpy(), self.config)
        )


def merge_groups(proposals: np.ndarray, confidence: np.ndarray, config: SGPNConfig) -> np.ndarray:
    """Group of every point, -1 for none, from one proposal, a row of bool, and its confidence per point."""
    n = len(proposals)
    size = proposals.sum(1)
    large = size > config.min_proposal * config.share_of_points
    candidates = np.flatnonzero((confidence > config.min_confidence) & large)
    candidates = candidates[np.argsort(-confidence[candidates], kind="stable")]
    groups = np.zeros((16, n), dtype=np.float32)
    sizes = np.zeros(16)
    count = 0
    for i in candidates:
        proposal = proposals[i].astype(np.float32)
        common = groups[:count] @ proposal
        iou = common / (sizes[:count] + size[i] - common)
        contained = common / np.minimum(sizes[:count], size[i])
        same = np.flatnonzero((iou > config.merge_iou) | (contained > config.merge_containment))
        if len(same):
            k = same[0]
            if size[i] > sizes[k]:
                groups[k], sizes[k] = proposal, size[i]
            continue
        if count == len(groups):
            groups, sizes = (
                np.concatenate([groups, np.zeros_like(groups)]),
                np.concatenate([sizes, np.zeros_like(sizes)]),
            )
        groups[count], sizes[count] = proposal, size[i]
        count += 1
    members = groups[:count][sizes[:count] > config.min_group * config.share_of_points] > 0
    if len(members) == 0:
        return np.full(n, -1, dtype=np.int64)
    labels = np.where(members.any(0), members.argmax(0), -1)
    left = labels < 0
    votes = proposals[left].astype(np.float32) @ (labels[:, None] == np.arange(len(members))).astype(
        np.float32
    )
    labels[left] = np.where(votes.any(1), votes.argmax(1), -1)
    return labels


def balanced_cross_entropy(logits: Float[Tensor, "b n c"], classes: Int[Tensor, "b n"]) -> Float[Tensor, ""]:
    """Mean over the classes that occur of the mean cross entropy of their points; class -1 takes no part."""
    logits, classes = logits.flatten(0, 1), classes.flatten().long()
    count = torch.bincount(classes + 1, minlength=logits.shape[1] + 1)[1:]
    if int(count.sum()) == 0:
        return logits.sum() * 0.0
    weight = count.sum() / count.clamp(min=1).to(logits.dtype)
    return F.cross_entropy(logits, classes, weight, ignore_index=-1)


def _head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


METHOD = SGPN
