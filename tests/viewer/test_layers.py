"""Layers beside the points, and photos, in a real browser: drawn, pointed at, hidden."""

import dataclasses

import numpy as np
import pytest
import torch

from gestalt3d.structures.instances import Instances
from gestalt3d.structures.mesh import Mesh
from gestalt3d.structures.sets import Sets
from gestalt3d.structures.view import View
from gestalt3d.structures.vocabulary import S3DIS
from gestalt3d.viewer.coloring import instance_colors
from gestalt3d.viewer.page import save_page, write_page
from tests.viewer.browsing import complaints, drawn, picture, ready, resized
from tests.viewer.chromium import Browser, find_chromium
from tests.viewer.made_up_layers import (
    BOOKCASE,
    CHAIR,
    SOFA,
    box_mesh,
    frame,
    photo_of_rectangles,
    room_with_ghosts,
)

FLOOR, TABLE = 0, 5
# Where there is no point of the scan: the upper side of the whole sofa, of the whole bookcase, an edge beside the chair.
ABOVE_SOFA, ABOVE_BOOKCASE, EDGE = (5.4, 2.2, 1.6), (0.25, 3.2, 2.9), (2.2, 2.6, 1.2)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory):
    find_chromium()
    path = tmp_path_factory.mktemp("page") / "ghosts.html"
    write_page(path, room_with_ghosts(), title="ghosts")
    with Browser(path) as browser:
        ready(browser)
        yield browser
        assert not complaints(browser)


@pytest.fixture
def ghosts(opened: Browser) -> Browser:
    opened.press("Escape")
    opened.evaluate("gestalt3d.colorBy('instance'); gestalt3d.keepScoresFrom(0)")
    opened.evaluate("document.querySelectorAll('#layers [aria-pressed=false]').forEach(row => row.click())")
    return opened


def place(browser: Browser, point: tuple[float, float, float]) -> tuple[int, int]:
    x, y = browser.evaluate(f"gestalt3d.onCanvas({list(point)})")
    return round(x), round(y)


def pick(browser: Browser, at: tuple[int, int]) -> int:
    drawn(browser)
    picked = browser.evaluate(f"gestalt3d.pick({at[0]}, {at[1]})")
    browser.press("Escape")
    return picked


def toggle(browser: Browser, name: str) -> None:
    browser.evaluate(
        f"[...document.querySelectorAll('#layers .row')].find(r => r.textContent.includes('{name}')).click()"
    )


def test_layers_are_listed_with_what_they_hold(ghosts: Browser) -> None:
    rows = ghosts.evaluate(
        "[...document.querySelectorAll('#layers .row')].map(r => r.innerText.split('\\n'))"
    )
    assert rows == [
        ["Points", "100,000 points"],
        ["Whole shapes", "of 1 object"],
        ["Whole clouds", "of 1 object"],
        ["Edges", "of 1 object"],
    ]


@pytest.mark.parametrize(
    ("layer", "point", "instance"),
    [("Whole shapes", ABOVE_SOFA, SOFA), ("Whole clouds", ABOVE_BOOKCASE, BOOKCASE)],
)
def test_a_ghost_is_drawn_pointed_at_and_hidden(ghosts: Browser, layer: str, point, instance: int) -> None:
    x, y = place(ghosts, point)
    veiled = picture(ghosts)
    assert pick(ghosts, (x, y)) == instance
    toggle(ghosts, layer)
    assert ghosts.evaluate("gestalt3d.state().hiddenLayers") == [layer]
    bare = picture(ghosts)
    assert pick(ghosts, (x, y)) != instance
    # A veil of the instance's colour: between what is behind and the colour itself.
    mixed, behind = (
        veiled[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1)),
        bare[y - 3 : y + 4, x - 3 : x + 4].mean((0, 1)),
    )
    towards = instance_colors(12)[instance] - behind
    assert 0.15 < (mixed - behind) @ towards / (towards @ towards) < 0.9
    changed = (np.abs(veiled - bare)[:, :950].max(-1) > 8).mean()
    assert 0.005 < changed < 0.2


def test_where_the_scan_stands_in_front_it_is_seen_and_pointed_at(ghosts: Browser) -> None:
    assert pick(ghosts, place(ghosts, (2.2, 2.0, 0.76))) == TABLE
    seen = picture(ghosts)
    x, y = place(ghosts, (2.2, 2.0, 0.76))
    assert np.abs(seen[y, x] - instance_colors(12)[TABLE]).max() < 60
    # Under the chair's box of lines the chair itself: lines cover nothing.
    assert pick(ghosts, place(ghosts, (2.2, 2.9, 0.9))) == CHAIR


def test_lines_are_drawn_and_hidden(ghosts: Browser) -> None:
    x, y = place(ghosts, EDGE)
    near = np.s_[y - 2 : y + 3, x - 2 : x + 3]
    drawn = picture(ghosts)
    toggle(ghosts, "Edges")
    bare = picture(ghosts)
    color = instance_colors(12)[CHAIR]
    assert np.abs(drawn[near] - color).max(-1).min() < 40 < np.abs(drawn - bare)[near].max()


def test_an_object_that_is_chosen_has_its_ghost_and_the_others_have_none(ghosts: Browser) -> None:
    before = picture(ghosts)
    ghosts.evaluate(f"gestalt3d.isolate({SOFA})")
    chosen = picture(ghosts)
    x, y = place(ghosts, ABOVE_SOFA)
    assert np.ptp(chosen[y, x]) > 15, "still in its colour"
    x, y = place(ghosts, ABOVE_BOOKCASE)
    assert np.ptp(before[y, x]) > 15 > np.ptp(chosen[y, x]), "nothing, or what is grey"
    assert pick(ghosts, (x, y)) != BOOKCASE


def test_what_hides_an_object_hides_its_ghost(ghosts: Browser) -> None:
    at = place(ghosts, ABOVE_BOOKCASE)
    ghosts.evaluate("gestalt3d.keepScoresFrom(0.42)")  # its score is 0.41
    assert pick(ghosts, at) != BOOKCASE
    ghosts.evaluate("gestalt3d.keepScoresFrom(0)")
    row = "[...document.querySelectorAll('#classes .row')].find(r => r.innerText.includes('sofa'))"
    ghosts.evaluate(f"{row}.click()")
    assert pick(ghosts, place(ghosts, ABOVE_SOFA)) != SOFA
    ghosts.evaluate(f"{row}.click()")
    assert pick(ghosts, place(ghosts, ABOVE_SOFA)) == SOFA


def test_a_distance_is_measured_between_points_of_the_scan_behind_a_ghost(ghosts: Browser) -> None:
    ghosts.press("r")
    drawn(ghosts)
    for point in (ABOVE_SOFA, (2.2, 2.0, 0.76)):
        ghosts.click(*place(ghosts, point))
    ends = ghosts.evaluate("gestalt3d.measured().ends")
    ghosts.press("Escape")
    assert ends[0][2] < 1.0, "the sofa's or the floor's, not the ghost's 1.6 m"


def test_points_can_be_hidden_as_well(ghosts: Browser) -> None:
    toggle(ghosts, "Points")
    assert pick(ghosts, place(ghosts, (2.2, 2.0, 0.76))) == -1
    assert pick(ghosts, place(ghosts, ABOVE_SOFA)) == SOFA
    x, y = place(ghosts, (2.2, 2.0, 0.76))
    assert np.abs(picture(ghosts)[y, x] - (20, 23, 28)).max() < 3, "paper"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory):
    find_chromium()
    path = tmp_path_factory.mktemp("page") / "photo.html"
    write_page(path, photo_of_rectangles(), title="a photo")
    with Browser(path) as browser:
        ready(browser)
        yield browser
        assert not complaints(browser)


@pytest.fixture
def flat(photo: Browser) -> Browser:
    resized(photo, 1280, 800)
    photo.press("Escape")
    photo.evaluate("gestalt3d.colorBy('instance')")
    photo.evaluate("gestalt3d.setFade(0)")
    photo.press("0")
    drawn(photo)
    return photo


def pixel(browser: Browser, row: float, column: float) -> tuple[int, int]:
    return place(browser, (column + 0.5, -(row + 0.5), 0.0))


def test_a_photo_fills_the_window_and_is_covered_by_its_masks(flat: Browser) -> None:
    left, right = pixel(flat, 100, 0), pixel(flat, 100, 319)
    assert right[0] - left[0] > 0.9 * flat.evaluate("document.getElementById('canvas').clientWidth")
    masked = picture(flat)
    flat.press("1")
    plain = picture(flat)
    for row, column, instance, shade in ((130, 100, 0, 150), (60, 180, 1, 60), (40, 305, 2, 220)):
        x, y = pixel(flat, row, column)
        assert np.abs(plain[y, x] - shade).max() <= 3
        np.testing.assert_allclose(
            masked[y, x], (instance_colors(3)[instance].astype(int) + shade) / 2, atol=4
        )
    x, y = pixel(flat, 20, 20)
    np.testing.assert_allclose(masked[y, x], (90, 100, 110), atol=3)


def test_every_pixel_of_a_photo_knows_its_instance(flat: Browser) -> None:
    for row, column, instance in (
        (91, 61, 0),
        (178, 158, 0),
        (41, 121, 1),
        (148, 198, 1),
        (21, 291, 2),
        (59, 318, 2),
    ):
        assert pick(flat, pixel(flat, row, column)) == instance
    assert pick(flat, pixel(flat, 20, 20)) == pick(flat, pixel(flat, 165, 180)) == -1
    x, y = pixel(flat, 120, 180)
    flat.click(x, y)
    card = flat.evaluate("document.getElementById('card').innerText")
    assert "chair" in card and "6,400" in card and "Pixels" in card and "80 × 110 pixels" in card
    heads = flat.evaluate("document.getElementById('object-columns').innerText")
    assert "Pixels" in heads and "Points" not in heads
    assert "320 × 200 pixels · 3 objects" in flat.evaluate("document.getElementById('facts').innerText")


def test_whole_masks_are_outlined_and_pointed_at_where_nothing_covers_them(flat: Browser) -> None:
    before = picture(flat)
    x, y = pixel(flat, 130, 119.5)  # the chair's left edge, behind the table
    assert np.abs(before[y, x] - instance_colors(3)[1]).max() > 60
    flat.press("a")
    flat.wait_for("gestalt3d.state().fade === 1")
    shown = picture(flat)
    assert np.abs(shown[y, x - 2 : x + 3] - instance_colors(3)[1]).max(-1).min() < 40
    assert pick(flat, pixel(flat, 165, 180)) == 1, "what no visible mask has"
    assert pick(flat, pixel(flat, 120, 140)) == 0, "what is seen goes before"


def test_hidden_parts_fade_in(flat: Browser) -> None:
    """In stripes of the hidden object's colour over what hides it; of a chosen object its own alone."""
    rows = [pixel(flat, 120, column) for column in range(126, 155)]

    def behind() -> np.ndarray:
        image = picture(flat)
        return np.array([image[y, x] for x, y in rows]).astype(int)

    hider, hidden = (instance_colors(3)[i].astype(int) for i in (0, 1))
    looks = []
    for fade in (0, 0.5, 1):
        flat.evaluate(f"gestalt3d.setFade({fade})")
        looks.append(behind())
    np.testing.assert_allclose(looks[0], np.broadcast_to((hider + 150) / 2, looks[0].shape), atol=4)
    to_hidden = [np.abs(look - hidden).max(1) for look in looks]
    assert to_hidden[0].min() > to_hidden[1].min() > to_hidden[2].min()
    assert to_hidden[2].min() < 4 < 40 < to_hidden[2].max(), "stripes, and the hider between them"
    flat.evaluate("gestalt3d.isolate(1)")
    assert np.abs(behind() - hidden).max(1).min() < 4
    flat.evaluate("gestalt3d.isolate(0)")
    assert np.abs(behind() - hidden).max(1).min() > 40


def test_shapes_of_a_photo_stand_before_it(tmp_path) -> None:
    """In its pixels: a box at its lower left, and the photo behind, seen from the front."""
    mesh = box_mesh((10.0, -8.0, 10.0), (26.0, 8.0, 24.0), 0)
    image = torch.full((3, 80, 100), 0.5)
    mask = torch.zeros(80, 100, dtype=torch.int64)
    mask[56:70, 10:26] = 1
    found = Instances(
        masks=Sets.of([mask.flatten().nonzero()[:, 0]], 8000), classes=torch.tensor([0]), scores=torch.ones(1),
        vocabulary=S3DIS, shapes=(Mesh(torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)),), method="made up",
    )  # fmt: skip
    save_page(tmp_path / "photo.html", View(image), found)
    with Browser(tmp_path / "photo.html", size=(1000, 800)) as browser:
        ready(browser)
        assert not browser.evaluate("gestalt3d.state().flat")
        assert pick(browser, place(browser, (18.0, -8.0, 17.0))) == 0, "the box"
        x, y = place(browser, (90.0, 12.0, 75.0))
        np.testing.assert_allclose(
            picture(browser)[y, x], [128] * 3, atol=6, err_msg="the grey photo behind it"
        )
        rows = browser.evaluate(
            "[...document.querySelectorAll('#layers .row')].map(r => r.innerText.split('\\n'))"
        )
        assert rows == [["Photo", "behind them"], ["Whole shapes", "of 1 object"]]
        tools = browser.evaluate(
            "[...document.querySelectorAll('#tools button, #tools .slide')].filter(e => e.checkVisibility()).map(e => e.id)"
        )
        assert not {"measure", "cutaway", "size-row", "boxes"} & {*tools}, "they are for scans, in metres"
        far = browser.evaluate("gestalt3d.state().camera.distance")
        browser.evaluate("gestalt3d.zoomTo(0)")
        browser.wait_for(f"gestalt3d.state().camera.distance < {0.9 * far}")
        assert not complaints(browser)


def test_a_photo_is_moved_and_zoomed_but_not_turned(flat: Browser) -> None:
    x, y = pixel(flat, 60, 180)
    camera = flat.evaluate("gestalt3d.state().camera")
    for kind, at in (
        ("mousePressed", x),
        ("mouseMoved", x + 30),
        ("mouseMoved", x + 60),
        ("mouseReleased", x + 60),
    ):
        flat.call("Input.dispatchMouseEvent", type=kind, x=at, y=y, button="left", buttons=1, clickCount=1)
    moved = flat.evaluate("gestalt3d.state().camera")
    assert (moved["azimuth"], moved["elevation"]) == (camera["azimuth"], camera["elevation"])
    # A drag of less than five pixels is a click; those before do not count.
    assert pixel(flat, 60, 180)[0] == pytest.approx(x + 60, abs=31) and pixel(flat, 60, 180)[0] > x + 25
    under = pixel(flat, 60, 180)
    flat.call("Input.dispatchMouseEvent", type="mouseWheel", x=under[0], y=under[1], deltaX=0, deltaY=-600)
    flat.wait_for(f"gestalt3d.state().camera.distance < 0.8 * {moved['distance']}")
    assert pixel(flat, 60, 180) == pytest.approx(under, abs=2), "what is under the pointer stays"
    assert pick(flat, pixel(flat, 60, 180)) == 1


def test_a_photo_has_the_tools_that_it_needs_also_on_a_phone(flat: Browser) -> None:
    resized(flat, 390, 844)
    seen = "[...document.querySelectorAll('#tools button, #tools .slide')].filter(e => e.checkVisibility())"
    assert flat.evaluate(f"{seen}.map(e => e.id)") == [
        "fade-row",
        "home",
        "shot",
        "theme",
        "help-open",
        "panel-open",
    ]
    left, right = pixel(flat, 100, 0), pixel(flat, 100, 319)
    assert 0 <= left[0] < 20 and 370 < right[0] <= 390
    assert pick(flat, pixel(flat, 60, 180)) == 1


@pytest.fixture(scope="module")
def depth(tmp_path_factory: pytest.TempPathFactory):
    find_chromium()
    path = tmp_path_factory.mktemp("page") / "frame.html"
    save_page(path, *frame())
    with Browser(path, size=(1000, 800)) as browser:
        ready(browser)
        yield browser
        assert not complaints(browser)


def test_a_frame_with_whole_objects_is_seen_in_space_first_and_the_photo_on_demand(depth: Browser) -> None:
    assert not depth.evaluate("gestalt3d.state().flat")
    depth.press("v")
    assert depth.evaluate("gestalt3d.state().flat")
    assert "160 × 120 pixels · 2 objects" in depth.evaluate("document.getElementById('facts').innerText")
    assert pick(depth, pixel(depth, 70, 100)) == 0
    assert not depth.evaluate("document.getElementById('layer-section').checkVisibility()")
    depth.press("v")
    assert not depth.evaluate("gestalt3d.state().flat")
    assert depth.evaluate("document.getElementById('flat').getAttribute('aria-pressed')") == "false"
    rows = depth.evaluate("[...document.querySelectorAll('#layers .row')].map(r => r.innerText.split('\\n'))")
    assert rows == [["Points", "19,175 points"], ["Camera", "its photo"], ["Whole shapes", "of 1 object"]]
    assert depth.evaluate("document.getElementById('layer-section').checkVisibility()")
    # The near box's face, the far one's mesh beside the points, and nothing.
    assert pick(depth, place(depth, (0.5, 2.0, 0.0))) == 0
    veiled = picture(depth)
    x, y = place(depth, (0.3, 3.3, 0.9))
    assert pick(depth, (x, y)) == 1
    assert np.ptp(veiled[y, x]) > 15, "in its colour"
    depth.press("v")
    assert depth.evaluate("gestalt3d.state().flat") and pick(depth, pixel(depth, 70, 100)) == 0


def test_the_photo_hangs_before_its_camera_and_can_be_clicked_and_hidden(depth: Browser) -> None:
    if depth.evaluate("gestalt3d.state().flat"):
        depth.press("v")
    # 1 m ahead of the eye: the near box's pixels, and beside them those of nothing.
    on_box, on_wall = place(depth, (0.25, 1.0, -0.1)), place(depth, (-0.5, 1.0, 0.4))
    assert pick(depth, on_box) == 0 and pick(depth, on_wall) == -1
    hung = picture(depth)
    button = "[...document.querySelectorAll('#layers .row')].find(r => r.innerText.startsWith('Camera'))"
    depth.evaluate(f"{button}.click()")
    bare = picture(depth)
    x, y = on_wall
    assert np.abs(hung[y, x] - bare[y, x]).max() > 10
    middle = place(depth, (1 / 3, 0.5, 0.25))  # half-way along the edge to the upper right corner
    around = np.s_[middle[1] - 2 : middle[1] + 3, middle[0] - 2 : middle[0] + 3]
    assert np.abs(hung[around] - bare[around]).max() > 60, "a thin line"
    depth.evaluate(f"{button}.click()")
    np.testing.assert_array_equal(picture(depth), hung)
    depth.press("v")


def test_what_nobody_sees_is_zoomed_to_as_a_whole(tmp_path) -> None:
    view, found = frame()
    nowhere = torch.full((2, 7), torch.nan)
    boxes = torch.tensor([[0.5, 2.0, 0.0, 1.0, 0.1, 0.9, 0.0], [0.3, 3.3, 0.4, 1.2, 0.6, 1.0, 0.0]])
    save_page(tmp_path / "frame.html", view, dataclasses.replace(found, boxes=nowhere, amodal_boxes=boxes))
    with Browser(tmp_path / "frame.html", size=(600, 400)) as browser:
        ready(browser)
        far = browser.evaluate("gestalt3d.state().camera.distance")
        browser.evaluate("gestalt3d.zoomTo(1)")
        browser.wait_for(f"gestalt3d.state().camera.distance < {0.9 * far}")
        assert not complaints(browser)


def test_a_frame_without_whole_objects_is_a_photo_first(tmp_path) -> None:
    view, found = frame()
    save_page(tmp_path / "frame.html", view, dataclasses.replace(found, shapes=None))
    with Browser(tmp_path / "frame.html", size=(600, 400)) as browser:
        ready(browser)
        assert browser.evaluate("gestalt3d.state().flat")


def test_the_card_says_how_much_of_an_object_is_hidden(depth: Browser) -> None:
    _, found = frame()
    assert found.whole is not None
    depth.evaluate("gestalt3d.isolate(1)")
    card = depth.evaluate("document.getElementById('card').innerText").split("\n")
    share = 1 - int(found.sizes[1]) / int(found.whole.sizes[1])
    assert card[card.index("Hidden") + 1] == f"{round(100 * share)} %" and 0.2 < share < 0.9
    depth.press("Escape")
