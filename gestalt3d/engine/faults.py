"""What to say about a file that failed, foreseen or not, so that the others still have their turn."""

import traceback
from pathlib import Path

import gestalt3d
from gestalt3d.errors import UserError


def in_one_line(what: Path | str, problem: Exception) -> UserError:
    """Whatever went wrong with a file or a scan, named with it; of faults of ours also the line of this package passed last."""
    if isinstance(problem, UserError):
        return UserError(f"{what}: {problem}") if str(what) not in str(problem) else problem
    if is_out_of_memory(problem):
        return UserError(f"{what}: its points do not fit into memory; cut the scan into parts")
    if isinstance(problem, OSError):
        where, cause = problem.filename or what, problem.strerror or problem
        return UserError(f"{what}: {where}: {cause}; check the path and its permissions")
    package = Path(gestalt3d.__file__).parent
    frames = [f for f in traceback.extract_tb(problem.__traceback__) if package in Path(f.filename).parents]
    place = (
        f" in {Path(frames[-1].filename).relative_to(package)}, line {frames[-1].lineno}" if frames else ""
    )
    cause = " ".join(f"{type(problem).__name__}: {problem}".split())[:200]
    return UserError(f"{what}: a fault of gestalt3d stopped it ({cause}{place}); please report it")


def is_out_of_memory(problem: BaseException) -> bool:
    """Also where torch, which has a type for it on CUDA only, says so in words."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(problem, MemoryError) or any(w in str(problem) for w in words)
