"""Files that are either complete or not there."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gestalt3d.errors import UserError

_CAUSES = {
    errno.ENOSPC: "the disk is full; free some space or write elsewhere",
    errno.EDQUOT: "the disk quota is used up; free some space or write elsewhere",
    errno.EFBIG: "the file is larger than the system allows here; write elsewhere",
    errno.EACCES: "no permission; choose a folder you may write to",
    errno.EPERM: "no permission; choose a folder you may write to",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EISDIR: "a folder has that name; choose another name",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling to write to; it replaces `path` at the end and vanishes on any failure.

    Missing folders are made. The sibling keeps the suffix. An `OSError` of the body is taken for a failure to
    write and becomes a `UserError`; reading other files belongs outside.
    """
    path = Path(path)
    # Short and independent of the name, so that a name of the greatest length still works.
    temporary = path.parent / f".{secrets.token_hex(6)}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # `O_EXCL` follows no link that someone put there; the mode obeys the umask, unlike `tempfile`'s 0600.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        temporary.replace(path)
    except OSError as error:
        cause = _CAUSES.get(error.errno or 0, f"{error.strerror or error}; choose another place")
        raise UserError(f"{path}: cannot be written: {cause}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
