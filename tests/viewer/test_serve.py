import threading
import time
import urllib.error
import urllib.request

import pytest

from gestalt3d.errors import UserError
from gestalt3d.viewer import serve, view
from gestalt3d.viewer.serve import page_server
from tests.viewer.made_up_room import made_up_room


@pytest.fixture
def address():
    server = page_server(b"<!doctype html>hello")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_the_page_is_served(address: str) -> None:
    with urllib.request.urlopen(address + "/", timeout=5) as answer:
        assert answer.read() == b"<!doctype html>hello"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for path in ("/index.html", "/..", "/etc/passwd", "/%2e%2e/"):
        assert status(address + path) == 404


def test_other_sites_cannot_read_it_under_their_name(address: str) -> None:
    assert status(address + "/", Host="evil.example:80") == 403
    assert status(address + "/", Host="localhost:1") == 200


def test_a_port_in_use_is_one_line(address: str) -> None:
    with pytest.raises(UserError, match="cannot be used"):
        page_server(b"", port=int(address.rsplit(":", 1)[1]))
    with pytest.raises(UserError, match="cannot be used"):
        page_server(b"", port=99999)


def test_a_result_in_memory_is_shown_until_interrupted(monkeypatch) -> None:
    cloud, instances = made_up_room(500)
    seen = {}

    def interrupted(server, poll_interval: float = 0.5) -> None:
        threading.Thread(target=lambda: seen.update(page=fetch(seen["address"]))).start()
        server.handle_request()
        raise KeyboardInterrupt

    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", interrupted)
    view(cloud, instances, title="my room", open_browser=False, on_ready=lambda a: seen.update(address=a))
    for _ in range(100):
        if "page" not in seen:
            time.sleep(0.05)
    assert b"<title>my room</title>" in seen["page"]


def test_a_missing_page_is_one_line(tmp_path) -> None:
    with pytest.raises(UserError, match=r"none\.html"):
        serve(tmp_path / "none.html", open_browser=False)
