"""The same sample with the class ids of another vocabulary."""

from dataclasses import replace

import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary, translate


def relabel(scan: Scan, vocabulary: Vocabulary) -> Scan:
    """Instances stay what they are; their classes, those of the points and given semantics go through `translate`."""
    found = scan.truth
    if found.vocabulary == vocabulary:
        return scan
    cloud = scan.input
    if cloud.semantic is not None:
        table = torch.from_numpy(translate(found.vocabulary, vocabulary))
        cloud = replace(cloud, semantic=table[cloud.semantic])
    return replace(scan, input=cloud, truth=relabelled(found, vocabulary))


def relabelled(found: Instances, vocabulary: Vocabulary) -> Instances:
    """The same instances; their classes and those of the elements go through `translate`."""
    if found.vocabulary == vocabulary:
        return found
    table = torch.from_numpy(translate(found.vocabulary, vocabulary))
    elements = None if found.element_classes is None else table[found.element_classes]
    return replace(found, vocabulary=vocabulary, classes=table[found.classes], element_classes=elements)
