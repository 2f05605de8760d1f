"""ASIS: Associatively Segmenting Instances and Semantics in Point Clouds (Wang et al., CVPR 2019).

Two decoders share one encoder. Semantics make the instance embedding aware of classes (Eq. 5), and the
embedding's neighbourhoods pool the semantic features (Eq. 6). Section and equation numbers are the paper's.
Its baseline, "vanilla", has neither.

Readings, where the paper is silent or the authors' code differs:
- A neighbour farther than delta_var in the embedding takes no part in Eq. 6; the code puts the point itself
  in its place, which is the same maximum. Neighbours are searched with the L1 norm of Eq. 2; no gradient
  flows through the choice.
- Mean shift works with the Euclidean norm although the embedding is trained with L1, as in the code.
- F_SEM and F_INS are one layer of 128 channels behind each decoder; the "FC" of Eq. 5 is another.
- Dropout of one half before both output layers, as in the code; the paper names none.
- Eq. 3 is zero for a block with one instance. All classes take part as instances, walls and floors too.
- The authors' filter of small instances (25 % of the class's mean) is `size_filter`, off as in the paper.
- Blocks and features: `rooms.blocks`; merging: `rooms.blockwise`.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn

from gestalt3d.configs import Count, NotNegative, Positive, Width, Within
from gestalt3d.losses.embedding import discriminative_loss
from gestalt3d.losses.semantic import semantic_loss
from gestalt3d.methods.method import Moment
from gestalt3d.methods.rooms.backbone import backbone
from gestalt3d.methods.rooms.blockwise import Batch, BlockConfig, BlockMethod
from gestalt3d.nn.dropout import Dropout
from gestalt3d.nn.pointnet import PointLayer
from gestalt3d.ops.embedding_neighbours import embedding_neighbours
from gestalt3d.ops.mean_shift import mean_shift
from gestalt3d.ops.neighbour_max import neighbour_max
from gestalt3d.structures.vocabulary import Vocabulary


@dataclass(frozen=True)
class ASISConfig(BlockConfig):
    """Defaults are the paper's (Sec. 4.1, S3DIS)."""

    semantic_awareness: bool = True
    """Eq. 5; off in "vanilla"."""
    instance_fusion: bool = True
    """Eq. 6; off in "vanilla"."""
    embedding: Width = 5
    """Channels of the instance embedding, N_E."""
    neighbours: Count = 30
    """K of Eq. 6, the point itself included."""
    delta_var: Positive = 0.5
    """Distance from its instance's mean within which an embedding costs nothing (Eq. 2)."""
    delta_dist: Positive = 1.5
    """Half the distance from which on two means cost nothing (Eq. 3)."""
    alpha: NotNegative = 0.001
    """Weight of the regularisation in Eq. 1."""
    bandwidth: Positive = 0.6
    """Bandwidth of mean shift, in the unit of the embedding."""
    dropout: Annotated[float, Within(least=0, below=1)] = 0.5
    """Share of the features that training leaves out before both output layers."""


class Prediction(NamedTuple):
    logits: Float[Tensor, "b n c"]
    """P_SEM."""
    embedding: Float[Tensor, "b n e"]
    """E_INS."""


class ASIS(BlockMethod[Prediction]):
    name = "asis"
    config: ASISConfig

    def __init__(
        self,
        config: ASISConfig,
        vocabulary: Vocabulary,
        encoder: nn.Module,
        semantic_decoder: nn.Module,
        instance_decoder: nn.Module,
    ):
        super().__init__(config, vocabulary)
        self.encoder = encoder
        self.semantic_decoder = semantic_decoder
        self.instance_decoder = instance_decoder
        self.adapt = PointLayer(config.width, config.width) if config.semantic_awareness else None
        self.dropout = Dropout(config.dropout)
        self.embed = nn.Linear(config.width, config.embedding)
        self.classify = nn.Linear(config.width, len(vocabulary))
        for layer in (self.embed, self.classify):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def from_config(cls, config: ASISConfig, vocabulary: Vocabulary) -> "ASIS":
        encoder, decoders = backbone(
            config.backbone, features=config.blocks.features, width=config.width, decoders=2
        )
        return cls(config, vocabulary, encoder, *decoders)

    def forward(self, batch: Batch) -> Prediction:
        shared = self.encoder(batch.points)
        f_sem = self.semantic_decoder(shared)
        f_ins = self.instance_decoder(shared)

        f_sins = f_ins if self.adapt is None else f_ins + self.adapt(f_sem)  # Eq. 5
        embedding = self.embed(self.dropout(f_sins)).float()

        f_isem = self.fuse(f_sem, embedding) if self.config.instance_fusion else f_sem  # Eq. 6
        return Prediction(self.classify(self.dropout(f_isem)).float(), embedding)

    def fuse(
        self, f_sem: Float[Tensor, "b n f"], embedding: Float[Tensor, "b n e"]
    ) -> Float[Tensor, "b n f"]:
        """Maximum over the K nearest points in the embedding, those beyond delta_var left out (Sec. 3.2)."""
        near = embedding_neighbours(embedding.detach(), k=self.config.neighbours, p=1)
        return neighbour_max(f_sem, near.index.masked_fill(near.distance > self.config.delta_var, -1))

    def losses(self, prediction: Prediction, batch: Batch, at: Moment) -> dict[str, Float[Tensor, ""]]:
        """The cross entropy and the three terms of Eq. 1, weighted."""
        c = self.config
        terms = discriminative_loss(
            prediction.embedding, batch.instances, delta_var=c.delta_var, delta_dist=c.delta_dist, norm=1
        )
        return {
            "semantic": semantic_loss(prediction.logits, batch.classes, self.class_weights),
            "variance": terms.variance,
            "distance": terms.distance,
            "regularisation": c.alpha * terms.regularisation,  # Eq. 1
        }

    def group(self, prediction: Prediction) -> Int[Tensor, "n"]:
        """Instances of one block: mean shift on the embedding (Sec. 3.1)."""
        return mean_shift(prediction.embedding[0], bandwidth=self.config.bandwidth).labels


METHOD = ASIS
