"""What there is to learn from, before hours are spent on it."""

from collections import Counter
from dataclasses import dataclass

from gestalt3d.data import DataSet
from gestalt3d.errors import UserError
from gestalt3d.structures.samples import evenly_spaced


@dataclass(frozen=True)
class Survey:
    """Counts over `seen` of the `scans`."""

    scans: int
    seen: int
    points: int
    instances: int
    classes: dict[str, int]
    """Instances of every class, in the vocabulary's order; classes without one are left out."""
    has_classes: bool
    """Some point has a class."""

    def __str__(self) -> str:
        if self.seen < self.scans:
            each = f"about {self.points // self.seen:,} points and {self.instances // self.seen:,} instances each"
            return f"{self.scans:,} scans, {each} (counted in {self.seen})"
        per_class = ", ".join(f"{name}: {count:,}" for name, count in self.classes.items())
        scans = f"{self.scans:,} scan{'s' * (self.scans > 1)}"
        return f"{scans}, {self.points:,} points, {self.instances:,} instances ({per_class or 'none'})"


def survey(scans: DataSet, *, most: int) -> Survey:
    """Look at `most` evenly spaced scans, or at all where those have no classes or no instances."""
    found = _count(scans, most)
    return found if found.has_classes and found.instances else _count(scans, len(scans))


def _count(scans: DataSet, most: int) -> Survey:
    points = seen = 0
    has_classes = False
    rows: Counter[int] = Counter()
    for scan in evenly_spaced(scans, most):
        seen, points = seen + 1, points + len(scan.input)
        rows.update(map(int, scan.truth.classes))
        has_classes = has_classes or bool((scan.truth.classes_of_elements() >= 0).any())
    names = scans.vocabulary.names
    classes = {name: rows[c] for c, name in enumerate(names) if rows[c]}
    if rows[-1]:
        classes["of no class"] = rows[-1]
    return Survey(len(scans), seen, points, rows.total(), classes, has_classes)


def expect_labels(scans: DataSet, found: Survey, *, instances: bool) -> None:
    """`UserError` where no point has a class, or no instance is labelled though `instances` are learnt."""
    lacking = "classes" if not found.has_classes else "instances" if instances and not found.instances else ""
    if lacking:
        raise UserError(
            f"{getattr(scans, 'root', 'the data')}: no {lacking} to learn from in {found.scans} scan{'s' * (found.scans > 1)}"
            + (f"; {scans.label_hint}" if scans.label_hint else "")
        )
