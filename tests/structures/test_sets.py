"""Sets in compressed rows behave like lists of sets."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gestalt3d.structures.sets import Sets

members = st.lists(st.sets(st.integers(0, 9)).map(sorted), max_size=6)


def made(rows: list[list[int]], size: int = 10) -> Sets:
    return Sets.of([torch.tensor(row, dtype=torch.int64) for row in rows], size)


def listed(sets: Sets) -> list[list[int]]:
    return [own.tolist() for own in sets]


@given(members)
def test_sets_are_what_went_in(rows: list[list[int]]) -> None:
    sets = made(rows)
    assert listed(sets) == rows and len(sets) == len(rows) and sets.sizes.tolist() == [len(r) for r in rows]
    assert [sets[i].tolist() for i in range(len(rows))] == rows
    assert sets.owners.tolist() == [i for i, row in enumerate(rows) for _ in row]
    assert [sets.dense(i).nonzero().flatten().tolist() for i in range(len(rows))] == rows


@given(members, st.data())
def test_taking_and_joining_are_those_of_lists(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5)) if rows else []
    assert listed(made(rows).take(torch.tensor(chosen, dtype=torch.int64))) == [rows[i] for i in chosen]
    assert Sets.cat([made(rows), made(rows[:1])]) == made(rows + rows[:1])


@given(members, st.integers(1, 12))
def test_pieces_are_consecutive_and_not_larger_than_asked(rows: list[list[int]], most: int) -> None:
    pieces = list(made(rows).pieces(most))
    assert [own for piece in pieces for own in listed(piece)] == rows
    assert all(len(piece.indices) <= most or len(piece) == 1 for piece in pieces) and pieces


@given(st.lists(st.integers(-1, 4), max_size=12))
def test_labels_become_sets_and_labels_again(labels: list[int]) -> None:
    given_labels = torch.tensor(labels, dtype=torch.int64)
    sets = Sets.from_labels(given_labels, 5)
    assert len(sets) == 5 and sets.to_labels(torch.ones(5)).tolist() == labels
    without_empty = Sets.from_labels(given_labels)
    assert listed(without_empty) == [own for own in listed(sets) if own]


def test_the_best_set_has_an_element_and_the_first_of_equals() -> None:
    sets = made([[0, 1], [1, 2], [2, 3]], size=5)
    assert sets.to_labels(torch.tensor([0.2, 0.9, 0.9])).tolist() == [0, 1, 1, 2, -1]


@given(members, st.permutations(range(10)), st.integers(0, 10))
def test_sets_among_some_elements(rows: list[list[int]], order: list[int], count: int) -> None:
    chosen = order[:count]
    found = made(rows).restricted(torch.tensor(chosen, dtype=torch.int64))
    assert found.size == count
    assert listed(found) == [sorted(chosen.index(e) for e in row if e in chosen) for row in rows]


def test_an_element_of_two_sets_is_an_overlap() -> None:
    assert made([[0, 1], [1]]).overlap and not made([[0, 1], [2], []]).overlap and not made([]).overlap


def test_elements_can_be_part_of_more() -> None:
    sets = made([[0, 2], [1]], size=3).within(torch.tensor([1, 4, 6]), 8)
    assert listed(sets) == [[1, 6], [4]] and sets.size == 8


@pytest.mark.parametrize(
    ("offsets", "indices", "words"),
    [
        ([0, 2], [0], "offsets must rise from 0 to 1"),
        ([], [], "offsets must rise"),
        ([0, 2, 1], [0], "offsets must rise"),
        ([1, 1], [0], "offsets must rise"),
        ([0, 1], [3], r"indices must lie in \[0, 3\)"),
        ([0, 1], [-1], "indices must lie in"),
    ],
)
def test_what_is_no_sets_is_refused(offsets: list[int], indices: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sets(torch.tensor(offsets, dtype=torch.int64), torch.tensor(indices, dtype=torch.int64), 3)


def test_sets_of_other_elements_and_numbers_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sets of \[10, 3\] elements cannot be joined"):
        Sets.cat([made([[0]]), made([[0]], size=3)])
    with pytest.raises(IndexError, match="there is no 1: there are 1 sets"):
        made([[0]])[1]
    with pytest.raises(ValueError, match="label 2 is none of 2"):
        Sets.from_labels(torch.tensor([0, 2]), 2)
    assert repr(made([[0], []])) == "2 sets of 10 elements"


def test_what_other_sets_have_is_taken_from_sets_of_the_same_number() -> None:
    one = Sets.from_sizes(torch.tensor([3, 0, 2]), torch.tensor([0, 2, 4, 1, 2]), 5)
    other = Sets.from_sizes(torch.tensor([1, 2, 2]), torch.tensor([2, 0, 1, 0, 1]), 5)
    assert [mask.tolist() for mask in one.without(other)] == [[0, 4], [], [2]]
    with pytest.raises(ValueError, match="cannot be taken"):
        one.without(Sets.empty(5))


def test_who_holds_an_element() -> None:
    """Each place with every set that has its element; elements that none has are in no pair."""
    place, owner = made([[1, 2], [], [2, 5]]).holding(torch.tensor([2, 9, 5, 2, 0]))
    assert [*zip(place.tolist(), owner.tolist(), strict=True)] == [(0, 0), (0, 2), (2, 2), (3, 0), (3, 2)]
