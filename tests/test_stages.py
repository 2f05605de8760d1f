"""Where the time goes and how far the work is."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gestalt3d.stages import counted, measure, stage, when_compiling


def spend(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def told_by(work) -> list[tuple[str, float, int]]:
    told = []
    with measure(lambda *what: told.append(what)):
        work()
    return told


def test_a_stage_inside_another_is_counted_once_and_shares_add_up_to_the_wall_time() -> None:
    start = time.perf_counter()
    with measure() as work:
        with stage("proposals"):
            spend(0.01)
            with stage("mean shift"):
                spend(0.02)
            with stage("mean shift"):
                spend(0.01)
        spend(0.005)
        with stage("write"):
            spend(0.01)
    wall = time.perf_counter() - start
    assert list(work.shares) == ["proposals", "write", "other"]
    assert sum(work.shares.values()) == pytest.approx(work.seconds) == pytest.approx(wall, abs=2e-3)
    assert list(work.within) == ["proposals: mean shift", "proposals: other"]
    assert sum(work.within.values()) == pytest.approx(work.shares["proposals"])
    assert work.within["proposals: mean shift"] >= 0.03


def test_inner_stages_are_shown_inside_their_parent() -> None:
    with measure() as work, stage("proposals"), stage("mean shift"):
        pass
    part = work.parts["proposals"]
    work.seconds, part.seconds, part.parts["mean shift"].seconds = 4.0, 3.0, 2.0
    assert str(work) == "proposals 3.0 (mean shift 2.0, other 1.0), other 1.0"


def test_however_deep_stages_lie_no_second_is_counted_twice() -> None:
    with measure() as work:
        for _ in range(2):
            with stage("proposals"), stage("unions"):
                spend(0.01)
                with stage("gather"):
                    spend(0.02)
        with stage("write"):
            spend(0.02)
    assert set(work.within) == {"proposals: unions: gather", "proposals: unions: other", "proposals: other"}
    assert sum(work.within.values()) == pytest.approx(work.shares["proposals"])
    assert add_up(str(work)) == pytest.approx(work.seconds, abs=0.05 * 3)


def add_up(line: str) -> float:
    """Seconds of a line such as `proposals 3.0 (mean shift 2.0, other 1.0), other 1.0`, having checked each bracket."""
    while found := re.search(r"([\d.]+) \(([^()]*)\)", line):
        inner = found[2].split(", ")
        total = sum(float(part.rsplit(" ", 1)[1]) for part in inner)
        assert total == pytest.approx(float(found[1]), abs=0.05 * (len(inner) + 2)), found[0]
        line = line.replace(found[0], found[1])
    return sum(float(part.rsplit(" ", 1)[1]) for part in line.split(", "))


def test_a_stage_is_told_when_it_begins_whether_or_not_its_steps_are_known() -> None:
    def work() -> None:
        with stage("proposals"), stage("unions"):
            pass
        with stage("write"):
            pass

    assert told_by(work) == [("proposals", 0, 0), ("proposals: unions", 0, 0), ("write", 0, 0)]


def test_loops_inside_a_step_are_fractions_of_it_and_nothing_goes_back() -> None:
    def work() -> None:
        with stage("network"):
            for _ in counted(range(2)):
                for _ in counted(range(2), more=2):
                    with stage("layer"):
                        pass
                with stage("rest"):
                    pass

    told = told_by(work)
    assert {(name, total) for name, _, total in told[1:]} == {("network", 2)}, "inner stages do not take over"
    done = [done for _, done, _ in told]
    assert done == sorted(done) and done[-1] == 2
    assert 0.5 in done, "two of four steps of the first of two"


def test_a_loop_of_one_step_leaves_the_counting_to_the_loop_inside() -> None:
    def work() -> None:
        for _ in counted(["one look"]):
            with stage("blocks"):
                list(counted(range(3)))

    assert told_by(work) == [("", 0, 0), ("blocks", 0, 0), *(("blocks", n, 3) for n in range(4)), ("", 0, 0)]


def test_loops_that_an_error_leaves_are_forgotten() -> None:
    def work() -> None:
        with pytest.raises(ZeroDivisionError), stage("first"):
            for _ in counted(range(5)):
                _ = 1 / 0
        with stage("second"):
            pass

    assert told_by(work)[-1] == ("second", 0, 0)


def test_nothing_is_measured_and_nothing_hindered_where_nobody_listens() -> None:
    with stage("alone"):
        assert list(counted("abc")) == ["a", "b", "c"]


@pytest.mark.parametrize(("module", "times"), [("gestalt3d.ops.of_a_test", 1), ("somebody.elses", 0)])
def test_compiling_a_kernel_of_ours_is_announced_from_any_thread(module: str, times: int) -> None:
    import numba

    import gestalt3d.ops._numba  # noqa: F401, listens from here on

    def double(x: int) -> int:
        return 2 * x

    double.__module__ = module
    told = []
    with when_compiling(told.append), ThreadPoolExecutor(1) as pool:
        compiled = numba.njit(double)
        assert list(pool.map(compiled, [1, 2])) == [2, 4]
    assert told == [True] * times
