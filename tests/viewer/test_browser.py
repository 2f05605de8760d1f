"""The page in a real browser with a software renderer."""

import dataclasses
import itertools
import re
import time

import numpy as np
import pytest
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.pointcloud import PointCloud
from gestalt3d.structures.vocabulary import Vocabulary
from gestalt3d.viewer import save_page
from gestalt3d.viewer.coloring import instance_colors
from tests.viewer.browsing import complaints, picture, ready, resized
from tests.viewer.chromium import Browser, find_chromium
from tests.viewer.made_up_room import made_up_room

TABLE, SOFA = 6, 10


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
        assert not complaints(browser)


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
        assert not complaints(browser)


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


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory):
    find_chromium()
    cloud, instances = made_up_room(40_000)
    path = tmp_path_factory.mktemp("page") / "room.html"
    save_page(path, cloud, instances, title="a room")
    with Browser(path) as browser:
        ready(browser)
        yield browser
        assert not complaints(browser)


@pytest.fixture
def own(second: Browser) -> Browser:
    """A window to resize and to filter in."""
    resized(second, 1280, 800)
    second.evaluate(
        "gestalt3d.isolate(-1); gestalt3d.keepScoresFrom(0); document.getElementById('help').close()"
    )
    second.press("0")
    time.sleep(0.5)  # it flies there
    return second


FLOOR = 0


def test_the_room_fits_again_when_the_window_changes(own: Browser) -> None:
    for width, height in ((1280, 800), (700, 1400), (390, 844), (1440, 500)):
        resized(own, width, height)
        free = own.evaluate("document.getElementById('canvas').clientWidth"), height
        image = picture(own)[:, : free[0]]
        inked = np.abs(image - instance_colors(12)[SOFA]).max(-1) < 30
        assert inked.mean() > 0.001, f"the sofa is not to be seen at {width} × {height}"
        floor = own.evaluate(f"gestalt3d.where({FLOOR})")
        assert 0.2 * free[0] < floor[0] < 0.8 * free[0] and 0.15 * height < floor[1] < 0.85 * height
    own.evaluate("gestalt3d.turn(0.5, 0)")
    azimuth = own.evaluate("gestalt3d.state().camera.azimuth")
    resized(own, 800, 900)
    assert own.evaluate("gestalt3d.state().camera.azimuth") == azimuth, "what was turned by hand stays turned"


def test_on_a_phone_what_is_chosen_from_the_list_is_seen_and_help_is_there(own: Browser) -> None:
    resized(own, 390, 844)
    own.evaluate("document.getElementById('panel-open').click()")
    row = "[...document.querySelectorAll('#objects .row')].find(r => r.textContent.includes('sofa'))"
    own.evaluate(f"{row}.click()")
    own.wait_for("document.getElementById('panel').getBoundingClientRect().top >= innerHeight - 1")
    top, bottom = own.evaluate(
        "[document.getElementById('heading').getBoundingClientRect().bottom,"
        " document.getElementById('card').getBoundingClientRect().top]"
    )
    own.wait_for(f"gestalt3d.where({SOFA})[1] > {top}")
    x, y = own.evaluate(f"gestalt3d.where({SOFA})")
    assert 40 < x < 350 and top < y < bottom, "between the heading and the card"
    assert own.evaluate("document.getElementById('card').checkVisibility()")
    own.evaluate(f"gestalt3d.isolate({FLOOR})")
    own.press("0")
    time.sleep(0.5)
    own.evaluate(f"gestalt3d.isolate({SOFA})")
    time.sleep(0.5)
    assert top < own.evaluate(f"gestalt3d.where({SOFA})")[1] < bottom, (
        "also when it is not chosen from the list"
    )
    own.evaluate("document.getElementById('help-open').click()")
    assert own.evaluate("document.getElementById('help').open")
    box = own.evaluate("document.getElementById('help').getBoundingClientRect().toJSON()")
    assert box["left"] >= 0 and box["right"] <= 390 and box["top"] >= 0 and box["bottom"] <= 844


def test_the_card_tells_where_the_object_is_and_how_it_is_turned(fresh: Browser) -> None:
    fresh.evaluate(f"gestalt3d.isolate({TABLE})")
    card = fresh.evaluate("document.getElementById('card').innerText").split("\n")
    said = dict(itertools.pairwise(card))
    x, y, z = (float(v) for v in said["Centre"].removesuffix(" m").split(","))
    assert (x, y) == pytest.approx((2.2, 2.0), abs=0.03) and z == pytest.approx(0.38, abs=0.03)
    size = [float(v) for v in said["Size"].removesuffix(" m").split(" × ")]
    assert sorted(size[:2]) == pytest.approx([0.9, 1.6], abs=0.05)
    assert said["Yaw"].endswith("°")


def test_a_score_slider_takes_objects_out(own: Browser) -> None:
    sofa = instance_colors(12)[SOFA]
    assert (np.abs(picture(own)[:, :950] - sofa).max(-1) < 30).sum() > 1000
    own.evaluate(f"gestalt3d.isolate({SOFA})")
    own.evaluate(
        "(() => { const s = document.getElementById('least'); s.value = 0.7;"
        " s.dispatchEvent(new Event('input')) })()"
    )
    assert (np.abs(picture(own)[:, :950] - sofa).max(-1) < 30).sum() < 50, "it looks like points of no object"
    assert own.evaluate("gestalt3d.state().selected") == -1
    assert own.evaluate("gestalt3d.state().listed") == [0, 1, 2, 3, 4, 5]
    assert "6 of 13 objects" in own.evaluate("document.getElementById('facts').innerText")
    x, y = own.evaluate(f"gestalt3d.where({SOFA})")
    own.click(x, y)
    assert own.evaluate("gestalt3d.state().selected") == -1, "and cannot be chosen"


def test_two_clicks_measure_a_distance(fresh: Browser) -> None:
    fresh.press("r")
    assert "first" in fresh.evaluate("document.getElementById('hint').innerText")
    places = [fresh.evaluate(f"gestalt3d.where({i})") for i in (TABLE, SOFA)]
    for x, y in places:
        fresh.click(x, y)
    measured = fresh.evaluate("gestalt3d.measured()")
    between = np.linalg.norm(np.subtract(*measured["ends"]))
    assert measured["straight"] == pytest.approx(between) and 2 < between < 4
    assert measured["straight"] == pytest.approx(np.hypot(measured["level"], measured["height"]))
    assert fresh.evaluate("document.getElementById('ruler-length').innerText") == f"{between:.3f} m"
    assert fresh.evaluate("document.getElementById('ruler').checkVisibility()")
    assert fresh.evaluate("gestalt3d.state().selected") == -1, "measuring chooses nothing"
    fresh.press("Escape")
    assert not fresh.evaluate("gestalt3d.state().measuring")
    assert not fresh.evaluate("document.getElementById('ruler').checkVisibility()")


def test_columns_have_heads_that_sort(fresh: Browser) -> None:
    heads = fresh.evaluate("document.getElementById('object-columns').innerText")
    assert all(word in heads for word in ("Object", "No.", "Points", "Score"))
    click = "document.querySelector('[data-sort={}]').click()"
    fresh.evaluate(click.format("id"))
    assert fresh.evaluate("gestalt3d.state().listed") == list(range(13))
    fresh.evaluate(click.format("id"))
    assert fresh.evaluate("gestalt3d.state().listed") == list(range(13))[::-1]
    fresh.evaluate(click.format("score"))


def test_swatches_have_the_colours_that_the_picture_has(fresh: Browser) -> None:
    row = "[...document.querySelectorAll('#classes .row')].find(r => r.innerText.includes('{}')).firstChild"
    of = "getComputedStyle(" + row + ").{}"
    chairs = fresh.evaluate(of.format("chair", "backgroundImage"))
    for i in (7, 8, 9):
        assert "rgb({}, {}, {})".format(*instance_colors(12)[i]) in chairs
    fresh.press("1")
    red, green, blue = (
        int(v) for v in re.findall(r"\d+", fresh.evaluate(of.format("sofa", "backgroundColor")))[:3]
    )
    assert (red, green, blue) == pytest.approx((140, 51, 56), abs=4), "the mean of its points"


def test_outliers_do_not_shrink_the_size_unsaid(tmp_path) -> None:
    find_chromium()
    cloud, instances = made_up_room(5000)
    cloud.points[:3] = torch.tensor([14.0, 2.0, 1.0])
    save_page(tmp_path / "stray.html", cloud, instances, title="stray")
    with Browser(tmp_path / "stray.html") as browser:
        ready(browser)
        facts = browser.evaluate("document.getElementById('facts').innerText")
        assert "14.0 × 4.5 × 2.7 m, but for the outermost points 6.0 × 4.5 × 2.7 m" in facts
