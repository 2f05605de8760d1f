"""The command line: from the words a person types to a verb, and from its errors to a line and an exit code.

Each verb is a file; what `gestalt3d --help` needs is imported with this one, everything else when a verb runs.
"""

import difflib
import sys
from typing import NoReturn

import gestalt3d
from gestalt3d.cli.verbs import VERBS, Verb
from gestalt3d.errors import UserError
from gestalt3d.terminal import complain, say, streams

__all__ = ["main"]

USAGE = """gestalt3d finds the objects in a 3-D scan.

Start here
  gestalt3d demo                           a synthetic room that training never saw: table, picture, web page
  gestalt3d segment scan.ply -o out/       your own scan: .ply .pcd .las .xyz .npy .obj .glb …
  gestalt3d view out/scan.instances.npz    look at the result in a browser

Verbs
{verbs}

`gestalt3d VERB --help` shows the options of a verb and three examples, `--version` the version."""


def main(arguments: list[str] | None = None) -> None:
    """Run one verb.

    A user's error is one line on stderr and exit code 2; Ctrl-C keeps finished files and exits with 130.
    """
    with streams():
        _main(sys.argv[1:] if arguments is None else arguments)


def _main(arguments: list[str]) -> None:
    if arguments[:1] == ["help"]:
        arguments = [*arguments[1:], "--help"]
    if not arguments or arguments[0] in ("-h", "--help"):
        say(USAGE.format(verbs="\n".join(f"  {verb.name:<10} {verb.summary}" for verb in VERBS.values())))
        return
    if arguments[0] in ("--version", "-V"):
        say(f"gestalt3d {gestalt3d.__version__}")
        return
    verb = arguments[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        _fail(f"gestalt3d: no verb {verb!r}; {hint}")
    try:
        _run(VERBS[verb], arguments[1:])
    except UserError as problem:
        _fail(f"gestalt3d {verb}: {problem}")
    except KeyboardInterrupt as stop:
        complain(f"\ngestalt3d {verb}: {str(stop) or 'stopped; what was finished is kept'}")
        sys.exit(130)
    except MemoryError:
        _fail(f"gestalt3d {verb}: out of memory; split the scan or use a machine with more")
    except BrokenPipeError:
        pass  # of a help text that `| head` did not read to the end
    except OSError as problem:
        where, cause = problem.filename or "a file", problem.strerror or problem
        _fail(f"gestalt3d {verb}: {where}: {cause}; check the path and its permissions")


def _run(verb: Verb, arguments: list[str]) -> None:
    if verb.name == "train":  # has the options of a recipe, which it reads itself
        return verb.run(arguments)
    import tyro

    from gestalt3d.cli.options import STYLE

    return tyro.cli(
        verb.run, prog=f"gestalt3d {verb.name}", args=arguments, description=verb.description, config=STYLE
    )


def _fail(line: str) -> NoReturn:
    complain(" ".join(line.split()))
    sys.exit(2)
