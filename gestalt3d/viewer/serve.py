"""The web page of a result, served to this machine only."""

import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gestalt3d.errors import UserError

if TYPE_CHECKING:
    from http.server import ThreadingHTTPServer

    from gestalt3d.io.given import CloudLike
    from gestalt3d.structures.instances import Instances


def serve(
    path: str | Path,
    *,
    port: int = 0,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show `scan.instances.npz` (or a page already written) until interrupted; port 0 takes a free one.

    `on_ready` is called with the address once the page can be fetched.
    """
    _serve(_page(Path(path)), port, open_browser, on_ready)


def view(
    cloud: "CloudLike",
    instances: "Instances",
    *,
    title: str = "scan",
    port: int = 0,
    open_browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """As `serve`, for what is in memory."""
    from gestalt3d.io.given import instances_and_cloud
    from gestalt3d.viewer.page import page_html

    instances, cloud = instances_and_cloud(instances, cloud, call="view(cloud, instances)")
    _serve(page_html(cloud, instances, title=title).encode(), port, open_browser, on_ready)


def _serve(page: bytes, port: int, open_browser: bool, on_ready: Callable[[str], None] | None) -> None:
    server = page_server(page, port=port)
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        if on_ready is not None:
            on_ready(address)
        if open_browser:
            webbrowser.open(address)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def page_server(page: bytes, *, port: int = 0) -> "ThreadingHTTPServer":
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
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if with_body:
                    self.wfile.write(page)

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
                f"{path}: cannot be read ({error.strerror}); give a page or .instances.npz that exists"
            ) from error
    from gestalt3d.io import load_instances
    from gestalt3d.viewer.page import page_html

    instances, cloud = load_instances(path)
    return page_html(
        cloud, instances, title=path.name.removesuffix(".npz").removesuffix(".instances")
    ).encode()
