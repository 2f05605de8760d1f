"""What stands in a room of each use, and how people leave it."""

import numpy as np

from gestalt3d.synth import beds, colours, fittings, props, sanitary, seating, storage, tables
from gestalt3d.synth.colours import Number
from gestalt3d.synth.placement import Maker, Scene
from gestalt3d.synth.plan import Cell, Plan, Side
from gestalt3d.synth.shapes import Shape

SMALL: tuple[Maker, ...] = (
    props.small,
    props.small,
    props.books,
    props.papers,
    props.box,
    props.machine,
    props.heap,
)


def copy_maker(maker: Maker, rng: np.random.Generator) -> Maker:
    """One design many times: every call makes the same object again, as chairs around one table are."""
    seed = int(rng.integers(2**31))
    return lambda _: maker(np.random.default_rng(seed))


def child(rng: np.random.Generator) -> np.random.Generator:
    return np.random.default_rng(int(rng.integers(2**62)))


class Furnisher:
    """Fills one cell of a plan."""

    def __init__(
        self, scene: Scene, plan: Plan, cell: Cell, walls: list[int], rng: np.random.Generator, tidy: float
    ) -> None:
        self.scene, self.plan, self.cell, self.walls, self.rng = scene, plan, cell, walls, rng
        self.tidy = tidy

    def chance(self, p: Number) -> bool:
        return bool(self.rng.random() < p)

    def side(self) -> Side:
        lengths = np.array([s.length for s in self.cell.sides])
        return self.cell.sides[int(np.searchsorted(np.cumsum(lengths) / lengths.sum(), self.rng.random()))]

    def wall_of(self, side: Side) -> int:
        return self.walls[self.cell.sides.index(side)]

    # --- ways of placing ---

    def at_wall(
        self,
        maker: Maker,
        *,
        tries: int = 10,
        corner: Number = 0.35,
        side: Side | None = None,
        z: Number = 0.0,
        gap: Number | None = None,
        hung: bool = False,
    ) -> int | None:
        """Somewhere along the walls, often in a corner."""
        rng = self.rng
        shape = maker(child(rng))
        width = float(shape.size[0])
        for _ in range(tries):
            chosen = side or self.side()
            room = chosen.length - width
            if room < 0.02:
                continue
            at = float(rng.uniform(-room / 2, room / 2))
            if rng.random() < corner:
                at = float(rng.choice((-1, 1))) * (room / 2 - float(rng.uniform(0, 0.06)))
            at -= float(shape.low[0] + shape.high[0]) / 2
            off = float(rng.exponential(0.02)) if gap is None else gap
            turn = float(rng.normal(0, 0.05)) if not hung and rng.random() > self.tidy else 0.0
            support = self.wall_of(chosen) if hung else 0
            found = self.scene.put_at_wall(shape, chosen, at, z=z, gap=off, support=support, turn=turn)
            if found is not None:
                return found
        return None

    def row_at_wall(
        self, makers: list[Maker], *, gap: Number = 0.005, tries: int = 6, side: Side | None = None
    ) -> list[int]:
        """Side by side along one wall, touching or nearly."""
        rng = self.rng
        shapes = [m(child(rng)) for m in makers]
        for _ in range(tries):
            chosen = side or self.side()
            total = float(sum(s.size[0] for s in shapes)) + gap * len(shapes)
            room = chosen.length - total
            x = -chosen.length / 2 + (float(rng.uniform(0, room)) if room > 0 else 0.0)
            if rng.random() < 0.4:
                x = -chosen.length / 2 + 0.01
            off = float(rng.exponential(0.015))
            found = []
            for s in shapes:
                w = float(s.size[0])
                if x + w > chosen.length / 2:
                    break
                index = self.scene.put_at_wall(s, chosen, x - float(s.low[0]), gap=off)
                if index is not None:
                    found.append(index)
                x += w + gap
            if found:
                return found
        return []

    def in_room(
        self,
        shape: Shape,
        *,
        tries: int = 12,
        yaw: Number | None = None,
        margin: Number = 0.1,
        near_wall: bool = False,
    ) -> int | None:
        """Anywhere on the floor."""
        rng, cell = self.rng, self.cell
        r = float(np.hypot(*shape.size[:2])) / 2
        for _ in range(tries):
            x = float(rng.uniform(cell.x0 + margin, cell.x1 - margin))
            y = float(rng.uniform(cell.y0 + margin, cell.y1 - margin))
            if near_wall:
                side = self.side()
                x, y = side.at(
                    float(rng.uniform(-side.length / 2 + r, side.length / 2 - r))
                    if side.length > 2 * r
                    else 0.0,
                    -r - float(rng.exponential(0.1)),
                )
            angle = float(rng.uniform(0, 2 * np.pi)) if yaw is None else yaw
            c, s = abs(np.cos(angle)), abs(np.sin(angle))
            hx = float(shape.size[0] * c + shape.size[1] * s) / 2
            hy = float(shape.size[0] * s + shape.size[1] * c) / 2
            if not (cell.x0 + hx < x < cell.x1 - hx and cell.y0 + hy < y < cell.y1 - hy):
                continue
            found = self.scene.put(shape, x, y, angle)
            if found is not None:
                return found
        return None

    def inside(self, x: Number, y: Number, margin: Number = 0.0) -> bool:
        c = self.cell
        return bool(c.x0 + margin < x < c.x1 - margin and c.y0 + margin < y < c.y1 - margin)

    def hang(self, maker: Maker, z: Number, *, side: Side | None = None, tries: int = 8) -> int | None:
        return self.at_wall(maker, tries=tries, corner=0.0, side=side, z=z, gap=0.0, hung=True)

    def cover(self, parent: int, makers: tuple[Maker, ...], count: int, *, surface: int = 0) -> None:
        """Things on a surface; sometimes one on the other."""
        rng = self.rng
        # People leave more lying about than one first thinks.
        for _ in range(count + (int(rng.poisson(1.0)) if rng.random() > self.tidy else 0)):
            maker = makers[int(rng.integers(len(makers)))]
            yaw = float(rng.normal(0, 0.15)) if rng.random() < 0.5 else None
            index = self.scene.put_on(parent, maker(child(rng)), rng, surface=surface, yaw=yaw)
            if index is not None and self.scene.placed[index].shape.surfaces and rng.random() < 0.4:
                self.scene.put_on(
                    index,
                    props.small(child(rng)) if rng.random() < 0.5 else props.books(child(rng)),
                    rng,
                    yaw=0.0,
                )

    def chairs_around(
        self,
        parent: int,
        maker: Maker,
        *,
        seats: int | None = None,
        fill: Number = 0.9,
        spacing: Number = 0.62,
    ) -> list[int]:
        """Chairs at a table's sides, tucked in, pulled out or turned away."""
        rng, scene = self.rng, self.scene
        table = scene.placed[parent]
        hx, hy = table.shape.size[:2] / 2
        round_ = abs(hx - hy) < 0.02 and table.shape.surfaces[0].x1 < 0.8 * hx
        spots: list[tuple[float, float, float]] = []
        if round_:
            n = seats or max(2, int(2 * np.pi * hx / spacing))
            turn = float(rng.uniform(0, 6.28))
            spots = [
                (hx * float(np.sin(a)), hy * float(np.cos(a)), -float(a))
                for a in turn + np.arange(n) * 2 * np.pi / n
            ]
        else:
            along = max(1, int(2 * hx / spacing))
            for k in range(along):
                x = float(-hx + (k + 0.5) * 2 * hx / along)
                spots += [(x, float(hy), 0.0), (x, -float(hy), float(np.pi))]
            if 2 * hy > 0.7 and rng.random() < 0.7:
                spots += [(float(hx), 0.0, -np.pi / 2), (-float(hx), 0.0, np.pi / 2)]
        found = []
        for sx, sy, out in spots:
            if rng.random() > fill:
                continue
            shape = maker(child(rng))
            messy = rng.random() > self.tidy
            yaw = out + (float(rng.normal(0, 0.5)) if messy else float(rng.normal(0, 0.06)))
            pull = float(rng.uniform(-0.28, 0.05)) if not messy else float(rng.uniform(-0.15, 0.45))
            nx, ny = -np.sin(out), np.cos(out)
            for extra in (0.0, 0.12, 0.25, 0.4):
                d = float(shape.size[1]) / 2 + pull + extra
                x, y = table.world(float(sx + nx * d), float(sy + ny * d))
                if not self.inside(x, y, 0.25):
                    break
                index = scene.put(shape, x, y, table.yaw + yaw, ignore_reserved=messy)
                if index is not None:
                    found.append(index)
                    break
        return found

    def chair_kind(self) -> Maker:
        rng = self.rng
        return copy_maker(
            (seating.chair, seating.chair, seating.office_chair, seating.stool)[
                int(rng.choice(4, p=(0.4, 0.3, 0.25, 0.05)))
            ],
            rng,
        )

    # --- groups ---

    def workplace(self, index: int, chair: Maker | None) -> None:
        """A desk gets a screen, a keyboard, papers, and a chair before it."""
        rng, scene = self.rng, self.scene
        for _ in range(int(rng.choice((0, 1, 1, 1, 2)))):
            m = scene.put_on(
                index,
                props.monitor(child(rng)),
                rng,
                yaw=float(rng.normal(0, 0.25)),
                at=(float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.7, 1.0))),
            )
            if m is not None and rng.random() < 0.85:
                scene.put_on(
                    index,
                    props.keyboard(child(rng)),
                    rng,
                    yaw=float(rng.normal(0, 0.1)),
                    at=(float(rng.uniform(0.3, 0.7)), float(rng.uniform(0.05, 0.35))),
                )
        if self.chance(0.25):
            scene.put_on(index, props.table_lamp(child(rng)), rng)
        self.cover(
            index, (*SMALL, props.papers, props.books), int(rng.integers(0, 8 if self.tidy < 0.6 else 4))
        )
        for k in range(1, len(scene.placed[index].shape.surfaces)):
            self.cover(index, (props.books, props.small, props.box), int(rng.integers(0, 4)), surface=k)
        desk = scene.placed[index]
        if chair is not None:
            shape = chair(child(rng))
            s = desk.shape.surfaces[0]
            for _ in range(4):
                pull = float(rng.uniform(-0.3, 0.35))
                lx = float(rng.uniform(s.x0 * 0.6, s.x1 * 0.6))
                x, y = desk.world(lx, s.y0 - float(shape.size[1]) / 2 - pull)
                turn = float(rng.normal(0, 0.2)) if rng.random() < 0.5 else float(rng.uniform(0, 6.28))
                if (
                    self.inside(x, y, 0.25)
                    and scene.put(shape, x, y, desk.yaw + np.pi + turn, ignore_reserved=True) is not None
                ):
                    break
        if self.chance(0.3):
            x, y = desk.world(float(rng.uniform(-0.5, 0.5)), 0.0)
            scene.put(props.machine(child(rng)), x, y, desk.yaw + float(rng.normal(0, 0.1)))

    def stack(self, maker: Maker, count: int, *, near_wall: bool = True) -> None:
        """Boxes on boxes."""
        rng = self.rng
        below = self.in_room(
            maker(child(rng)), yaw=self.side().yaw + float(rng.normal(0, 0.1)), near_wall=near_wall
        )
        for _ in range(count - 1):
            if below is None:
                return
            size = self.scene.placed[below].shape.size
            k = float(rng.uniform(0.75, 1.0))
            above = props.box(
                child(rng),
                (float(size[0]) * k * 0.97, float(size[1]) * k * 0.97, float(rng.uniform(0.1, 0.4))),
            )
            below = self.scene.put_on(below, above, rng, yaw=float(rng.normal(0, 0.04)), at=(0.5, 0.5))

    def island(self, desks: int, desk: Maker, chair: Maker) -> None:
        """Desks back to back in the middle of the room."""
        rng, cell, scene = self.rng, self.cell, self.scene
        shape = desk(child(rng))
        w, d = float(shape.size[0]), float(shape.high[1])
        per_row = max(1, desks // 2)
        yaw0 = 0.0 if cell.width > cell.depth else np.pi / 2
        for _ in range(6):
            cx = (
                float(rng.uniform(cell.x0 + 1.2, cell.x1 - 1.2))
                if cell.width > 2.5
                else (cell.x0 + cell.x1) / 2
            )
            cy = (
                float(rng.uniform(cell.y0 + 1.2, cell.y1 - 1.2))
                if cell.depth > 2.5
                else (cell.y0 + cell.y1) / 2
            )
            done = []
            for row in (0, 1):
                for k in range(per_row):
                    lx = (k - (per_row - 1) / 2) * (w + 0.006) * (1 if row == 0 else -1)
                    yaw = yaw0 if row == 0 else yaw0 + np.pi
                    cr, sr = np.cos(yaw), np.sin(yaw)
                    x, y = cx + cr * lx - sr * -(d + 0.003), cy + sr * lx + cr * -(d + 0.003)
                    if not self.inside(x, y, 0.5):
                        continue
                    index = scene.put(desk(child(rng)), x, y, yaw)
                    if index is not None:
                        done.append(index)
            if done:
                for index in done:
                    self.workplace(index, chair)
                return

    # --- uses ---

    def office(self) -> None:
        rng = self.rng
        chair = copy_maker(seating.office_chair, rng) if self.chance(0.75) else copy_maker(seating.chair, rng)
        desk = copy_maker(tables.desk, rng) if self.chance(0.6) else tables.desk
        places = max(1, int(self.cell.area / rng.uniform(5, 9)))
        if self.cell.area > 14 and self.chance(0.5):
            self.island(min(places, 6) // 2 * 2 or 2, desk, chair)
            places -= 2
        elif places > 2 and self.chance(0.35):
            for index in self.row_at_wall([desk] * min(places, 4), gap=float(rng.choice((0.002, 0.02, 0.3)))):
                self.workplace(index, chair)
            places = 1
        for _ in range(max(places, 1)):
            index = self.at_wall(desk)
            if index is not None:
                self.workplace(index, chair if self.chance(0.93) else None)
        if self.chance(0.75):
            one = copy_maker(storage.bookcase, rng)
            self.row_at_wall(
                [one if self.chance(0.6) else storage.bookcase for _ in range(int(rng.integers(1, 5)))],
                gap=0.004,
            )
        if self.chance(0.7):
            one = copy_maker(storage.cabinet, rng)
            for index in self.row_at_wall([one] * int(rng.integers(1, 4)), gap=0.004):
                self.cover(index, SMALL, int(rng.integers(0, 4)))
        if self.cell.area > 11 and self.chance(0.45):
            self.meeting_table(small=True)
        if self.chance(0.12):
            index = self.at_wall(storage.fridge)
            if index is not None:
                self.cover(index, SMALL, int(rng.integers(0, 3)))
        if self.chance(0.1):
            self.kitchenette()
        for _ in range(int(rng.integers(0, 3))):
            self.at_wall(seating.chair)
        if self.chance(0.6):
            self.hang(fittings.board, float(rng.uniform(0.8, 1.1)))
        if self.chance(0.15):
            self.at_wall(seating.sofa)

    def kitchenette(self) -> None:
        """A short worktop with a sink."""
        rng = self.rng
        body, top = colours.hard(child(rng)), colours.hard(child(rng))
        index = self.at_wall(
            lambda g: tables.counter(g, float(g.uniform(0.8, 2.2)), body, top), corner=0.6, gap=0.0
        )
        if index is not None:
            self.scene.put_on(
                index, sanitary.kitchen_sink(child(rng)), rng, yaw=0.0, at=(float(rng.uniform(0.1, 0.9)), 0.5)
            )
            self.cover(index, (props.small, props.machine, props.small), int(rng.integers(1, 5)))

    def meeting_table(self, *, small: bool = False, chair: Maker | None = None) -> None:
        rng, cell = self.rng, self.cell
        chair = chair or self.chair_kind()
        if small:
            shape = tables.table(child(rng), width=float(rng.uniform(0.75, 1.3)))
        else:
            long = float(np.clip(max(cell.width, cell.depth) - rng.uniform(1.6, 2.8), 1.2, 4.5))
            shape = tables.table(child(rng), width=long, depth=float(rng.uniform(0.85, 1.4)))
        yaw = (0.0 if cell.width > cell.depth else np.pi / 2) + (
            float(rng.normal(0, 0.03)) if self.chance(0.8) else float(rng.uniform(0, 3))
        )
        index = None
        if not small:
            index = self.scene.put(
                shape,
                (cell.x0 + cell.x1) / 2 + float(rng.normal(0, 0.15)),
                (cell.y0 + cell.y1) / 2 + float(rng.normal(0, 0.15)),
                yaw,
            )
        index = index if index is not None else self.in_room(shape, yaw=yaw)
        if index is None:
            return
        self.chairs_around(
            index, chair, fill=float(rng.uniform(0.6, 1.0)), spacing=float(rng.uniform(0.56, 0.85))
        )
        self.cover(index, (*SMALL, props.papers, props.monitor), int(rng.integers(0, 6)))

    def meeting(self) -> None:
        rng = self.rng
        chair = self.chair_kind()
        if self.cell.area > 20 and self.chance(0.2):
            for _ in range(int(rng.integers(2, 5))):
                self.meeting_table(small=True, chair=chair)
        else:
            self.meeting_table(chair=chair)
        for _ in range(int(rng.integers(1, 3))):
            self.hang(fittings.board, float(rng.uniform(0.75, 1.05)))
        if self.chance(0.4):
            self.hang(props.wall_screen, float(rng.uniform(0.9, 1.3)))
        if self.chance(0.5):
            index = self.at_wall(storage.cabinet)
            if index is not None:
                self.cover(index, SMALL, int(rng.integers(0, 4)))
        if self.chance(0.4):
            self.row_at_wall([chair] * int(rng.integers(2, 6)), gap=float(rng.uniform(0.0, 0.1)))
        if self.chance(0.3):
            index = self.at_wall(tables.table)
            if index is not None:
                self.cover(index, SMALL, int(rng.integers(1, 6)))

    def living(self) -> None:
        rng, scene = self.rng, self.scene
        sofa = self.at_wall(seating.sofa, corner=0.2)
        if sofa is None or (self.cell.area > 16 and self.chance(0.4)):
            shape = seating.sofa(child(rng)) if self.chance(0.6) else seating.armchair(child(rng))
            other = self.in_room(shape, yaw=float(rng.integers(4)) * np.pi / 2)
            sofa = sofa if sofa is not None else other
        if sofa is not None:
            place = scene.placed[sofa]
            for _ in range(int(rng.integers(0, 5))):
                scene.put_on(
                    sofa,
                    props.pillow(child(rng)) if self.chance(0.8) else props.heap(child(rng), 0.3),
                    rng,
                    yaw=float(rng.normal(0, 0.3)),
                )
            if self.chance(0.85):
                shape = tables.coffee_table(child(rng))
                for _ in range(4):
                    gap = float(rng.uniform(0.1, 0.55))
                    x, y = place.world(
                        float(rng.normal(0, 0.25)), float(place.shape.low[1]) - gap - float(shape.size[1]) / 2
                    )
                    if self.inside(x, y, 0.3):
                        index = scene.put(
                            shape, x, y, place.yaw + float(rng.normal(0, 0.05)), ignore_reserved=True
                        )
                        if index is not None:
                            self.cover(index, SMALL, int(rng.integers(0, 7)))
                            break
            if self.chance(0.6):
                for _ in range(int(rng.integers(1, 3))):
                    self.in_room(
                        seating.armchair(child(rng)),
                        yaw=place.yaw + float(rng.choice((-1, 1))) * float(rng.uniform(0.5, 2.6)),
                    )
        for _ in range(int(rng.integers(0, 3))):
            self.at_wall(seating.armchair)
        if self.chance(0.75):
            index = self.at_wall(storage.media_console)
            if index is not None:
                tv = props.monitor(child(rng), float(rng.uniform(0.65, 1.3)))
                if self.chance(0.85):
                    scene.put_on(index, tv, rng, yaw=0.0, at=(float(rng.uniform(0.3, 0.7)), 0.8))
                self.cover(index, SMALL, int(rng.integers(0, 4)))
        elif self.chance(0.5):
            self.hang(props.wall_screen, float(rng.uniform(0.8, 1.2)))
        self.row_at_wall([storage.bookcase] * int(rng.integers(0, 4)), gap=0.006)
        for _ in range(int(rng.integers(0, 3))):
            index = self.at_wall(storage.cabinet if self.chance(0.6) else storage.dresser)
            if index is not None:
                self.cover(index, (*SMALL, props.table_lamp), int(rng.integers(0, 5)))
        if self.cell.area > 14 and self.chance(0.6):
            self.meeting_table(small=True, chair=copy_maker(seating.chair, rng))
        if self.chance(0.35):
            index = self.at_wall(tables.desk)
            if index is not None:
                self.workplace(index, seating.office_chair if self.chance(0.5) else seating.chair)
        for _ in range(int(rng.integers(0, 3))):
            self.in_room(props.floor_lamp(child(rng)), near_wall=True)
        if self.chance(0.4):
            self.in_room(seating.stool(child(rng)))
        if self.chance(0.12):
            self.at_wall(seating.bench)
        for _ in range(int(rng.integers(1, 5))):
            self.hang(fittings.picture, float(rng.uniform(1.1, 1.7)))

    def bedroom(self) -> None:
        rng, scene = self.rng, self.scene
        for _ in range(2 if self.cell.area > 14 and self.chance(0.25) else 1):
            bed = self.at_wall(beds.bed, corner=0.35, tries=50)
            if bed is None:
                continue
            place = scene.placed[bed]
            self.cover(
                bed, (props.pillow, props.heap, props.bag, props.books, props.heap), int(rng.integers(0, 4))
            )
            stand = copy_maker(storage.night_stand, rng)
            for sign in (-1, 1):
                if self.chance(0.75):
                    shape = stand(child(rng))
                    dx = sign * (
                        float(place.shape.high[0]) + float(shape.size[0]) / 2 + float(rng.uniform(0.0, 0.12))
                    )
                    x, y = place.world(dx, float(place.shape.high[1] - shape.high[1]))
                    if self.inside(x, y, 0.18):
                        index = scene.put(shape, x, y, place.yaw)
                        if index is not None:
                            if self.chance(0.6):
                                scene.put_on(index, props.table_lamp(child(rng)), rng, at=(0.5, 0.6))
                            self.cover(index, (props.small, props.books), int(rng.integers(0, 3)))
        for maker, p in (
            (storage.cabinet, 0.75),
            (storage.dresser, 0.65),
            (storage.bookcase, 0.4),
            (seating.armchair, 0.25),
            (storage.cabinet, 0.3),
        ):
            if self.chance(p):
                index = self.at_wall(maker)
                if index is not None and maker is not seating.armchair:
                    self.cover(index, (*SMALL, props.table_lamp), int(rng.integers(0, 6)))
        if self.chance(0.55):
            index = self.at_wall(tables.desk)
            if index is not None:
                self.workplace(index, seating.office_chair if self.chance(0.5) else seating.chair)
        if self.chance(0.3):
            self.in_room(props.floor_lamp(child(rng)), near_wall=True)
        if self.chance(0.4):
            self.in_room(props.ladder_or_rack(child(rng)), near_wall=True)
        for _ in range(int(rng.integers(0, 4))):
            self.in_room(props.bag(child(rng)) if self.chance(0.5) else props.heap(child(rng)))
        if self.chance(0.3):
            self.hang(fittings.mirror, float(rng.uniform(0.5, 1.1)))
        for _ in range(int(rng.integers(0, 4))):
            self.hang(fittings.picture, float(rng.uniform(1.1, 1.7)))

    def kitchen(self) -> None:
        rng, scene, cell = self.rng, self.scene, self.cell
        body, top = colours.hard(child(rng)), colours.hard(child(rng))
        free = [s.length - sum(o.x1 - o.x0 for o in s.openings if o.kind != "window") for s in cell.sides]
        order = sorted(range(4), key=lambda i: -free[i] + float(rng.normal(0, 0.5)))
        start = order[0]
        wall_z = float(rng.uniform(1.35, 1.5))
        before = len(scene.placed)
        if self.chance(0.6):
            self.at_wall(storage.fridge, corner=0.7)
        wanted = 2 if self.chance(0.55) else 1
        for turn, index in enumerate((start, (start + 1) % 4, *order[1:])):
            if turn >= wanted and any(p.shape.kind == "counter" for p in scene.placed[before:]):
                break
            side = cell.sides[index]
            # Along a second wall the worktop begins where the corner of the first ends.
            x = -side.length / 2 + (0.0 if turn == 0 else 0.63)
            while x < side.length / 2 - 0.4:
                u = rng.random()
                if u < 0.17:
                    shape = storage.fridge(child(rng))
                elif u < 0.21:
                    shape = sanitary.washer(child(rng))
                elif u < 0.36:
                    shape = sanitary.stove(child(rng))
                else:
                    w = float(min(rng.uniform(0.5, 2.2), side.length / 2 - x))
                    shape = tables.counter(child(rng), w, body, top)
                w = float(shape.size[0])
                if x + w > side.length / 2 + 0.005:
                    break
                found = scene.put_at_wall(shape, side, x + w / 2, gap=0.0)
                if found is None:
                    x += 0.2
                    continue
                if shape.kind == "counter":
                    if w > 0.7 and self.chance(0.55):
                        scene.put_on(
                            found,
                            sanitary.kitchen_sink(child(rng)),
                            rng,
                            yaw=0.0,
                            at=(float(rng.uniform(0.2, 0.8)), 0.5),
                        )
                    self.cover(
                        found,
                        (props.small, props.small, props.machine, props.box, props.books, props.heap),
                        int(rng.integers(0, 3 + int(3 * w))),
                    )
                    if self.chance(0.7):
                        high = storage.wall_cabinet(child(rng), w, body)
                        scene.put_at_wall(
                            high, side, x + w / 2, z=wall_z, gap=0.0, support=self.wall_of(side)
                        )
                elif shape.kind == "clutter" and self.chance(0.6):
                    hood = storage.wall_cabinet(
                        child(rng), w, body if self.chance(0.5) else colours.metal(child(rng))
                    )
                    scene.put_at_wall(
                        hood, side, x + w / 2, z=wall_z + 0.2, gap=0.0, support=self.wall_of(side)
                    )
                x += w + 0.003
        if cell.area > 8 and self.chance(0.7):
            if self.chance(0.7):
                self.meeting_table(small=True, chair=copy_maker(seating.chair, rng))
            else:
                shape = tables.counter(
                    child(rng), float(rng.uniform(1.0, 1.8)), body, top, depth=float(rng.uniform(0.6, 0.9))
                )
                index = self.in_room(shape, yaw=cell.sides[start].yaw)
                if index is not None:
                    self.cover(index, SMALL, int(rng.integers(1, 6)))
                    island = scene.placed[index]
                    stool = copy_maker(seating.stool, rng)
                    for k in range(int(rng.integers(0, 4))):
                        x, y = island.world(-0.5 + 0.5 * k, float(island.shape.low[1]) - 0.25)
                        if self.inside(x, y, 0.2):
                            scene.put(stool(child(rng)), x, y, island.yaw)
        if self.chance(0.3):
            self.at_wall(storage.cabinet)
        if self.chance(0.3):
            self.hang(fittings.picture, float(rng.uniform(1.2, 1.6)))

    def bathroom(self) -> None:
        rng, scene, cell = self.rng, self.scene, self.cell
        if self.chance(0.65):
            tub = self.at_wall(sanitary.bathtub, corner=1.0, gap=0.0, tries=30)
            if tub is not None and self.chance(0.6):
                place = scene.placed[tub]
                w = float(place.shape.size[0]) * float(rng.uniform(0.25, 0.95))
                shape = fittings.curtain(child(rng), w, 1.75, colours.cloth(child(rng)), "curtain")
                x, y = place.world(
                    float(rng.choice((-1, 1))) * (float(place.shape.size[0]) - w) / 2,
                    float(place.shape.low[1]) + 0.08,
                )
                scene.add(shape, x, y, 0.22, place.yaw, tub, solid=False)
        self.at_wall(sanitary.toilet, corner=0.3, gap=0.0, tries=14)
        for _ in range(1 + int(self.chance(0.2))):
            index = self.at_wall(sanitary.sink, corner=0.3, gap=0.0, tries=14)
            if index is not None:
                place = scene.placed[index]
                side = min(cell.sides, key=lambda s: abs(np.angle(np.exp(1j * (s.yaw - place.yaw)))))
                if self.chance(0.85):
                    shape = fittings.mirror(child(rng))
                    x, y = place.world(0.0, float(place.shape.high[1]))
                    scene.put(
                        shape,
                        x,
                        y,
                        place.yaw,
                        z=float(rng.uniform(1.05, 1.25)),
                        support=self.wall_of(side),
                        ignore_reserved=True,
                    )
                if place.shape.surfaces:
                    self.cover(index, (props.small,), int(rng.integers(0, 4)))
        if self.chance(0.4):
            self.at_wall(storage.cabinet)
        if self.chance(0.3):
            index = self.at_wall(sanitary.washer, corner=0.6, gap=0.0)
            if index is not None:
                self.cover(index, SMALL, int(rng.integers(0, 4)))
        if self.chance(0.35):
            self.in_room(props.machine(child(rng)), near_wall=True)
        for _ in range(int(rng.integers(1, 4))):
            self.hang(fittings.wall_box, float(rng.uniform(0.9, 1.3)))
        if self.chance(0.4):
            self.in_room(props.garbage_bin(child(rng)), near_wall=True)

    def hallway(self) -> None:
        rng = self.rng
        for maker, p in (
            (seating.bench, 0.5),
            (storage.cabinet, 0.4),
            (props.plant, 0.3),
            (storage.bookcase, 0.25),
            (seating.chair, 0.3),
            (props.leaning_board, 0.25),
            (tables.table, 0.15),
        ):
            if self.chance(p):
                index = self.at_wall(maker)
                if index is not None and maker is storage.cabinet:
                    self.cover(index, SMALL, int(rng.integers(0, 4)))
        if self.chance(0.3):
            one = copy_maker(seating.chair, rng)
            self.row_at_wall([one] * int(rng.integers(2, 6)), gap=0.03)
        for _ in range(int(rng.integers(0, 4))):
            self.hang(fittings.board if self.chance(0.5) else fittings.picture, float(rng.uniform(0.9, 1.3)))
        for _ in range(int(rng.integers(0, 4))):
            self.hang(fittings.wall_box, float(rng.uniform(0.8, 1.5)))
        if self.chance(0.3):
            self.in_room(props.ladder_or_rack(child(rng)), near_wall=True)

    def storage(self) -> None:
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            design = int(rng.integers(2**31))
            self.row_at_wall(
                [
                    lambda g, design=design: storage.bookcase(
                        np.random.default_rng(design + int(g.integers(3))), mode="boxes"
                    )
                ]
                * int(rng.integers(1, 4)),
                gap=0.01,
            )
        for _ in range(int(rng.integers(1, 6))):
            self.stack(props.box, int(rng.integers(1, 5)))
        for maker, p in (
            (storage.cabinet, 0.5),
            (props.leaning_board, 0.7),
            (props.leaning_board, 0.4),
            (tables.table, 0.4),
            (seating.chair, 0.4),
            (seating.office_chair, 0.3),
        ):
            if self.chance(p):
                index = self.at_wall(maker)
                if index is not None and maker in (storage.cabinet, tables.table):
                    self.cover(index, (props.box, props.crate, *SMALL), int(rng.integers(1, 7)))
        for _ in range(int(rng.integers(0, 4))):
            self.in_room(
                (props.heap, props.bag, props.ladder_or_rack, props.machine)[int(rng.integers(4))](
                    child(rng)
                ),
                near_wall=True,
            )

    def lecture(self) -> None:
        rng, scene, cell = self.rng, self.scene, self.cell
        front = cell.sides[int(rng.integers(4))]
        chair = copy_maker(seating.chair, rng) if self.chance(0.75) else copy_maker(seating.office_chair, rng)
        self.hang(fittings.board, float(rng.uniform(0.8, 1.1)), side=front)
        if self.chance(0.6):
            x, y = front.at(float(rng.uniform(-1, 1)), -1.2)
            desk = scene.put(tables.desk(child(rng)), x, y, front.yaw + np.pi)
            if desk is not None:
                self.cover(desk, SMALL, int(rng.integers(0, 4)))
        depth = cell.depth if abs(np.sin(front.yaw)) < 0.5 else cell.width
        with_tables = self.chance(0.5)
        pitch = float(rng.uniform(1.25, 1.6)) if with_tables else float(rng.uniform(0.75, 1.1))
        table = copy_maker(lambda g: tables.table(g, width=1.4, depth=0.5), rng)
        gap = float(rng.uniform(0.0, 0.25))
        d = float(rng.uniform(1.8, 2.6))
        while d < depth - 0.9:
            x = -front.length / 2 + float(rng.uniform(0.3, 0.9))
            while x < front.length / 2 - 0.5:
                if with_tables:
                    shape = table(child(rng))
                    w = float(shape.size[0])
                    px, py = front.at(x + w / 2, -d)
                    index = (
                        scene.put(shape, px, py, front.yaw + float(rng.normal(0, 0.01)))
                        if self.inside(px, py, w * 0.3)
                        else None
                    )
                    if index is not None:
                        self.cover(
                            index,
                            (props.papers, props.small, props.monitor, props.books),
                            int(rng.integers(0, 3)),
                        )
                    for k in (0.27, 0.73):
                        s = chair(child(rng))
                        px, py = front.at(
                            x + w * k, -d - 0.25 - float(s.size[1]) / 2 - float(rng.uniform(-0.25, 0.15))
                        )
                        if self.inside(px, py, 0.3) and self.chance(0.92):
                            scene.put(s, px, py, front.yaw + np.pi + float(rng.normal(0, 0.1)))
                    x += w + gap
                else:
                    s = chair(child(rng))
                    px, py = front.at(x + float(s.size[0]) / 2, -d)
                    if self.inside(px, py, 0.3) and self.chance(0.93):
                        scene.put(s, px, py, front.yaw + np.pi + float(rng.normal(0, 0.05)))
                    x += float(s.size[0]) + gap * 0.5
            d += pitch

    def copy(self) -> None:
        rng = self.rng
        if self.chance(0.35):
            self.kitchenette()
        for _ in range(int(rng.integers(1, 3))):
            self.at_wall(props.copier)
        for maker in (tables.table, storage.cabinet, storage.bookcase):
            if self.chance(0.7):
                index = self.at_wall(maker)
                if index is not None:
                    self.cover(
                        index, (*SMALL, props.box, props.machine, props.papers), int(rng.integers(1, 7))
                    )
        for _ in range(int(rng.integers(0, 4))):
            self.stack(props.box, int(rng.integers(1, 4)))
        if self.chance(0.5):
            self.hang(fittings.board, 0.95)
        for _ in range(int(rng.integers(0, 3))):
            self.hang(fittings.wall_box, float(rng.uniform(0.9, 1.5)))

    # --- everywhere ---

    def everywhere(self) -> None:
        """What any room has: bins, plants, bags, boxes, heaters, lamps, and what was left lying about."""
        rng, cell, scene, plan = self.rng, self.cell, self.scene, self.plan
        k = cell.area / 14
        for maker, rate in (
            (props.garbage_bin, 0.7),
            (props.plant, 0.35),
            (props.bag, 0.5),
            (props.box, 0.4),
            (props.heap, 0.25),
            (props.leaning_board, 0.2),
            (seating.stool, 0.12),
            (props.machine, 0.15),
            (props.ladder_or_rack, 0.08),
        ):
            for _ in range(int(rng.poisson(rate * min(k, 2.0) * (1.6 - self.tidy)))):
                if maker is props.leaning_board:
                    self.at_wall(maker, gap=0.0)
                else:
                    self.in_room(maker(child(rng)), near_wall=bool(rng.random() < 0.8))
        if self.chance(0.25):
            self.stack(props.box, int(rng.integers(2, 5)))
        if cell.use not in ("bathroom", "lecture", "hallway") and self.chance(0.35):
            for _ in range(int(rng.integers(1, 3))):
                self.hang(storage.wall_shelf, float(rng.uniform(1.0, 1.6)))
        for side in cell.sides:
            for o in side.openings:
                if o.kind == "window" and self.chance(0.45):
                    w = float(rng.uniform(0.4, 1.0))
                    shape = fittings.radiator(child(rng), (o.x1 - o.x0) * w)
                    if o.z0 > 0.5:
                        scene.put_at_wall(
                            shape,
                            side,
                            (o.x0 + o.x1) / 2,
                            z=float(rng.uniform(0.05, min(0.2, o.z0 - 0.45))),
                            support=self.wall_of(side),
                            ignore_reserved=True,
                        )
        if self.chance(0.3):
            self.hang(lambda g: fittings.radiator(g, float(g.uniform(0.5, 1.6))), 0.1)
        for _ in range(int(rng.poisson(1.2))):
            self.hang(fittings.wall_box, float(rng.uniform(0.9, 1.6)))
        for _ in range(int(rng.poisson(0.5))):
            self.hang(fittings.picture, float(rng.uniform(1.0, 1.7)))
        kind = int(rng.integers(4))
        lamp = copy_maker(lambda g: fittings.ceiling_lamp(g, kind), rng)
        nx, ny = max(1, round(cell.width / 2.4)), max(1, round(cell.depth / 2.4))
        if kind == 2:
            nx = ny = 1
        for i in range(nx):
            for j in range(ny):
                x = cell.x0 + (i + 0.5) * cell.width / nx
                y = cell.y0 + (j + 0.5) * cell.depth / ny
                scene.put(
                    lamp(child(rng)),
                    x,
                    y,
                    0.0 if cell.width > cell.depth else np.pi / 2,
                    z=plan.height,
                    support=1,
                    ignore_reserved=True,
                )
        for _ in range(int(rng.poisson(0.8))):
            x, y = (
                float(rng.uniform(cell.x0 + 0.4, cell.x1 - 0.4)),
                float(rng.uniform(cell.y0 + 0.4, cell.y1 - 0.4)),
            )
            scene.put(fittings.vent(child(rng)), x, y, 0.0, z=plan.height, support=1, ignore_reserved=True)

    def furnish(self) -> None:
        getattr(self, self.cell.use)()
        self.everywhere()
