"""The picture of a training: its losses, and below them how well it validates."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from gestalt3d.configs import Number
from gestalt3d.engine.log import WATCHED, Line
from gestalt3d.io.atomic import atomic_path

_PAPER, _INK, _FAINT, _RULE = (255, 255, 255), (38, 42, 50), (112, 118, 128), (226, 229, 234)
_COLORS = (
    (38, 42, 50),
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)
"""Okabe and Ito's, told apart by the colour-blind as well; the sum of the losses in ink."""
_SUPERSAMPLE = 2
_LEFT, _RIGHT, _TOP, _PANEL, _BETWEEN, _BOTTOM = 62, 150, 34, 260, 46, 44
_WIDTH = 960
_SCORES = ("val_mCov", "val_AP50", "val_mIoU", "val_oAcc")

Lines = dict[str, list[tuple[Number, Number]]]
"""(step, value) by name."""


class _Panel(NamedTuple):
    """A rectangle of the picture, and the ranges of the steps and the values in it."""

    top: int
    steps: tuple[Number, Number]
    values: tuple[Number, Number]
    is_log: bool

    def at(self, step: Number, value: Number) -> tuple[Number, Number]:
        low, high = self.steps
        x = _LEFT + (step - low) / max(high - low, 1e-9) * (_WIDTH - _LEFT - _RIGHT)
        bottom, top = (_height(limit, self.is_log) for limit in self.values)
        share = (_height(value, self.is_log) - bottom) / max(top - bottom, 1e-12)
        return _SUPERSAMPLE * x, _SUPERSAMPLE * (self.top + _PANEL * (1 - min(max(share, 0.0), 1.0)))


def save_curve(file: Path, log: Sequence[Line], *, title: str) -> None:
    """Write a PNG of the log's losses over the steps, on a logarithmic scale where they fall far, and of its validations."""
    others = ("val_", WATCHED)
    losses = _lines(log, lambda name: name not in ("step", "seconds", "lr") and not name.startswith(others))
    scores = _lines(log, lambda name: name in _SCORES)
    panels = [("loss, mean of the steps since the line before", losses), ("validation, percent", scores)]
    panels = [(name, lines) for name, lines in panels if lines]
    if panels:
        _save(file, panels, title=title, percent=scores)


def save_lines(file: Path, lines: Lines, *, title: str, what: str) -> None:
    """Write a PNG of curves over the steps; `what` says what they show."""
    _save(file, [(what, lines)], title=title, percent={})


def _save(file: Path, panels: Sequence[tuple[str, Lines]], *, title: str, percent: Lines) -> None:
    last = max(step for _, lines in panels for points in lines.values() for step, _ in points)
    height = _TOP + len(panels) * (_PANEL + _BETWEEN) - _BETWEEN + _BOTTOM
    image = Image.new("RGB", (_SUPERSAMPLE * _WIDTH, _SUPERSAMPLE * height), _PAPER)
    draw = ImageDraw.Draw(image)
    for number, (name, lines) in enumerate(panels):
        top = _TOP + number * (_PANEL + _BETWEEN)
        _write(draw, _LEFT, top - 14, f"{title}: {name}" if number == 0 else name, anchor="lm")
        _draw(draw, _panel(top, last, lines, is_percent=lines is percent), lines)
    _write(draw, (_LEFT + _WIDTH - _RIGHT) / 2, height - 12, "step", _FAINT)
    image = image.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    with atomic_path(file) as temporary:
        image.save(temporary, format="PNG")


def _lines(log: Sequence[Line], wanted: Callable[[str], bool]) -> Lines:
    """What of the log can be drawn; the sum of the losses comes first, so that it has the first colour."""
    lines: Lines = {}
    for row in log:
        for name, value in row.items():
            if wanted(name) and math.isfinite(value):
                lines.setdefault(name.removeprefix("val_"), []).append((row["step"], value))
    return lines


def _panel(top: int, last: Number, lines: Lines, *, is_percent: bool) -> _Panel:
    values = sorted(value for points in lines.values() for _, value in points)
    if is_percent:
        return _Panel(top, (0, last), (0.0, 10.0 * math.ceil(max(values[-1], 10) / 10)), False)
    # One wild step does not flatten the rest.
    high = max(values[min(len(values) - 1, int(0.99 * len(values)))], 1e-9) * 1.05
    positive = [value for value in values if value > 0]
    low = positive[int(0.01 * len(positive))] if positive else high
    is_log = high > 20 * low
    return _Panel(top, (0, last), (max(low, high / 1e4) if is_log else min(0.0, values[0]), high), is_log)


def _draw(draw: ImageDraw.ImageDraw, panel: _Panel, lines: Lines) -> None:
    for value in _ticks(panel):
        (left, y), (right, _) = panel.at(panel.steps[0], value), panel.at(panel.steps[1], value)
        draw.line([(left, y), (right, y)], fill=_RULE, width=_SUPERSAMPLE)
        _write(draw, _LEFT - 8, y / _SUPERSAMPLE, f"{value:g}", _FAINT, anchor="rm")
    for step in _round_steps(*panel.steps):
        x = panel.at(step, panel.values[0])[0] / _SUPERSAMPLE
        _write(draw, x, panel.top + _PANEL + 12, f"{step:,.0f}", _FAINT)
    taken: list[Number] = []
    for color, (name, points) in zip(_colors(len(lines)), lines.items(), strict=True):
        path = [panel.at(*point) for point in points]
        width = _SUPERSAMPLE * (3 if name == "loss" else 2)
        if len(path) > 1:
            draw.line(path, fill=color, width=width, joint="curve")
        if len(path) < 40:
            for x, y in path:
                draw.ellipse([x - width, y - width, x + width, y + width], fill=color)
        y = _free(path[-1][1] / _SUPERSAMPLE, taken)
        _write(draw, _WIDTH - _RIGHT + 10, y, f"{name} {points[-1][1]:.3g}", color, anchor="lm")


def _colors(count: int) -> Iterator[tuple[int, int, int]]:
    yield from (_COLORS[i % len(_COLORS)] for i in range(count))


def _free(y: Number, taken: list[Number]) -> Number:
    """The nearest height at which no label stands yet."""
    for shift in range(1000):
        place = y + (shift + 1) // 2 * (-1 if shift % 2 else 1)
        if all(abs(place - other) >= 15 for other in taken):
            taken.append(place)
            return place
    return y


def _height(value: Number, is_log: bool) -> Number:
    return math.log10(max(value, 1e-12)) if is_log else value


def _ticks(panel: _Panel) -> list[Number]:
    low, high = panel.values
    if panel.is_log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        marks = [
            m * 10.0**e for e in range(first, last + 1) for m in ((1,) if last - first > 2 else (1, 2, 5))
        ]
        return [mark for mark in marks if low <= mark <= high]
    return _round_steps(low, high)


def _round_steps(low: Number, high: Number, most: int = 6) -> list[Number]:
    """Round numbers from `low` to `high`, `most` at most."""
    rough = max((high - low) / most, 1e-9)
    size = 10.0 ** math.floor(math.log10(rough))
    gap = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if size * factor >= rough)
    return [gap * i for i in range(math.ceil(low / gap), math.floor(high / gap + 1e-9) + 1)]


def _write(
    draw: ImageDraw.ImageDraw,
    x: Number,
    y: Number,
    text: str,
    color: tuple[int, ...] = _INK,
    *,
    anchor: str = "mm",
) -> None:
    font = ImageFont.load_default(size=13 * _SUPERSAMPLE)
    draw.text((_SUPERSAMPLE * x, _SUPERSAMPLE * y), text, fill=color, font=font, anchor=anchor)
