"""The same scan with the class ids of another vocabulary."""

from dataclasses import replace

import torch

from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import Vocabulary, translate


def relabel(scan: Scan, vocabulary: Vocabulary) -> Scan:
    """Instances stay what they are; their classes and those of the points go through `translate`."""
    found = scan.instances
    if found.vocabulary == vocabulary:
        return scan
    table = torch.from_numpy(translate(found.vocabulary, vocabulary))
    points = None if found.point_classes is None else table[found.point_classes]
    found = replace(found, vocabulary=vocabulary, classes=table[found.classes], point_classes=points)
    return replace(scan, instances=found)
