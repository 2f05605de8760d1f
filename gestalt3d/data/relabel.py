"""The same scan with the class ids of another vocabulary."""

from dataclasses import replace

import torch

from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary, translate


def relabel(scan: Scan, vocabulary: Vocabulary) -> Scan:
    """Instances stay what they are; their classes, those of the points and given semantics go through `translate`."""
    found = scan.instances
    if found.vocabulary == vocabulary:
        return scan
    table = torch.from_numpy(translate(found.vocabulary, vocabulary))
    points = None if found.point_classes is None else table[found.point_classes]
    found = replace(found, vocabulary=vocabulary, classes=table[found.classes], point_classes=points)
    cloud = scan.cloud
    if cloud.semantic is not None:
        cloud = replace(cloud, semantic=table[cloud.semantic])
    return replace(scan, cloud=cloud, instances=found)
