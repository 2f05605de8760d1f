"""Evaluations that add up: a file of counts that every `evaluate --add-to` adds its scans to, as the folds of a cross
validation whose models each know their own area.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from gestalt3d.configs import Json, to_plain
from gestalt3d.data import Evaluator
from gestalt3d.engine.model import Model
from gestalt3d.errors import UserError
from gestalt3d.io.atomic import atomic_path
from gestalt3d.metrics.counts import Counts
from gestalt3d.metrics.report import Results


class Together(Results):
    """The results of all scans in a file, and the evaluations that they are of."""

    parts: list[Json]


class _Kept(Together):
    """What the file holds."""

    settings: dict[str, Json]
    counts: Counts


class Tally:
    """The file `path`, which need not exist.

    `make` gives an evaluator without scans. What does not belong into the file is a `UserError` at once, before anything is
    segmented: other settings of the method or the evaluation, another vocabulary, one of the scans `names` that it holds.
    """

    def __init__(
        self,
        path: Path,
        model: Model,
        make: Callable[[], Evaluator],
        names: Iterable[str],
        *,
        sampled_blocks: bool,
    ) -> None:
        self.path, self._make = path, make
        own = {name: value for name, value in to_plain(model.method.config).items() if name != "seed"}
        self._settings: dict[str, Json] = {
            "method": model.method.name,
            "sampled_blocks": sampled_blocks,
            **own,
        }
        before = self._read()
        if before is None:
            return
        for key, value in self._settings.items():
            if (theirs := before["settings"].get(key)) != value:
                raise self._refused(f"was counted with another {key}: {theirs}, not {value}")
        self._join(make(), before["counts"])
        held = {*before["counts"]["scans"], *before["counts"]["skipped"]}
        if twice := [name for name in names if name in held]:
            raise self._refused(f"holds {twice[0]} already; a scan counts once")

    def add(self, counted: Evaluator, part: dict[str, Json]) -> Together:
        """Add what was counted, write the file, and return its results: those of all scans in it, and the `parts` it is of.

        The file is read again, so that what another process has added meanwhile is not lost.
        """
        before, together = self._read(), self._make()
        parts: list[Json] = [part]
        if before is not None:
            parts = [*before["parts"], part]
            self._join(together, before["counts"])
        self._join(together, counted.counts())
        result: Together = {"parts": parts, **together.results()}
        kept: _Kept = {**result, "settings": self._settings, "counts": together.counts()}
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(kept, allow_nan=False) + "\n", encoding="utf-8")
        return result

    def _join(self, evaluator: Evaluator, counts: Counts) -> None:
        try:
            evaluator.add_counts(counts)
        except ValueError as problem:
            raise self._refused(str(problem)) from None

    def _read(self) -> _Kept | None:
        if not self.path.exists():
            return None
        try:
            read = json.loads(self.path.read_text(encoding="utf-8"))
            kinds = {"settings": dict, "counts": dict, "parts": list}
            if not all(isinstance(read[key], kind) for key, kind in kinds.items()):
                raise TypeError("parts of it are missing")
        except (OSError, ValueError, TypeError, KeyError) as problem:
            raise self._refused(f"is no file that --add-to has written ({problem})") from None
        return read

    def _refused(self, cause: str) -> UserError:
        return UserError(f"--add-to {self.path}: {cause}; name another file")
