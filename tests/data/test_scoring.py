"""What is found, beside the truth."""

import torch

from gestalt3d.data.scoring import CloudScores
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.vocabulary import S3DIS


def test_truth_that_overlaps_is_found_in_full() -> None:
    chair, table = torch.arange(0, 400), torch.arange(200, 800)
    truth = Instances(
        masks=Sets.from_sizes(torch.tensor([400, 600]), torch.cat([chair, table]), 1000),
        classes=torch.tensor([S3DIS.id("chair"), S3DIS.id("table")]),
        scores=torch.ones(2),
        vocabulary=S3DIS,
        element_classes=torch.full((1000,), S3DIS.id("table")),
    )
    scan = Scan("half behind", PointCloud(torch.rand(1000, 3)), truth)
    evaluator = CloudScores(S3DIS)
    evaluator.see(scan, truth)
    pooled = evaluator.results()["pooled"]
    assert pooled["AP"] == 100 and pooled["coverage"] == 100
