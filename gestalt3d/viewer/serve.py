"""The web page of a scan or a result, served to this machine only."""

import os
import re
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gestalt3d.errors import UserError

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

    from gestalt3d.io.given import InputLike
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.pointcloud import PointCloud
    from gestalt3d.structures.view import View


def serve(
    path: str | Path,
    *,
    port: int = 0,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show a file until interrupted: a result (`scan.instances.npz`, `.ply`), a scan, a photo, an RGB-D frame (also a folder),
    or a page already written.

    Port 0 takes a free one. The address is printed at once, or given to `on_ready`; a browser that asks for it waits until
    the page is made. No browser is opened where there is no screen, as over SSH. `UserError` for what cannot be read.
    """
    from gestalt3d.io.inputs import is_frame

    path = Path(path)
    if not (path.is_file() or is_frame(path)):
        raise UserError(f"{path}: is no file; name a result (scan.instances.npz), a scan or a page")
    _serve(lambda: _page(path), port, open_browser, on_ready)


def view(
    cloud: "InputLike",
    instances: "Instances | None" = None,
    *,
    title: str = "scan",
    port: int = 0,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show a cloud or a view and its instances, or it alone, as a web page, served on this machine until Ctrl-C.

    `port` 0 takes any free one. `on_ready` is told the address in place of a line on the terminal.
    """
    from gestalt3d.io.given import input_of, instances_and_input

    if instances is None:
        cloud = input_of(cloud, call="view(cloud)")
        instances = _nothing_found(cloud)
    instances, cloud = instances_and_input(instances, cloud, call="view(cloud, instances)")

    def page() -> bytes:
        from gestalt3d.viewer.page import page_html

        return page_html(cloud, instances, title=title).encode()

    _serve(page, port, open_browser, on_ready)


def announcement(address: str, shown: str = "the page") -> str:
    """What to tell the user: the address and, where no browser can be opened, how to get there."""
    lines = [f"{shown} is shown at {address}", "Ctrl-C ends it"]
    if _over_ssh():
        port = address.rstrip("/").rsplit(":", 1)[1]
        # Third word: the address by which the other computer knows this one.
        words = os.environ.get("SSH_CONNECTION", "").split()
        host = words[2] if len(words) == 4 else socket.gethostname()
        lines.insert(
            1,
            f"from your own computer: ssh -L {port}:127.0.0.1:{port} {os.environ.get('USER', 'you')}@{host}",
        )
        lines.insert(2, "and open the address there")
    elif not _has_screen():
        lines.insert(1, "no screen here: open the address in a browser of this machine")
    return "\n".join(lines)


def _over_ssh() -> bool:
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY")) and not _has_display()


def _has_screen() -> bool:
    """Whether a browser opened here can be seen; without one, some systems open a browser in the terminal."""
    if _over_ssh():
        return False
    return sys.platform in ("win32", "darwin") or _has_display() or bool(os.environ.get("BROWSER"))


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _serve(
    make: Callable[[], bytes], port: int, open_browser: bool, on_ready: Callable[[str], None] | None
) -> None:
    pages: list[bytes] = []
    server = page_server(lambda: pages[0], port=port)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        if on_ready is not None:
            on_ready(address)
        else:
            sys.stdout.write(announcement(address) + "\n")
            sys.stdout.flush()
        pages.append(make())
        if open_browser and _has_screen():
            webbrowser.open(address)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def page_server(page: Callable[[], bytes], *, port: int = 0) -> "ThreadingHTTPServer":
    """Answers `GET /` with the page and everything else with 404, on 127.0.0.1."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            # Another site's script may reach this port under a name of its own; it must not read the scan.
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            if host not in ("127.0.0.1", "localhost"):
                self.send_error(403)
            elif self.path.split("?", 1)[0] != "/":
                self.send_error(404)
            else:
                body = page()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if with_body:
                    self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"port {port} cannot be used ({error}); give another one, or 0 for any free one"
        ) from error


def _page(path: Path) -> bytes:
    if path.suffix.lower() in (".html", ".htm"):
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); give a page or .instances.npz that can be"
            ) from error
    from gestalt3d.viewer.page import page_html

    cloud, instances = _load(path)
    return page_html(cloud, instances, title=re.sub(r"(\.instances)?\.\w+$", "", path.name)).encode()


def _load(path: Path) -> "tuple[PointCloud | View, Instances]":
    """A scan or view and what is known to have been found in it: in the file itself, or in the result beside it."""
    from gestalt3d.io.answers import instances_of_points
    from gestalt3d.io.inputs import load_input
    from gestalt3d.io.numpy_files import read_members
    from gestalt3d.structures.pointcloud import PointCloud

    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes[:1] == [".instances"] and suffixes[-1] != ".ply":
        complete = path.with_suffix(".npz")
        if suffixes[-1] == ".npz" or complete.is_file():
            return _result(complete)
    if suffixes[-1:] == [".npz"] and len(read_members(path, _OF_RESULTS)) == len(_OF_RESULTS):
        return _result(path)
    given = load_input(path)
    found = instances_of_points(given) if isinstance(given, PointCloud) else None
    return given, _nothing_found(given) if found is None else found


def _result(path: Path) -> "tuple[PointCloud | View, Instances]":
    from gestalt3d.io import load_instances

    instances, given = load_instances(path)
    return given, instances


_OF_RESULTS = ("offsets", "scores", "class_names")
"""Arrays that a result has and a scan has not."""


def _nothing_found(cloud: "PointCloud | View") -> "Instances":
    from gestalt3d.structures.instances import Instances
    from gestalt3d.structures.vocabulary import Vocabulary

    return Instances.empty(len(cloud), Vocabulary("none", ()))
