"""The one error a user can cause: a single line that names the file, the cause and the way out."""


class UserError(ValueError):
    """Something the caller can mend. The command line prints it as one line and exits with code 2."""
