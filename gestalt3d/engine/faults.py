"""What to say about a file that failed, foreseen or not, so that the others still have their turn."""

import traceback
from pathlib import Path

import gestalt3d
from gestalt3d import plugins
from gestalt3d.errors import UserError


def in_one_line(what: Path | str, problem: Exception) -> UserError:
    """Whatever went wrong with a file or a scan, named with it; of faults of ours also the line of this package passed last, of
    those of a method from elsewhere whose it is.
    """
    if isinstance(problem, UserError):
        return UserError(f"{what}: {problem}") if str(what) not in str(problem) else problem
    if is_out_of_memory(problem):
        return UserError(f"{what}: its points do not fit into memory; cut the scan into parts")
    if isinstance(problem, OSError):
        where, cause = problem.filename or what, problem.strerror or problem
        return UserError(f"{what}: {where}: {cause}; check the path and its permissions")
    passed, package = traceback.extract_tb(problem.__traceback__), Path(gestalt3d.__file__).parent
    if author := plugins.author_of([f.filename for f in passed]):
        return UserError(
            f"{what}: a fault of {author} stopped it ({_cause(problem)}); report it to its authors"
        )
    frames = [f for f in passed if package in Path(f.filename).parents]
    place = (
        f" in {Path(frames[-1].filename).relative_to(package)}, line {frames[-1].lineno}" if frames else ""
    )
    return UserError(f"{what}: a fault of gestalt3d stopped it ({_cause(problem)}{place}); please report it")


def _cause(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())[:200]


def is_out_of_memory(problem: BaseException) -> bool:
    """Also where torch, which has a type for it on CUDA only, says so in words."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(problem, MemoryError) or any(w in str(problem) for w in words)
