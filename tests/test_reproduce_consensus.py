"""The table of the consensus: its rows choose among the same answers, which sources give once."""

from dataclasses import replace
from pathlib import Path

import pytest

from gestalt3d import reproduce
from gestalt3d.engine import checkpoint
from gestalt3d.engine.model import Model
from gestalt3d.errors import UserError
from gestalt3d.methods.consensus import Consensus, ConsensusConfig, SourceConfig
from gestalt3d.methods.ensemble.looks import Look
from gestalt3d.methods.geometric import Geometric
from gestalt3d.methods.judge import Judge, JudgeConfig
from gestalt3d.reproduce.consensus import COLUMNS, measure
from gestalt3d.reproduce.remembered import remembering
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import SCANNET21
from gestalt3d.testing import tiny_scan

LOOKS = (Look(), Look(degrees=30.0), Look(spacing=0.05))
CONFIG = ConsensusConfig(
    sources=(SourceConfig("geometric", LOOKS), SourceConfig("geometric-regions", LOOKS)), min_points=20
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """How many points each question was about."""
    monkeypatch.setenv("GESTALT3D_CACHE", str(tmp_path / "cache"))
    calls: list[int] = []
    own = Geometric.segment

    def segment(self: Geometric, cloud: PointCloud) -> Instances:
        calls.append(len(cloud))
        return own(self, cloud)

    monkeypatch.setattr(Geometric, "segment", segment)
    return calls


def judge() -> Judge:
    return Judge.from_config(JudgeConfig(consensus=CONFIG, width=8, networks=1), SCANNET21).eval()


def test_what_is_remembered_is_what_was_said_and_is_asked_once(asked: list[int], tmp_path: Path) -> None:
    cloud = tiny_scan().input
    plain, kept = judge(), remembering(judge())
    kept.load_state_dict(plain.state_dict())
    expected = plain.segment(cloud)
    assert len(asked) == 6 and len(expected)
    assert kept.segment(cloud) == expected and len(asked) == 12
    assert kept.segment(cloud) == expected and len(asked) == 12
    fewer = kept.with_consensus(CONFIG.with_first_looks()).consensus
    assert fewer.segment(cloud) == Consensus.from_config(fewer.config, SCANNET21).segment(cloud)
    assert len(asked) == 14  # of the two that were not remembered
    kept.with_seed(1).segment(cloud)
    assert len(asked) == 20  # another seed is another question
    damaged = next((tmp_path / "cache").glob("answers-*/*/answer.safetensors"))
    damaged.write_bytes(b"no tensors")
    assert kept.segment(cloud) == expected and len(asked) in (20, 21)


def test_every_row_is_made_of_the_shipped_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what its adjustment makes of a small judge with the sources of the shipped one."""
    model = Model("consensus-best", checkpoint.load("consensus-best"))
    made = {row.key: row.adjust(model).method for row in reproduce.TABLES["consensus"].rows if row.adjust}
    looks = {key: sum((m.consensus if isinstance(m, Judge) else m).looks) for key, m in made.items()}
    assert looks["consensus-six-judged"] == looks["consensus-six-agreed"] == 14
    assert looks["consensus-one-judged"] == looks["consensus-one-agreed"] == looks["consensus-one-own"] == 4
    assert looks["consensus-turns-judged"] == 8 and looks["consensus-one-without-asis-rooms"] == 3
    assert isinstance(made["consensus-one-judged"], Judge) and not isinstance(
        made["consensus-one-agreed"], Judge
    )
    assert made["consensus-six-judged-apart"].config.consensus.coherent
    assert made["consensus-six-own"].config.agreement_weight == 0
    own, agreed = made["consensus-six-own"].config, made["consensus-six-agreed"].config
    assert replace(own, agreement_weight=1.0, size_weight=0.25, own_weight=0.0) == agreed


def test_figures_are_whatever_the_class_and_by_class_of_who_knows_scannets() -> None:
    class Rooms:
        names = ("tiny",)

        def __init__(self) -> None:
            from gestalt3d.data.rooms import Rooms

            self._rooms = Rooms("val", count=1)
            self.evaluator = self._rooms.evaluator

        def __len__(self) -> int:
            return 1

        def __getitem__(self, i: int) -> object:
            scan = tiny_scan()
            return replace(scan, name="tiny")

    method = Consensus.from_config(CONFIG, SCANNET21)
    found = measure(Model("it", method), Rooms(), lambda *_: None)  # type: ignore[arg-type]
    assert set(found.values) == set(COLUMNS) and found.scans == ["tiny"]
    assert found.values["coverage"] is not None and found.values["coverage"] > 20


def test_another_method_has_no_place_in_the_table() -> None:
    with pytest.raises(UserError, match="not about geometric"):
        remembering(checkpoint.load("geometric"))
