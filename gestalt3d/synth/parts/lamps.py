"""Lamps in parts: on tables and floors, hanging, on walls, in streets; bulbs sit inside their shades."""

import numpy as np

from gestalt3d.synth.colours import Material, Number
from gestalt3d.synth.shapes import Builder, Part, Vector

_STANDING, _WALL, _STREET = "lamp/table_or_floor_lamp", "lamp/wall_lamp", "lamp/street_lamp"
_PENDANT, _CHANDELIER = "lamp/ceiling_lamp/pendant_lamp", "lamp/ceiling_lamp/chandelier"
_PLAIN = Material()


def lamp(rng: np.random.Generator) -> list[Part]:
    """One lamp."""
    u = rng.random()
    if u < 0.4:
        return _standing(rng)
    if u < 0.5:
        return _jointed(rng)
    if u < 0.7:
        return _pendant(rng)
    if u < 0.85:
        return _chandelier(rng)
    return _wall(rng) if u < 0.95 else _street(rng)


def _open(profile: list[tuple[Number, Number]], thick: Number) -> list[tuple[Number, Number]]:
    """Outside and inside of a thin wall: up the profile (radius, z) and down again, a little nearer to the axis."""
    return profile + [(max(r - thick, 0.0), z) for r, z in reversed(profile)]


def _shade(b: Builder, rng: np.random.Generator, name: str, at: Vector, r: Number, h: Number) -> None:
    """An open shade that hangs from its top at `at`: cone, drum, bell, bowl, globe or pyramid."""
    style = int(rng.integers(6))
    top = r * float(rng.uniform(0.25, 0.75))
    if style == 0:
        profile = [(r, -h), (top, 0.0)]
    elif style == 1:
        profile = [(r, -h), (r * 0.95, 0.0)]
    elif style == 2:
        z = np.linspace(0, 1, 7)
        profile = [(float(top + (r - top) * (1 - s) ** 2.2), float(-h + h * s)) for s in z]
    elif style == 3:
        a = np.linspace(0.0, np.pi / 2 - 0.15, 8)
        profile = [(float(r * np.cos(s)), float(-h + h * np.sin(s))) for s in a]
    elif style == 4:
        a = np.linspace(-np.pi / 2 + 0.5, np.pi / 2 - 0.2, 12)
        profile = [(float(r * np.cos(s)), float(-h / 2 + h / 2 * np.sin(s))) for s in a]
    else:
        profile = [(r, -h), (r, -h * 0.85), (top, 0.0)]
    sides = int(rng.choice((4, 6, 24, 24, 24)))
    b.lathe(name, _open(profile, 0.004), _PLAIN, at=at, sides=sides)


def _bulb(b: Builder, name: str, at: Vector, r: Number, *, up: bool) -> None:
    """A round bulb on its neck, which ends at `at`."""
    s = np.linspace(-0.75, np.pi / 2, 7)
    profile = [(0.0, 0.0), (r * 0.45, 0.0), (r * 0.45, r * 0.6)]
    profile += [(float(r * np.cos(a)), float(r * 1.4 + r * np.sin(a))) for a in s]
    vertices = b.lathe(name, profile, _PLAIN, sides=12)
    vertices[:, 2] *= 1 if up else -1
    if not up:
        part = b.parts[-1]
        b.parts[-1] = part._replace(faces=part.faces[:, ::-1])
    vertices += np.array(at)


def _base(b: Builder, rng: np.random.Generator, prefix: str, r: Number, *, legs: bool) -> float:
    """A disc, steps or a block, or legs that spread; the height at which the body starts."""
    part = f"{prefix}/lamp_base/lamp_holistic_base/lamp_base_part"
    if legs:
        count, high = int(rng.choice((3, 3, 4))), r * float(rng.uniform(0.5, 1.2))
        turn = float(rng.uniform(0, 2))
        for k in range(count):
            a = turn + k * 2 * np.pi / count
            tip = (r * float(np.cos(a)), r * float(np.sin(a)), 0.0)
            b.cylinder(f"{prefix}/lamp_base/lamp_leg_base/leg", tip, (0, 0, high), 0.008, 0.012, _PLAIN, 8)
        return high
    u, h = rng.random(), float(rng.uniform(0.015, 0.04))
    if u < 0.5:
        b.cylinder(part, (0, 0, 0), (0, 0, h), r, r * float(rng.uniform(0.7, 1)), _PLAIN, 24)
    elif u < 0.75:
        b.box(part, (-r, -r, 0), (r, r, h), _PLAIN)
    else:
        for k in range(int(rng.integers(2, 4))):
            b.cylinder(part, (0, 0, h * k), (0, 0, h * (k + 1)), r * 0.75**k, r * 0.7**k, _PLAIN, 24)
            top = h * (k + 1)
        return top
    return h


def _cord(b: Builder, rng: np.random.Generator, name: str, start: Vector) -> None:
    """A cable that lies on the floor."""
    t = np.linspace(0, 1, 12)
    long, wave = float(rng.uniform(0.2, 0.5)), float(rng.uniform(0.02, 0.08))
    path = np.stack([start[0] + wave * np.sin(t * 7), start[1] + long * t, np.full(12, 0.006)], 1)
    b.tube(name, path, 0.004, _PLAIN)


def _standing(rng: np.random.Generator) -> list[Part]:
    """Base, pole or turned body, one shade with its bulbs; or several arms."""
    b = Builder()
    is_tall = rng.random() < 0.45
    h = float(rng.uniform(1.2, 1.8)) if is_tall else float(rng.uniform(0.3, 0.65))
    r = float(rng.uniform(0.1, 0.18)) if is_tall else float(rng.uniform(0.06, 0.12))
    z = _base(b, rng, _STANDING, r, legs=rng.random() < 0.2)
    wide = r * float(rng.uniform(1.0, 1.9))
    wide, shade = (
        (wide, float(rng.uniform(0.18, 0.35)))
        if is_tall
        else (min(wide, h * 0.4), h * float(rng.uniform(0.35, 0.5)))
    )
    shade = min(shade, h - z - 0.06)
    neck = h - shade
    body = f"{_STANDING}/lamp_body"
    if is_tall or rng.random() < 0.35:
        pole = float(rng.uniform(0.006, 0.014))
        b.cylinder(f"{body}/lamp_pole", (0, 0, z), (0, 0, neck), pole, pole, _PLAIN, 10)
    elif rng.random() < 0.85:
        swell = [float(v) for v in rng.uniform(0.15, 1.0, 3)]
        s = np.linspace(0, 1, 12)
        wave = np.interp(s, [0, 0.2, 0.5, 0.8, 1], [0.3, *swell, 0.12]) * r
        profile = [
            (0.0, z),
            *[(float(w), float(z + (neck - z) * v)) for w, v in zip(wave, s, strict=True)],
            (0.0, neck),
        ]
        b.lathe(f"{body}/lamp_body_solid", profile, _PLAIN, sides=int(rng.choice((4, 8, 20, 20))))
    else:
        for k in range(int(rng.integers(2, 5))):
            a = k * np.pi / 2
            x, y = r * 0.4 * float(np.cos(a)), r * 0.4 * float(np.sin(a))
            b.box(
                f"{body}/lamp_body_vertical_panel",
                (x - 0.012, y - 0.012, z),
                (x + 0.012, y + 0.012, neck),
                _PLAIN,
            )
    if is_tall and rng.random() < 0.3:
        _arms(b, rng, neck)
    else:
        unit = f"{_STANDING}/lamp_unit#0"
        head = f"{unit}/lamp_head"
        b.cylinder(f"{unit}/connector", (0, 0, neck), (0, 0, neck + 0.03), 0.012, 0.012, _PLAIN, 10)
        _shade(b, rng, f"{head}/lamp_cover/lamp_shade", (0, 0, h), wide, shade)
        bulbs, r_bulb = int(rng.choice((1, 1, 1, 2, 3))), min(wide * 0.25, 0.03)
        for k in range(bulbs):
            a = k * 2 * np.pi / bulbs
            out = 0.0 if bulbs == 1 else min(wide * 0.3, r_bulb * 2)
            _bulb(
                b,
                f"{head}/light_bulb",
                (out * float(np.cos(a)), out * float(np.sin(a)), neck + 0.03),
                r_bulb,
                up=True,
            )
        if rng.random() < 0.4:
            b.tube(
                f"{head}/lamp_wireframe_fitter#0",
                np.array([[-wide * 0.5, 0, h - 0.015], [wide * 0.5, 0, h - 0.015]]),
                0.003,
                _PLAIN,
            )
            b.tube(
                f"{head}/lamp_wireframe_fitter#0",
                np.array([[0, -wide * 0.5, h - 0.015], [0, wide * 0.5, h - 0.015]]),
                0.003,
                _PLAIN,
            )
            b.blob(
                f"{head}/lamp_finial",
                (0, 0, h + 0.01),
                (0.012, 0.012, 0.02),
                rng,
                _PLAIN,
                bumps=0,
                rings=6,
                sides=8,
            )
    if rng.random() < 0.25:
        _cord(b, rng, f"{_STANDING}/power_cord/cord", (0, r * 0.7, 0))
    return b.parts


def _arms(b: Builder, rng: np.random.Generator, z: Number) -> None:
    """Two to five arms with a small shade each."""
    count, reach = int(rng.integers(2, 6)), float(rng.uniform(0.18, 0.3))
    rise, r = float(rng.uniform(-0.05, 0.2)), float(rng.uniform(0.06, 0.1))
    is_curved, up = rng.random() < 0.6, rng.random() < 0.5
    look = int(rng.integers(2**31))
    for k in range(count):
        a = k * 2 * np.pi / count
        out = np.array([np.cos(a), np.sin(a), 0.0])
        unit = f"{_STANDING}/lamp_unit#{k}"
        s = np.linspace(0, 1, 8)[:, None]
        bend = 0.12 * np.sin(np.pi * s) if is_curved else 0 * s
        path = out * reach * s + np.array([0, 0, 1.0]) * (z - 0.02 + rise * s + bend)
        b.tube(f"{unit}/lamp_arm/lamp_arm_{'curved' if is_curved else 'straight'}_bar", path, 0.008, _PLAIN)
        _head(b, np.random.default_rng(look), f"{unit}/lamp_head", path[-1], r, up=up)


def _head(b: Builder, rng: np.random.Generator, prefix: str, at: np.ndarray, r: Number, *, up: bool) -> None:
    """A bulb at `at` and the shade around it, open upwards or downwards."""
    x, y, z = (float(v) for v in at)
    h = r * float(rng.uniform(1.0, 1.8))
    bulb = r * 0.32
    _bulb(b, f"{prefix}/light_bulb", (x, y, z), bulb, up=up)
    first = len(b.parts)
    _shade(b, rng, f"{prefix}/lamp_cover/lamp_shade", (0, 0, 0), r, h)
    part = b.parts[first]
    v = part.vertices
    if up:
        v[:, 2] *= -1
        b.parts[first] = part._replace(faces=part.faces[:, ::-1])
    v += np.array([x, y, z])


def _jointed(rng: np.random.Generator) -> list[Part]:
    """A desk lamp: two or three bars that lean, and a head that looks down."""
    b = Builder()
    z = _base(b, rng, _STANDING, float(rng.uniform(0.07, 0.11)), legs=False)
    at = np.array([0.0, 0.0, z])
    angle = float(rng.uniform(0.1, 0.5))
    bars = int(rng.integers(2, 4))
    arm = f"{_STANDING}/lamp_body/lamp_body_jointed/lamp_arm/lamp_arm_straight_bar"
    pair = rng.random() < 0.4
    for k in range(bars):
        long = float(rng.uniform(0.18, 0.32))
        lean = angle if k % 2 else -angle
        end = at + long * np.array([np.sin(lean), 0, np.cos(lean)])
        for y in (-0.012, 0.012) if pair else (0.0,):
            b.cylinder(arm, (at[0], y, at[2]), (end[0], y, end[2]), 0.007, 0.007, _PLAIN, 8)
        at, angle = end, angle + float(rng.uniform(0.2, 0.6))
    r = float(rng.uniform(0.05, 0.09))
    at = at + np.array([0.05, 0, 0.0])
    b.cylinder(
        f"{_STANDING}/lamp_unit#0/connector",
        (at[0] - 0.06, 0, at[2]),
        (at[0], 0, at[2]),
        0.012,
        0.012,
        _PLAIN,
        10,
    )
    _head(b, rng, f"{_STANDING}/lamp_unit#0/lamp_head", at, r, up=False)
    if rng.random() < 0.3:
        _cord(b, rng, f"{_STANDING}/power_cord/cord", (0, 0.06, 0))
    return b.parts


def _rose(b: Builder, rng: np.random.Generator, prefix: str, r: Number) -> None:
    """What hangs from the ceiling z = 0."""
    h = float(rng.uniform(0.015, 0.05))
    part = f"{prefix}/lamp_base/lamp_holistic_base/lamp_base_part"
    b.lathe(part, [(0.0, -h), (r * 0.5, -h), (r, -h * 0.3), (r, 0.0), (0.0, 0.0)], _PLAIN, sides=24)


def _links(b: Builder, name: str, top: Number, low: Number) -> None:
    """A chain: links that stand across one another, as one part."""
    count = max(2, int((top - low) / 0.035))
    a = np.linspace(0, 2 * np.pi, 9)
    for k in range(count):
        z = low + (k + 0.5) * (top - low) / count
        ring = 0.012 * np.cos(a)
        flat = (ring, np.zeros(9)) if k % 2 else (np.zeros(9), ring)
        b.tube(f"{name}#0", np.stack([*flat, z + 0.024 * np.sin(a)], 1), 0.003, _PLAIN, sides=5)


def _pendant(rng: np.random.Generator) -> list[Part]:
    """One to seven shades on cords or chains below a rose or a bar."""
    b = Builder()
    count = int(rng.choice((1, 1, 1, 2, 3, 3, 5, 7)))
    r = float(rng.uniform(0.08, 0.22)) / (1 + 0.2 * (count - 1))
    is_row = count > 1 and rng.random() < 0.6
    step = r * float(rng.uniform(2.3, 3.2))
    if is_row:
        half = step * (count - 1) / 2 + 0.05
        part = f"{_PENDANT}/lamp_base/lamp_holistic_base/lamp_base_part"
        b.box(part, (-half, -0.04, -0.03), (half, 0.04, 0), _PLAIN)
    else:
        _rose(b, rng, _PENDANT, max(0.06, step * 0.9 if count > 1 else 0.06))
    drop, is_chain = float(rng.uniform(0.25, 0.9)), count == 1 and rng.random() < 0.3
    look = int(rng.integers(2**31))
    for k in range(count):
        a = k * 2 * np.pi / count
        x, y = (k - (count - 1) / 2) * step, 0.0
        if not is_row and count > 1:
            x, y = step * 0.8 * float(np.cos(a)), step * 0.8 * float(np.sin(a))
        low = -drop * (1 if is_row else float(rng.uniform(0.7, 1.3)))
        if is_chain:
            _links(b, f"{_PENDANT}/pendant_lamp_unit#{k}/chain", -0.03, low)
        else:
            b.cylinder(f"{_PENDANT}/power_cord#{k}/cord", (x, y, low), (x, y, -0.01), 0.004, 0.004, _PLAIN, 6)
        head = f"{_PENDANT}/pendant_lamp_unit#{k}/lamp_head"
        _head(b, np.random.default_rng(look), head, np.array([x, y, low]), r, up=False)
    return b.parts


def _chandelier(rng: np.random.Generator) -> list[Part]:
    """A turned body on a chain, with curved arms around it in one to three rows."""
    b = Builder()
    _rose(b, rng, _CHANDELIER, float(rng.uniform(0.05, 0.09)))
    drop, body = float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.2, 0.45))
    _links(b, f"{_CHANDELIER}/chain", -0.03, -drop)
    s = np.linspace(0, 1, 10)
    wave = 0.012 + 0.045 * np.abs(np.sin(s * float(rng.uniform(4, 9)))) * np.sin(np.pi * s)
    profile = [
        (0.0, -drop - body),
        *[(float(w), float(-drop - body + body * v)) for w, v in zip(wave, s, strict=True)],
    ]
    b.lathe(f"{_CHANDELIER}/lamp_body", [*profile, (0.0, -drop)], _PLAIN, sides=16)
    rows = int(rng.choice((1, 1, 2, 3)))
    has_shades, up = rng.random() < 0.5, rng.random() < 0.75
    look = int(rng.integers(2**31))
    unit = 0
    for row in range(rows):
        count = int(rng.integers(3, 9)) if rows == 1 else int(rng.integers(4, 11)) - 1 * row
        reach = float(rng.uniform(0.28, 0.5)) * (1 - 0.25 * row)
        z = -drop - body * (0.85 - 0.3 * row)
        sag, turn = float(rng.uniform(0.06, 0.14)), row * 0.4
        for k in range(count):
            a = turn + k * 2 * np.pi / count
            out = np.array([np.cos(a), np.sin(a), 0.0])
            t = np.linspace(0, 1, 10)[:, None]
            path = out * (0.03 + reach * t) + np.array([0, 0, 1.0]) * (z - sag * np.sin(np.pi * t) + 0.05 * t)
            lamp_unit = f"{_CHANDELIER}/lamp_unit_group/lamp_unit#{unit}"
            b.tube(f"{lamp_unit}/lamp_arm", path, 0.008, _PLAIN)
            if has_shades:
                _head(b, np.random.default_rng(look), f"{lamp_unit}/lamp_head", path[-1], 0.06, up=up)
            else:
                _bulb(b, f"{lamp_unit}/lamp_head/light_bulb", tuple(path[-1].tolist()), 0.02, up=True)
            unit += 1
    return b.parts


def _wall(rng: np.random.Generator) -> list[Part]:
    """A plate at the wall y = 0 and one to three arms before it."""
    b = Builder()
    count, step = int(rng.choice((1, 1, 2, 3))), float(rng.uniform(0.18, 0.28))
    w = 0.05 + step * (count - 1) / 2
    part = f"{_WALL}/lamp_base/lamp_holistic_base/lamp_base_part"
    b.rounded(part, (-w, -0.02, -0.08), (w, 0.0, 0.08), 0.008, _PLAIN)
    is_curved, up = rng.random() < 0.6, rng.random() < 0.5
    reach, r = float(rng.uniform(0.1, 0.25)), float(rng.uniform(0.06, 0.1))
    look = int(rng.integers(2**31))
    for k in range(count):
        x = (k - (count - 1) / 2) * step
        t = np.linspace(0, 1, 8)[:, None]
        bend = (0.06 if up else -0.06) * np.sin(np.pi * t) * (-1 if is_curved else 0)
        path = (
            np.array([x, 0, 0]) + np.array([0, -1.0, 0]) * (0.015 + reach * t) + np.array([0, 0, 1.0]) * bend
        )
        unit = f"{_WALL}/lamp_unit#{k}"
        b.tube(f"{unit}/lamp_arm/lamp_arm_{'curved' if is_curved else 'straight'}_bar", path, 0.008, _PLAIN)
        _shade_only(
            b, np.random.default_rng(look), f"{unit}/lamp_head/lamp_cover/lamp_shade", path[-1], r, up=up
        )
    return b.parts


def _shade_only(
    b: Builder, rng: np.random.Generator, name: str, at: np.ndarray, r: Number, *, up: bool
) -> None:
    """PartNet's lamps at walls and in streets have shades of which no bulb is told apart."""
    first = len(b.parts)
    _head(b, rng, "head", at, r, up=up)
    b.parts[first:] = [b.parts[-1]._replace(name=name)]


def _street(rng: np.random.Generator) -> list[Part]:
    """A post on a foot, one or two arms, a shade or a lantern at the end of each."""
    b = Builder()
    h, r = float(rng.uniform(2.2, 3.5)), float(rng.uniform(0.03, 0.05))
    b.lathe(
        f"{_STREET}/street_lamp_base",
        [(0.0, 0.0), (r * 3.5, 0.0), (r * 3.2, 0.12), (r * 1.6, 0.2), (0.0, 0.2)],
        _PLAIN,
        sides=8,
    )
    b.cylinder(f"{_STREET}/lamp_post", (0, 0, 0.2), (0, 0, h), r, r * 0.7, _PLAIN, 12)
    arms, reach = int(rng.choice((1, 2, 2))), float(rng.uniform(0.4, 0.9))
    look = int(rng.integers(2**31))
    for k in range(arms):
        side = 1 if k == 0 else -1
        t = np.linspace(0, 1, 9)[:, None]
        path = np.array([side, 0, 0.0]) * reach * t + np.array([0, 0, 1.0]) * (
            h - 0.1 + 0.3 * np.sin(t * 1.8)
        )
        unit = f"{_STREET}/lamp_unit#{k}"
        b.tube(f"{unit}/lamp_arm/lamp_arm_curved_bar", path, r * 0.5, _PLAIN)
        _head(b, np.random.default_rng(look), f"{unit}/lamp_head", path[-1], 0.16, up=False)
    return b.parts
