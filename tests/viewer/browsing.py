"""What tests in the browser share."""

import io

import numpy as np
from PIL import Image

from tests.viewer.chromium import Browser


def ready(browser: Browser) -> None:
    browser.wait_for("window.gestalt3d && (gestalt3d.firstFrameMs || gestalt3d.error)")
    assert browser.evaluate("gestalt3d.error") is None


def drawn(browser: Browser) -> None:
    """Two frames later what was asked for is on the screen."""
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")


def picture(browser: Browser) -> np.ndarray:
    """(h, w, 3) of the whole window."""
    drawn(browser)
    with Image.open(io.BytesIO(browser.screenshot())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def complaints(browser: Browser) -> list[str]:
    """What the page wrote to the console."""
    return [line for line in browser.console if "ReadPixels" not in line]


def resized(browser: Browser, width: int, height: int) -> None:
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
    )
    drawn(browser)  # sizes are observed between frames
    drawn(browser)
