"""The same scan with the class ids of another vocabulary."""

from dataclasses import replace

import torch

from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary, translate


def relabel(scan: Scan, vocabulary: Vocabulary) -> Scan:
    """Instances stay what they are; their classes, those of the points and given semantics go through `translate`."""
    found = scan.truth
    if found.vocabulary == vocabulary:
        return scan
    table = torch.from_numpy(translate(found.vocabulary, vocabulary))
    points = None if found.element_classes is None else table[found.element_classes]
    found = replace(found, vocabulary=vocabulary, classes=table[found.classes], element_classes=points)
    cloud = scan.input
    if cloud.semantic is not None:
        cloud = replace(cloud, semantic=table[cloud.semantic])
    return replace(scan, input=cloud, truth=found)
