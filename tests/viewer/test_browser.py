"""The page in a real browser with a software renderer."""

import dataclasses
import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer import save_page
from gestalt3d.viewer.coloring import instance_colors
from tests.viewer.chromium import Browser, find_chromium
from tests.viewer.made_up_room import made_up_room

TABLE, SOFA = 6, 10


def ready(browser: Browser) -> None:
    browser.wait_for("window.gestalt3d && (gestalt3d.firstFrameMs || gestalt3d.error)")
    assert browser.evaluate("gestalt3d.error") is None


def picture(browser: Browser) -> np.ndarray:
    # Two frames later what was asked for is on the screen.
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
    with Image.open(io.BytesIO(browser.screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory):
    find_chromium()
    cloud, instances = made_up_room(150_000)
    path = tmp_path_factory.mktemp("page") / "room.html"
    whole = torch.tensor([[2.2, 2.0, 0.4, 1.8, 1.0, 0.8, 0.1]]).repeat(len(instances), 1)
    save_page(
        path, cloud, dataclasses.replace(instances, amodal_boxes=whole), title="a room", notes=("a note",)
    )
    with Browser(path) as browser:
        ready(browser)
        yield browser
        errors = [line for line in browser.console if "ReadPixels" not in line]
        assert not errors, errors


@pytest.fixture
def fresh(room: Browser) -> Browser:
    room.press("Escape")
    room.evaluate("gestalt3d.colorBy('instance')")
    return room


def test_instances_are_drawn_in_their_colours(fresh: Browser) -> None:
    image = picture(fresh)
    for i in (TABLE, SOFA, 11):
        near = np.abs(image[:, :950] - instance_colors(12)[i]).max(-1) < 30
        assert near.mean() > 0.004, f"instance {i} is not to be seen"


def test_a_click_isolates_the_object_and_escape_brings_all_back(fresh: Browser) -> None:
    x, y = fresh.evaluate(f"gestalt3d.where({SOFA})")
    fresh.click(x, y)
    assert fresh.evaluate("gestalt3d.state().selected") == SOFA
    card = fresh.evaluate("document.getElementById('card').innerText")
    assert "sofa" in card and f"#{SOFA}" in card and "Whole" in card and "1.80 × 1.00 × 0.80 m" in card
    alone = picture(fresh)
    color = instance_colors(12)[TABLE]
    assert (np.abs(alone[:, :950] - color).max(-1) < 30).mean() < 0.001, "the table keeps its colour"
    fresh.press("Escape")
    assert fresh.evaluate("gestalt3d.state().selected") == -1
    assert fresh.evaluate("document.getElementById('card').hidden")
    fresh.click(x, y)
    fresh.click(930, 700)
    assert fresh.evaluate("gestalt3d.state().selected") == -1, "a click on nothing shows everything"


def test_keys_change_the_colours_and_the_boxes(fresh: Browser) -> None:
    before = picture(fresh)
    seen = []
    for key, mode in (("1", "rgb"), ("3", "class"), ("4", "score"), ("2", "instance")):
        fresh.press(key)
        assert fresh.evaluate("gestalt3d.state().mode") == mode
        seen.append(picture(fresh)[:, :950])
    assert all(np.abs(a - b).mean() > 1 for a, b in itertools.pairwise(seen))
    np.testing.assert_array_equal(seen[-1], before[:, :950])
    fresh.press("b")
    assert fresh.evaluate("gestalt3d.state().boxes")
    assert 0 < (np.abs(picture(fresh) - before).max(-1) > 20).mean() < 0.1
    fresh.press("b")


def test_a_class_can_be_hidden_in_the_legend(fresh: Browser) -> None:
    sofa = instance_colors(12)[SOFA]
    shown = (np.abs(picture(fresh)[:, :950] - sofa).max(-1) < 30).sum()
    row = "[...document.querySelectorAll('#classes .row')].find(r => r.innerText.includes('sofa'))"
    fresh.evaluate(f"{row}.click()")
    hidden = (np.abs(picture(fresh)[:, :950] - sofa).max(-1) < 30).sum()
    assert shown > 1000 and hidden < 0.05 * shown
    assert fresh.evaluate(f"{row}.getAttribute('aria-pressed')") == "false"
    fresh.evaluate("document.getElementById('classes-all').click()")


def test_the_list_searches_sorts_and_isolates(fresh: Browser) -> None:
    fill = (
        "const s = document.getElementById('search'); s.value = '{}'; s.dispatchEvent(new Event('input')); "
    )
    assert fresh.evaluate(f"(() => {{ {fill.format('chair')} return gestalt3d.state().listed }})()") == [
        7,
        8,
        9,
    ]
    fresh.evaluate("document.querySelector('#objects .row').click()")
    assert fresh.evaluate("gestalt3d.state().selected") == 7
    assert len(fresh.evaluate(f"(() => {{ {fill.format('')} return gestalt3d.state().listed }})()")) == 13


def test_a_drag_turns_the_room(fresh: Browser) -> None:
    before = fresh.evaluate("gestalt3d.state().camera.azimuth")
    for kind, x in (("mousePressed", 300), ("mouseMoved", 340), ("mouseMoved", 420), ("mouseReleased", 420)):
        fresh.call("Input.dispatchMouseEvent", type=kind, x=x, y=300, button="left", buttons=1, clickCount=1)
    assert abs(fresh.evaluate("gestalt3d.state().camera.azimuth") - before) > 0.3
    assert fresh.evaluate("gestalt3d.state().selected") == -1


def test_the_page_asked_for_no_other_address(fresh: Browser) -> None:
    assert (
        fresh.evaluate(
            "performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length"
        )
        == 0
    )


def test_large_scans_are_shown_whole(tmp_path) -> None:
    """Below the limit nothing is thinned out; `gestalt3d bench viewer` measures how fast a million points come."""
    find_chromium()
    cloud, instances = made_up_room(300_000)
    save_page(tmp_path / "large.html", cloud, instances, title="large")
    with Browser(tmp_path / "large.html") as browser:
        ready(browser)
        assert browser.evaluate("gestalt3d.state().points") == 300_000


def test_five_thousand_hostile_instances_without_colour(tmp_path) -> None:
    """Names stay text, and the number of draw calls does not grow with the instances."""
    find_chromium()
    rng = np.random.default_rng(0)
    evil = "<img src=x onerror=\"document.title='bad'\"></script><script>document.title='bad'</script>"
    labels = np.repeat(np.arange(5000), 10)
    points = rng.random((5000, 3))[labels] * [30, 20, 3] + rng.normal(0, 0.1, (50_000, 3))
    cloud = PointCloud.from_arrays(points.astype(np.float32))
    instances = Instances.from_labels(
        torch.from_numpy(labels),
        torch.from_numpy(rng.integers(-1, 2, 5000)),
        vocabulary=Vocabulary("evil", (evil, "b")),
    )
    save_page(tmp_path / "evil.html", cloud, instances, title=evil, notes=(evil,))
    with Browser(tmp_path / "evil.html") as browser:
        ready(browser)
        browser.evaluate("gestalt3d.isolate(gestalt3d.state().listed[0])")
        browser.evaluate(
            "window.calls = 0; for (const f of ['drawArrays', 'drawArraysInstanced', 'drawElements']) {"
            " const draw = WebGL2RenderingContext.prototype[f];"
            " WebGL2RenderingContext.prototype[f] = function (...a) { window.calls++; draw.apply(this, a) } }"
        )
        browser.press("b")
        picture(browser)
        assert 1 <= browser.evaluate("window.calls") <= 6
        assert browser.evaluate("document.title") == evil
        assert browser.evaluate("document.querySelectorAll('img').length") == 0
        assert evil in browser.evaluate("document.getElementById('classes').textContent")
        assert not [line for line in browser.console if "ReadPixels" not in line]


@pytest.mark.parametrize("points", [1, 3])
def test_almost_nothing_is_shown(tmp_path, points: int) -> None:
    find_chromium()
    cloud = PointCloud.from_arrays(np.zeros((points, 3), dtype=np.float32))
    save_page(tmp_path / "tiny.html", cloud, Instances.empty(points, Vocabulary("none", ())), title="tiny")
    with Browser(tmp_path / "tiny.html", size=(390, 700)) as browser:
        ready(browser)
        image = picture(browser)
        background = image[300, 20]
        assert (np.abs(image[200:500] - background).max(-1) > 60).sum() > 50
        assert browser.evaluate("gestalt3d.pick(195, 350)") == -1
