"""A consensus that keeps on disk what its sources have said of a cloud, so that all rows of a table ask them once."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from gestalt3d.data.cache import FolderCache, digest
from gestalt3d.errors import UserError
from gestalt3d.methods.consensus import Answer, Consensus, SourceConfig
from gestalt3d.methods.ensemble.looks import Look
from gestalt3d.methods.ensemble.pool import Found
from gestalt3d.methods.judge import Judge, print_of
from gestalt3d.methods.method import AnyMethod
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.sets import Sets

_FORMAT, _FILE = 1, "answer.safetensors"


class Remembered(Consensus):
    """One that asks a source about a look at a cloud once, whoever wants to know."""

    def answer(self, cloud: PointCloud, source: SourceConfig, look: Look, count: int) -> Answer:
        config = self.config
        cache = FolderCache(f"answers-{_FORMAT}")
        key = digest(
            _bytes_of(cloud), print_of(self.methods[source.model]), look, source.names, config.superpoints,
            config.inside, config.min_points, self.vocabulary.names,
        )  # fmt: skip
        if key in cache and (kept := _read(cache, key)) is not None:
            return kept
        answer = super().answer(cloud, source, look, count)
        if cache.folder is not None:
            with cache.writing(key) as folder:
                (folder / _FILE).write_bytes(to_bytes(_tensors(answer)))
        return answer


def remembering(method: AnyMethod) -> Judge:
    """The judge on a consensus that remembers."""
    if not isinstance(method, Judge):
        raise UserError(f"the table is about a judge of a consensus, not about {method.name}")
    own = method.consensus
    return method.behind(Remembered(own.config, own.vocabulary, own.models))


def _bytes_of(cloud: PointCloud) -> list[bytes]:
    values = (cloud.points, cloud.colors, cloud.superpoints)
    return [value.numpy().tobytes() for value in values if value is not None]


def _tensors(answer: Answer) -> dict[str, torch.Tensor]:
    sets = answer.found.sets
    return {
        "offsets": sets.offsets.contiguous(),
        "indices": sets.indices.contiguous(),
        "scores": answer.found.scores.contiguous(),
        "votes": answer.votes.contiguous(),
    }


def _read(cache: FolderCache, key: str) -> Answer | None:
    """What lies under that key; None where it is damaged, which is removed."""
    assert cache.folder is not None
    try:
        kept = from_bytes((cache.folder / key / _FILE).read_bytes())
        sets = Sets(kept["offsets"], kept["indices"], len(kept["votes"]))
        return Answer(Found(sets, kept["scores"]), kept["votes"])
    except (OSError, SafetensorError, KeyError, ValueError):
        cache.remove(key)
        return None
