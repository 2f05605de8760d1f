"""`gestalt3d view`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from gestalt3d.cli.options import option
from gestalt3d.terminal import say


def view(
    file: Positional[
        Annotated[
            Path,
            option(
                "what segment wrote, such as scan.instances.npz or scan.html, or a scan alone",
                "FILE",
                default="",
            ),
        ]
    ],
    *,
    port: Annotated[
        int, option("number of the port that the page is served at; 0: any free one", "PORT")
    ] = 0,
    browser: Annotated[bool, option("only say the address, do not open a browser", default="")] = True,
) -> None:
    """Serve the page of a file until Ctrl-C."""
    from gestalt3d.viewer.serve import announcement, serve

    serve(
        file,
        port=port,
        open_browser=browser,
        on_ready=lambda address: say(announcement(address, str(file))),
    )
