"""ScanNet v2 (Dai et al., CVPR 2017): 1,513 labelled scans of rooms and 100 without labels, the benchmark's twenty classes.

`root` holds the folders of the scenes (`scans/scene0000_00`, `scans_test/scene0707_00`, or directly below it), the
label table `scannetv2-labels.combined.tsv` and the lists `scannetv2_train.txt`, `…_val.txt`, `…_test.txt`; table
and lists may lie one level deeper. Points are the vertices of `<scene>_vh_clean_2.ply`, in their order, which is
the order of predictions, too. Labels come from segments and aggregation; where these are missing, the
classes alone from `<scene>_vh_clean_2.labels.ply`.

Coordinates stay as they are in the mesh: metres, z up, floor near 0, turned anyhow about the vertical; so are
those that most methods were trained on. The set called `scannet-aligned` applies the `axisAlignment` of
`<scene>.txt`, after which walls run along x and y; scenes without one (the test scenes) stay.

Where a folder `semantics` is named, a cloud carries the classes in its `<scene>.txt`, a NYU40 id per vertex as in the
benchmark's semantic task: what another network predicts, input of methods that part a labelled scene.

Classes are the twenty of the benchmark; objects of the other NYU40 classes keep their instance and have class -1:
the benchmark's void.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from gestalt3d.data import Official, Seen
from gestalt3d.data.cache import digest_of_files
from gestalt3d.data.relabel import relabel
from gestalt3d.data.scannet_annotation import TABLE, Annotation, read_annotation, read_text, read_words
from gestalt3d.data.scoring import LabelledClouds
from gestalt3d.errors import UserError
from gestalt3d.io import load_cloud
from gestalt3d.io.ply import expect_rest, read_header
from gestalt3d.io.submission import Submission
from gestalt3d.metrics.columns import read_integers
from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.samples import Scan
from gestalt3d.structures.vocabulary import SCANNET20, Vocabulary, mapping

SPLITS: dict[str, int] = {"train": 1201, "val": 312, "test": 100}
"""How many scenes the official lists name."""

_SCENE = re.compile(r"scene[0-9]{4}_[0-9]{2}")
_FIRST_TEST_SCENE = "scene0707_00"
_LIST_LIMIT = 1 << 20
_ALIGNMENT_LIMIT = 1 << 16


class Scene(NamedTuple):
    """The files of one scene, whether they are there or not."""

    name: str
    folder: Path

    @property
    def mesh(self) -> Path:
        return self.folder / f"{self.name}_vh_clean_2.ply"

    @property
    def segments(self) -> Path:
        return self.folder / f"{self.name}_vh_clean_2.0.010000.segs.json"

    @property
    def aggregation(self) -> Path:
        """That of the segments; some copies have only the one named after the finer mesh."""
        usual, other = (self.folder / f"{self.name}{middle}.aggregation.json" for middle in ("", "_vh_clean"))
        return other if other.is_file() and not usual.is_file() else usual

    @property
    def label_mesh(self) -> Path:
        return self.folder / f"{self.name}_vh_clean_2.labels.ply"

    @property
    def info(self) -> Path:
        return self.folder / f"{self.name}.txt"

    @property
    def missing(self) -> list[Path]:
        """What instance labels need and is not there."""
        return [path for path in (self.segments, self.aggregation) if not path.is_file()]

    @property
    def is_unlabelled(self) -> bool:
        """A test scene, whose labels are not public."""
        return self.name >= _FIRST_TEST_SCENE and len(self.missing) == 2 and not self.label_mesh.is_file()


class ScanNet(LabelledClouds):
    """The scenes of a split ("train", "val", "test", or "all" that are there) in order of their names.

    A scan without labels, as those of the test split, has no instances and class -1 everywhere.
    """

    def __init__(
        self,
        root: Path | str,
        split: str = "all",
        *,
        vocabulary: Vocabulary | None = None,
        limit: int | None = None,
        aligned: bool = False,
        semantics: Path | str | None = None,
    ) -> None:
        if split not in (*SPLITS, "all"):
            raise UserError(f"scannet has no split {split!r}; it has {', '.join(SPLITS)} and all")
        self.root, self.split, self.aligned = Path(root), split, aligned
        self.vocabulary = SCANNET20 if vocabulary is None else vocabulary
        self.notes: list[str] = []
        scenes = find_scenes(self.root)
        wanted = list(scenes) if split == "all" else read_split(self.root, split)
        present = [name for name in wanted if name in scenes]
        if not present:
            raise UserError(
                f"{root}: holds no scene of {split}; expected scans/{wanted[0] if wanted else 'scene0000_00'}/ with "
                "its _vh_clean_2.ply (ask for ScanNet v2 at http://www.scan-net.org)"
            )
        if lacking := len(wanted) - len(present):
            self.notes.append(f"scannet:{split}: {lacking} of {len(wanted)} scenes are not in {root}")
        self.names = present[:limit]
        self._scenes = [scenes[name] for name in self.names]
        self._semantics = None if semantics is None else Path(semantics)
        self._check_labels()
        if note := mapping(SCANNET20, self.vocabulary):
            self.notes.append(note)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> Scan:
        scene = self._scenes[i]
        cloud = read_mesh(scene)
        labels = self._labels(scene, len(cloud))
        if self._semantics is not None:
            given = read_given(self._semantics / f"{scene.name}.txt", len(cloud))
            cloud = replace(cloud, semantic=torch.from_numpy(given))
        if self.aligned:
            cloud = align(cloud, read_alignment(scene.info))
        return relabel(Scan(scene.name, cloud, _instances(labels, len(cloud))), self.vocabulary)

    def fingerprint(self, i: int) -> str:
        """Changes when a file of the scene does."""
        scene = self._scenes[i]
        files = (scene.mesh, scene.segments, scene.aggregation, scene.label_mesh, scene.info)
        return f"{scene.folder.resolve()}-{self.aligned}-{digest_of_files(*files)}"

    def official(self, folder: Path, vocabulary: Vocabulary) -> Official:
        """What was found, and the truth where there is one, as `Submission` writes them."""
        return _Scenes(Submission(folder), self)

    def labels(self, i: int) -> Annotation | None:
        """All forty classes and the objects' own numbers, as the benchmark's ground truth has them; None without labels."""
        scene = self._scenes[i]
        return self._labels(scene, count_vertices(scene.mesh))

    def _labels(self, scene: Scene, vertices: int) -> Annotation | None:
        if scene.is_unlabelled:
            return None
        if scene.missing:
            return read_label_mesh(scene.label_mesh, vertices)
        found = read_annotation(
            scene.segments, scene.aggregation, self._table, self._words, vertices=vertices
        )
        self.notes.extend(note for note in found.notes if note not in self.notes)
        return found

    @cached_property
    def _table(self) -> Path:
        return find_file(self.root, TABLE)

    @cached_property
    def _words(self) -> dict[str, int]:
        return read_words(self._table)

    def _check_labels(self) -> None:
        """Before hours of work, not after them."""
        for scene in self._scenes if self._semantics is not None else ():
            assert self._semantics is not None
            if not (file := self._semantics / f"{scene.name}.txt").is_file():
                raise UserError(
                    f"{file}: no such file; --semantics names a folder with a <scene>.txt for every scene, such as `semantic` "
                    "of `gestalt3d evaluate … --submission`"
                )
        semantic_only = []
        for scene in self._scenes:
            if scene.missing and not scene.is_unlabelled:
                if not scene.label_mesh.is_file():
                    raise UserError(
                        f"{scene.missing[0]}: no such file, and no {scene.label_mesh.name} instead of it; download the "
                        "scene again (`gestalt3d data check scannet` lists what is missing)"
                    )
                semantic_only.append(scene.name)
        if semantic_only:
            more = f" and {len(semantic_only) - 8} more" if len(semantic_only) > 8 else ""
            self.notes.append(
                f"classes but no instances, for want of .segs.json or .aggregation.json: {', '.join(semantic_only[:8])}{more}"
            )


class _Scenes:
    """Writes scenes of the data into a submission. What is scored stays what it is."""

    takes_unlabelled = True

    def __init__(self, submission: Submission, scans: ScanNet) -> None:
        self._submission, self._scans = submission, scans

    def add(self, found: Instances, seen: Seen) -> Seen:
        name = seen.scan.name
        truth = self._scans.labels(self._scans.names.index(name))
        self._submission.add(name, found)
        if truth is not None:
            self._submission.add_truth(name, truth.semantic, truth.instance)
        return seen


def find_scenes(root: Path) -> dict[str, Scene]:
    """The scenes in `root` and one level below it that have their mesh, by name."""
    found = {}
    for folder in _with_children(root):
        for path in folder.iterdir():
            if _SCENE.fullmatch(path.name) and (scene := Scene(path.name, path)).mesh.is_file():
                found.setdefault(scene.name, scene)
    return dict(sorted(found.items()))


def find_file(root: Path, name: str) -> Path:
    """The file of this name in `root` or one level below it."""
    for folder in _with_children(root):
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{root / name}: no such file; it comes with ScanNet v2, the lists of the splits from Tasks/Benchmark of "
        "https://github.com/ScanNet/ScanNet"
    )


def _with_children(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise UserError(f"{root}: not a folder; name the one that holds scans/ and the lists with --root")
    yield root
    yield from sorted(c for c in root.iterdir() if c.is_dir() and not _SCENE.fullmatch(c.name))


def read_split(root: Path, split: str) -> list[str]:
    """Names that `scannetv2_<split>.txt` lists, sorted, each once."""
    path = find_file(root, f"scannetv2_{split}.txt")
    names = set(read_text(path, _LIST_LIMIT).split())
    if odd := sorted(name for name in names if not _SCENE.fullmatch(name)):
        raise UserError(f"{path}: lists {odd[0][:40]!r}, not a scene such as scene0000_00; download it again")
    return sorted(names)


def read_mesh(scene: Scene) -> PointCloud:
    """The vertices, in their order."""
    cloud = load_cloud(scene.mesh, units="m", up="z")
    if not bool(cloud.points.isfinite().all()):
        raise UserError(f"{scene.mesh}: has vertices that are not finite; download the scene again")
    return cloud


def count_vertices(mesh: Path) -> int:
    """As the header says; a number that does not fit into the file is a `UserError`."""
    with mesh.open("rb") as file:
        header = read_header(mesh, file)
    vertex = next((e for e in header.elements if e.name == "vertex" and not e.has_lists), None)
    if vertex is None:
        return 0
    # Text has at least a digit and a blank for each number.
    row = sum(np.dtype(p.type).itemsize if header.order else 2 for p in vertex.properties)
    if vertex.rows * row > mesh.stat().st_size - header.size:
        raise UserError(
            f"{mesh}: claims {vertex.rows} vertices and ends before the last one; download the scene again"
        )
    if header.order and vertex is header.elements[0]:
        with mesh.open("rb") as file:
            expect_rest(mesh, file, header, vertex, header.size + vertex.rows * row)
    return vertex.rows


def read_label_mesh(path: Path, vertices: int) -> Annotation:
    """Classes alone, from the property `label`; numbers beyond 40 are none."""
    source = load_cloud(path, units="m", up="z").source
    table = None if source is None else source.table
    if table is None or "label" not in (table.dtype.names or ()) or table["label"].dtype.kind not in "iu":
        raise UserError(f"{path}: its vertices have no whole number called label; download the scene again")
    if len(table) != vertices:
        raise UserError(
            f"{path}: has {len(table)} vertices, the mesh {vertices}; the two belong to different meshes, download "
            "the scene again"
        )
    label = table["label"].astype(np.int64)
    semantic = np.where((label >= 1) & (label <= 40), label, 0)
    return Annotation(semantic, np.zeros_like(semantic))


def read_given(file: Path, vertices: int) -> np.ndarray:
    """(n,) int64: a class of `SCANNET20` per vertex, -1 for other numbers."""
    ids = read_integers(file)
    if len(ids) != vertices:
        raise UserError(f"{file}: {len(ids)} lines for {vertices} vertices; write the NYU40 id of each")
    return SCANNET20.from_official(ids)


def read_alignment(info: Path) -> np.ndarray | None:
    """(4, 4) float64, aligned_from_mesh, of `<scene>.txt`; None where there is no such file or line."""
    if not info.is_file():
        return None
    line = next(
        (x for x in read_text(info, _ALIGNMENT_LIMIT).splitlines() if x.startswith("axisAlignment")), ""
    )
    if not line:
        return None
    try:
        matrix = np.array([float(word) for word in line.partition("=")[2].split()]).reshape(4, 4)
    except ValueError:
        matrix = np.zeros((4, 4))
    turn = matrix[:3, :3]
    is_rigid = np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) and np.allclose(matrix[3], [0, 0, 0, 1])
    if not (np.isfinite(matrix).all() and is_rigid):
        raise UserError(
            f"{info}: axisAlignment must be 16 numbers, a turn and a shift, got {line[:60]!r}; download it again"
        )
    return matrix


def align(cloud: PointCloud, aligned_from_mesh: np.ndarray | None) -> PointCloud:
    if aligned_from_mesh is None:
        return cloud
    turn, shift = torch.from_numpy(aligned_from_mesh[:3, :3]), torch.from_numpy(aligned_from_mesh[:3, 3])
    points = (cloud.points.double() @ turn.T + shift).float()
    source = cloud.source
    if source is not None:
        source = replace(source, world_from_source=aligned_from_mesh @ source.world_from_source)
    return replace(cloud, points=points, source=source)


def _instances(labels: Annotation | None, vertices: int) -> Instances:
    """One instance per object that has vertices, in the order of their numbers."""
    if labels is None:
        nothing = torch.full((vertices,), -1, dtype=torch.int64)
        return replace(Instances.empty(vertices, SCANNET20), element_classes=nothing)
    semantic = SCANNET20.from_official(labels.semantic)
    numbers, first, row = np.unique(labels.instance, return_index=True, return_inverse=True)
    rest = int(len(numbers) > 0 and numbers[0] == 0)  # vertices of no object
    return Instances.from_labels(
        torch.from_numpy(row.reshape(-1) - rest),
        torch.from_numpy(semantic[first[rest:]]),
        vocabulary=SCANNET20,
        element_classes=torch.from_numpy(semantic),
    )
