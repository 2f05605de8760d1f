"""Methods that tests make up."""

from typing import Any

from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import S3DIS, Vocabulary


class Fake:
    """What a method has besides `segment`."""

    name = "fake"
    takes = PointCloud
    takes_semantics = False
    config: Any = None
    vocabulary = S3DIS

    @classmethod
    def from_config(cls, config: Any, vocabulary: Vocabulary) -> "Fake":
        return cls()
