import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from gestalt3d.errors import UserError
from gestalt3d.io import save_cloud, save_instances
from gestalt3d.viewer import serve, view
from gestalt3d.viewer.serve import announcement, page_server
from tests.viewer.made_up_layers import frame
from tests.viewer.made_up_room import made_up_room
from tests.viewer.test_page import about


@pytest.fixture
def address():
    server = page_server(lambda: b"<!doctype html>hello")
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
        page_server(bytes, port=int(address.rsplit(":", 1)[1]))
    with pytest.raises(UserError, match="cannot be used"):
        page_server(bytes, port=99999)


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


def shown(path, monkeypatch) -> dict:
    """What the page of a file says."""
    seen = {}

    def interrupted(server, poll_interval: float = 0.5) -> None:
        thread = threading.Thread(target=lambda: seen.update(page=fetch(seen["address"]).decode()))
        thread.start()
        server.handle_request()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", interrupted)
    serve(path, open_browser=False, on_ready=lambda a: seen.update(address=a))
    return about(seen["page"])


@pytest.mark.parametrize("name", ["room.ply", "room.npz", "room.xyz"])
def test_a_scan_alone_is_shown(tmp_path, monkeypatch, name: str) -> None:
    cloud, _ = made_up_room(500)
    save_cloud(tmp_path / name, cloud)
    page = shown(tmp_path / name, monkeypatch)
    assert page["title"] == "room" and page["elements"] == 500
    assert page["instances"]["class"] == [] and page["method"] == ""


@pytest.mark.parametrize("suffix", [".npz", ".ply", ".json", ".las"])
def test_every_result_is_shown(tmp_path, monkeypatch, suffix: str) -> None:
    cloud, instances = made_up_room(2000)
    for kind in {".npz", suffix}:
        save_instances(tmp_path / f"room.instances{kind}", instances, cloud)
    if suffix == ".ply":
        (tmp_path / "room.instances.npz").unlink()
    page = shown(tmp_path / f"room.instances{suffix}", monkeypatch)
    names = [page["classes"][c]["name"] for c in page["instances"]["class"]]
    assert names == [instances.class_name(i) for i in range(len(instances))]
    assert page["instances"]["score"] == pytest.approx(instances.scores.tolist(), abs=1e-4)
    assert page["instances"]["points"] == instances.sizes.tolist()
    assert page["title"] == "room"


def test_instances_of_a_ply_may_lack_classes_and_scores(tmp_path, monkeypatch) -> None:
    rows = "".join(f"{i} 0 0 {(7_000_000, 7_000_000, 12_000_000, -1)[i % 4]}\n" for i in range(8))
    head = "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
    (tmp_path / "mine.ply").write_text(f"{head}property int instance\nend_header\n{rows}")
    page = shown(tmp_path / "mine.ply", monkeypatch)
    assert page["instances"]["points"] == [4, 2] and page["instances"]["class"] == [-1, -1]


def test_the_address_is_said_before_the_page_is_made(tmp_path, monkeypatch, capsys) -> None:
    cloud, instances = made_up_room(500)

    def slow(*_: object, **__: object) -> str:
        assert "http://127.0.0.1:" in capsys.readouterr().out
        raise KeyboardInterrupt

    monkeypatch.setattr("gestalt3d.viewer.page.page_html", slow)
    view(cloud, instances, open_browser=False)


def test_over_ssh_the_tunnel_is_said_and_no_browser_opened(monkeypatch, capsys) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_TTY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50123 192.168.7.4 22")
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda *_, **__: None)
    cloud, _ = made_up_room(100)
    view(cloud)
    said = capsys.readouterr().out
    port = said.split("http://127.0.0.1:")[1].split("/")[0]
    assert f"ssh -L {port}:127.0.0.1:{port} " in said and "@192.168.7.4" in said
    assert not opened
    monkeypatch.setenv("DISPLAY", ":0")
    assert "ssh" not in announcement("http://127.0.0.1:80/")
    view(cloud)
    assert len(opened) == 1


def test_a_photo_and_the_result_of_a_frame_are_shown(tmp_path, monkeypatch) -> None:
    view, instances = frame()
    save_instances(tmp_path / "desk.instances.npz", instances, view)
    page = shown(tmp_path / "desk.instances.npz", monkeypatch)
    assert page["title"] == "desk" and [layer["kind"] for layer in page["layers"]] == [
        "image",
        "points",
        "camera",
        "triangles",
    ]
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "photo.png")
    page = shown(tmp_path / "photo.png", monkeypatch)
    (layer,) = page["layers"]
    assert (layer["kind"], layer["width"], layer["height"]) == ("image", 30, 20) and page["room"] is None
