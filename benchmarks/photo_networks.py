"""What the networks of A3D's paper cost at their full size: parameters, and operations for a photo.

A photo of 1,333 x 800 pixels with ten objects, which all networks find. A3D's and Deocclusion's have the detector with them, as
in the paper, which does not say for how large a photo its operations are counted. A multiplication with its addition counts as
two here; whoever counts it as one has half. Nothing is timed.
"""

from typing import Any

from gestalt3d.configs import Config
from gestalt3d.methods.a3d import A3DConfig
from gestalt3d.methods.mask_rcnn import MaskRCNNConfig
from gestalt3d.methods.pcnet import PCNetConfig
from gestalt3d.reproduce.network_costs import cost
from gestalt3d.structures.vocabulary import SHAPENET13

SIZE = 1333, 800
FINDER = MaskRCNNConfig(masks="visible")
NETWORKS: tuple[tuple[str, tuple[Config, ...], float, float], ...] = (
    ("Deocclusion", (FINDER, PCNetConfig()), 160.4, 44.1),
    ("Mask R-CNN", (MaskRCNNConfig(),), 160.4, 44.1),
    ("ORCNN", (MaskRCNNConfig(head="orcnn"),), 229.4, 46.8),
    ("BCNet", (MaskRCNNConfig(head="bcnet"),), 263.5, 63.2),
    ("ShapeDict", (MaskRCNNConfig(head="shapedict"),), 271.3, 48.0),
    ("A3D", (FINDER, A3DConfig()), 229.8, 57.2),
)
"""With the paper's GFLOPs and millions of parameters (Table 2)."""


def run() -> list[dict[str, Any]]:
    rows = []
    for name, configs, flops, parameters in NETWORKS:
        parts = [cost(config, SHAPENET13, SIZE) for config in configs]
        rows.append(
            {
                "network": name,
                "parameters_m": round(sum(part.parameters for part in parts) / 1e6, 1),
                "paper_parameters_m": parameters,
                "gflops": round(sum(part.flops for part in parts) / 1e9, 1),
                "paper_gflops": flops,
                "gflops_without_detector": round(parts[-1].flops / 1e9, 1) if len(parts) > 1 else None,
            }
        )
    return rows
