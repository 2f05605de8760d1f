"""`gestalt3d doctor`."""

import dataclasses
import sys

from gestalt3d.cli.options import Json
from gestalt3d.cli.report import write_json
from gestalt3d.terminal import say


def doctor(*, json: Json = None) -> None:
    """Print what was examined; exit code 2 where something needed does not work."""
    from gestalt3d.engine.doctor import examine

    findings = examine()
    for finding in findings:
        say(f"{'ok' if finding.ok else 'NO'}  {finding.what:<16} {finding.detail}")
        if finding.remedy:
            say(f"{'':<20} {finding.remedy}")
    if json is not None:
        write_json(json, {"findings": [dataclasses.asdict(f) for f in findings]})
    if not all(f.ok or f.optional for f in findings):
        sys.exit(2)
