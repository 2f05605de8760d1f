"""The verbs: what each does, and the three commands that its help shows.

A verb lives in the file of its name, as the function of its name, whose parameters are its options. The file is imported when
the verb runs, so that `gestalt3d --help` needs none of them.
"""

from importlib import import_module
from typing import Any, NamedTuple


class Verb(NamedTuple):
    """A word after `gestalt3d`; `summary` and `examples` are shown to users."""

    name: str
    summary: str
    examples: tuple[str, str, str]

    @property
    def run(self) -> Any:
        """The function of the verb."""
        return getattr(import_module(f"gestalt3d.cli.{self.name}"), self.name)

    @property
    def description(self) -> str:
        """Summary and examples, as the help of the verb begins."""
        return f"{self.summary}\n\n{self.shown_examples}"

    @property
    def shown_examples(self) -> str:
        return "\n".join(["Examples", *(f"  {line}" for line in self.examples)])


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            "demo",
            "Segment a synthetic scanned room that training never saw, and show how well that went.",
            (
                "gestalt3d demo",
                "gestalt3d demo --seed 7 -o demo7",
                "gestalt3d demo -m geometric -o without_learning",
            ),
        ),
        Verb(
            "segment",
            "Find the objects in your own scans; no labels needed.",
            (
                "gestalt3d segment scan.ply",
                "gestalt3d segment scans/ hall.laz -o out --min-score 0.5 --objects",
                "gestalt3d segment old.ply --units mm --up y --classes chair table",
            ),
        ),
        Verb(
            "view",
            "Show a result or a scan as a web page, served on this machine until Ctrl-C.",
            (
                "gestalt3d view out/scan.instances.npz",
                "gestalt3d view out/scan.instances.npz --port 8000 --no-browser",
                "gestalt3d view scan.ply",
            ),
        ),
        Verb(
            "train",
            "Train a recipe, or fine-tune a model on your own labels and classes.",
            (
                "gestalt3d train asis-folder --root my_scans --init asis-rooms --optim.steps 500",
                "gestalt3d train asis-rooms --out runs/mine --optim.lr 1e-3",
                "gestalt3d train --resume --out runs/mine",
            ),
        ),
        Verb(
            "average",
            "Average weight files of the same network, such as a training's and those it started from.",
            (
                "gestalt3d average runs/a/last.safetensors runs/b/last.safetensors -o mean.safetensors",
                "gestalt3d average asis-rooms runs/mine/last.safetensors --shares 0.3 0.7 -o mine.safetensors",
                "gestalt3d evaluate -m mine.safetensors -d rooms:val",
            ),
        ),
        Verb(
            "evaluate",
            "Measure a model on labelled scans: coverage, precision and recall, AP, semantic IoU.",
            (
                "gestalt3d evaluate -m asis-rooms -d rooms:val --limit 5",
                "gestalt3d evaluate -m asis-rooms -d folder --root my_scans --class-agnostic --json figures.json",
                "gestalt3d evaluate -m geometric -d s3dis:area5 --root Stanford3dDataset_v1.2_Aligned_Version",
            ),
        ),
        Verb(
            "score",
            "Score files in the formats of ScanNet, S3DIS, PartNet or COCO by the official rules (fractions).",
            (
                "gestalt3d score scannet --gt gt --pred pred",
                "gestalt3d score coco-amodal --gt annotations.json --pred results.json",
                "gestalt3d score partnet --gt shapes --pred shapes --json figures.json",
            ),
        ),
        Verb(
            "reproduce",
            "Print a table of a paper, our figures beside the paper's.",
            (
                "gestalt3d reproduce",
                "gestalt3d reproduce asis-table1",
                "gestalt3d reproduce asis-table1 --quick",
            ),
        ),
        Verb(
            "synth",
            "Write synthetic labelled scans, as a folder that training and evaluation read.",
            (
                "gestalt3d synth rooms -n 100 --seed 5000 -o my_rooms",
                "gestalt3d synth toyboxes -n 20 --preset hard -o boxes",
                "gestalt3d synth parts -n 20 --category chair --level 2 -o chairs",
            ),
        ),
        Verb(
            "data",
            "Check a data set: count what is there, find bad files, say what is missing.",
            (
                "gestalt3d data check folder --root my_scans",
                "gestalt3d data check s3dis --root Stanford3dDataset_v1.2_Aligned_Version",
                "gestalt3d data check scannet --root scannet --json report.json",
            ),
        ),
        Verb(
            "models",
            "List the shipped models, what they were trained on and how well they do.",
            (
                "gestalt3d models",
                "gestalt3d models --json models.json",
                "gestalt3d segment scan.ply -m geometric",
            ),
        ),
        Verb(
            "bench",
            "Measure speed on this machine, beside the usual alternatives.",
            (
                "gestalt3d bench",
                "gestalt3d bench import-time",
                "gestalt3d bench segment --json segment.json",
            ),
        ),
        Verb(
            "doctor",
            "Check the installation and say how to mend what does not work.",
            (
                "gestalt3d doctor",
                "gestalt3d doctor --json report.json",
                "gestalt3d --version",
            ),
        ),
    )
}
