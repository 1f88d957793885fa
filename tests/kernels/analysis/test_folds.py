"""Folds are parts: every sample is held out once, and never where it is learned from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convgrad.kernels.analysis.folds import forward_folds, shuffled_folds


@given(
    st.integers(2, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n))), st.integers()
)
def test_shuffled_folds_partition_evenly(sizes, seed):
    samples, count = sizes
    folds = shuffled_folds(samples, count, seed=abs(seed))
    assert len(folds) == count
    held_out = np.concatenate([fold.held_out for fold in folds])
    assert sorted(held_out) == list(range(samples))
    assert {len(fold.held_out) for fold in folds} <= {samples // count, -(-samples // count)}
    for train, out in folds:
        assert sorted([*train, *out]) == list(range(samples))


@given(st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=50), st.integers(0, 9))
def test_no_group_is_on_both_sides(groups, seed):
    if len(set(groups)) < 2:
        groups = [*groups, "z"]
    folds = shuffled_folds(len(groups), 2, seed=seed, groups=groups)
    labels = np.array(groups)
    for train, out in folds:
        assert len(out)
        assert not set(labels[train]) & set(labels[out])
    sizes = [len(fold.held_out) for fold in folds]
    assert abs(sizes[0] - sizes[1]) <= max(np.unique(labels, return_counts=True)[1])


@pytest.mark.parametrize("seed", range(5))
def test_large_groups_are_dealt_first(seed):
    folds = shuffled_folds(8, 2, seed=seed, groups=list("aabbcccc"))
    assert [len(fold.held_out) for fold in folds] == [4, 4]


def test_the_seed_alone_decides():
    first, again, other = (
        [fold.held_out.tolist() for fold in shuffled_folds(40, 4, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other


@given(st.integers(2, 9), st.integers(1, 40))
def test_forward_folds_learn_from_the_past(count, more):
    samples = count + more
    folds = forward_folds(samples, count)
    assert len(folds) == count
    for (train, out), after in zip(folds, [*(f.train for f in folds[1:]), np.arange(samples)]):
        assert len(out)
        assert [*train, *out] == list(after) == list(range(len(after)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shuffled_folds(0, 2), "samples: got 0, expected an integer of at least 1"),
        (lambda: shuffled_folds(5, 1), "count: got 1, expected an integer of at least 2"),
        (lambda: shuffled_folds(5, 6), "count: got 6, expected at most 5, the number of samples"),
        (
            lambda: shuffled_folds(3, 3, groups=[1, 1, 2]),
            "count: got 3, expected at most 2, the number of groups",
        ),
        (
            lambda: shuffled_folds(3, 2, groups=[1, 2]),
            "groups: got shape (2,), expected shape (3,), one label a sample",
        ),
        (lambda: forward_folds(3, 3), "samples: got 3, expected an integer of at least 4"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    assert str(caught.value) == message
