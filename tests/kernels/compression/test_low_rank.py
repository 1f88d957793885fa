"""Low rank: full rank changes nothing, the nearest matrix of a rank, closed counts."""

import numpy as np
import pytest

from convgrad.kernels import models
from convgrad.kernels.compression import factorise, truncated_svd

IMAGE = (3, 8, 8)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
def test_the_svd_of_full_rank_changes_nothing(shape):
    matrix = np.random.default_rng(0).standard_normal(shape)
    last, first = truncated_svd(matrix, min(shape))
    assert np.allclose(last @ first, matrix)
    assert np.allclose(np.linalg.norm(last, axis=0), np.linalg.norm(first, axis=1))


def test_what_is_lost_is_the_other_singular_values():
    matrix = np.random.default_rng(0).standard_normal((8, 12))
    last, first = truncated_svd(matrix, 3)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert np.linalg.norm(matrix - last @ first) == pytest.approx(np.linalg.norm(singular[3:]))


def low_rank(weights, rank):
    last, first = truncated_svd(weights.reshape(len(weights), -1), rank)
    weights[...] = (last @ first).reshape(weights.shape)


def test_maps_of_such_a_rank_stay_the_same_maps():
    model = models.cnn(IMAGE, [(8, (3, 3)), (12, (3, 3))], [20], 4, dtype=np.float64)
    *maps, last = (a for a in model.layers.arrays.values() if a.ndim > 1)
    for array in maps:
        low_rank(array, round(0.25 * min(len(array), array[0].size)))
    small, report = factorise(model, 0.25)
    inputs = np.random.default_rng(1).standard_normal((5, *IMAGE))
    assert np.allclose(small.predict(inputs), model.predict(inputs))
    factors = 2 * (27 + 8) + 3 * (72 + 12) + 5 * (48 + 20)
    assert small.parameters == factors + last.size + 8 + 12 + 20 + 4 == report.parameters_after
    assert report.bytes_after < report.bytes_before


def test_the_last_map_keeps_its_rank():
    model = models.mlp((30,), [20], 10)
    small, _ = factorise(model, 0.1)
    last = small.layers.arrays["3.weights"]
    np.testing.assert_array_equal(last, model.layers.arrays["3.weights"])


def test_factors_learn():
    small, _ = factorise(models.mlp((30,), [20], 2), 0.3)
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((32, 30), np.float32)
    targets = (inputs[:, 0] > 0).astype(int)
    adam, losses = models.Adam(0.01), []
    for _ in range(30):
        losses.append(small.loss_and_gradient(inputs, targets))
        adam.update(small.values, small.gradient)
    assert losses[-1] < losses[0] / 2


def test_maps_that_would_grow_stay():
    model = models.mlp((6,), [5], 3)
    small, report = factorise(model, 0.9)
    assert np.array_equal(small.values, model.values)
    assert report.bytes_after == report.bytes_before


@pytest.mark.parametrize("share", [0, 1.0, "all"])
def test_bad_shares(share):
    with pytest.raises(ValueError, match=r"^share: got .*, expected a number"):
        factorise(models.mlp((6,), [5], 3), share)
