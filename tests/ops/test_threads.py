"""The pool of the CPU kernels: what runs in it is one thread's, and nobody else notices."""

import threading

import pytest
import torch

from gestalt3d.ops._numba import each_on_one_thread, num_threads, parallel
from gestalt3d.ops.sparse_conv import Rules, sparse_conv
from tests.ops import kit


def in_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_task_has_one_thread_and_all_others_keep_theirs(count: int) -> None:
    with kit.threads(count):
        assert each_on_one_thread(lambda _: torch.get_num_threads(), range(7)) == [1] * 7
        assert torch.get_num_threads() == in_a_new_thread() == count


def test_tasks_answer_in_their_order_and_record_no_gradient() -> None:
    x = torch.ones(3, requires_grad=True)
    with kit.threads(3):
        found = each_on_one_thread(lambda t: x * t, range(20))
    assert [int(f[0]) for f in found] == list(range(20)) and not any(f.requires_grad for f in found)


def test_work_in_the_pool_may_ask_for_the_pool() -> None:
    """It would wait for itself for ever if it did not run in place."""
    seen: list[tuple[int, int]] = []
    with kit.threads(2):
        each_on_one_thread(lambda t: parallel(lambda a, b: seen.append((a, b)), 100, grain=1), range(4))
        assert seen == [(0, 100)] * 4 and num_threads() == 2


def test_a_part_that_fails_does_not_leave_the_others_waiting() -> None:
    everywhere = torch.arange(50_000, dtype=torch.int32)
    rules = Rules(everywhere.repeat(2), everywhere.repeat(2), (0, 50_000, 100_000), 40_000, 50_000)
    with kit.threads(2), pytest.raises((IndexError, RuntimeError), match="out of"):
        sparse_conv(torch.ones(40_000, 2), torch.ones(2, 2, 2), rules)
