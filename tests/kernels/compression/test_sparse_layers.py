"""Layers without their zeros: they compute the same, and are small in file and in memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad.kernels import models
from convgrad.kernels.compression import Int8, Sparse, chain, compact, prune, quantise
from convgrad.kernels.layers import Dense

IMAGE, CLASSES = (2, 8, 8), 3


def inputs(count):
    return np.random.default_rng(0).standard_normal((count, *IMAGE), np.float32)


def pruned(share=0.9, seed=0):
    return prune(models.cnn(IMAGE, [(6, (3, 3))], [200], CLASSES, seed=seed), share)[0]


@settings(max_examples=20, deadline=None)
@given(
    st.floats(0, 1),
    st.integers(0, 100),
    st.integers(1, 300),
    st.sampled_from([np.float32, np.float64]),
)
def test_it_computes_what_its_twin_does(zeros, seed, features, dtype):
    generator = np.random.default_rng(seed)
    twin = Dense((features,), (5,), generator, dtype)
    twin.arrays["weights"] *= generator.random((5, features)) >= zeros
    sparse = Sparse.of(twin)
    assert sparse.stored_parameters == np.count_nonzero(twin.arrays["weights"])
    assert sparse.flops == 2 * sparse.stored_parameters
    assert np.array_equal(sparse.weights().toarray(), twin.arrays["weights"])
    for batch in (1, 9, 1):
        some = generator.standard_normal((batch, features)).astype(dtype)
        assert np.allclose(sparse.forward(some), twin.forward(some), atol=1e-5)


def test_a_model_without_its_zeros():
    model = pruned()
    small, report = compact(model)
    assert np.allclose(small.predict(inputs(30)), model.predict(inputs(30)), atol=1e-5)
    assert small.bytes < 0.25 * model.bytes
    assert small.flops < model.flops
    assert report.parameters_after == report.parameters_before == model.stored_parameters
    assert report.bytes_after == pytest.approx(report.bytes_before, rel=0.05)
    kinds = [type(leaf).__name__ for leaf in small.layers.leaves()]
    assert (kinds.count("Sparse"), kinds.count("Pruned")) == (2, 1)  # The convolution stays.
    assert "Dense" not in kinds


def test_layers_with_few_zeros_stay_as_they_are():
    model = pruned(share=0.1)
    small, _ = compact(model)
    assert not any(isinstance(leaf, Sparse) for leaf in small.layers.leaves())
    assert np.array_equal(small.predict(inputs(5)), model.predict(inputs(5)))


def test_weights_are_prepared_once(monkeypatch):
    small, _ = compact(pruned())
    (layer,) = [leaf for leaf in small.layers.leaves() if getattr(leaf, "_shape", (0,))[0] == 200]
    made = []
    weights = layer.weights
    monkeypatch.setattr(layer, "weights", lambda: made.append(1) or weights())
    for _ in range(3):
        small.predict(inputs(2))
    assert len(made) == 1


def test_one_kernel_for_whatever_batches_choose_it():
    sparse = Sparse.of(Dense((64,), (50,), np.random.default_rng(0)))
    for batch in (1, 2, 3):
        sparse.forward(np.ones((batch, 64), np.float32))
    assert len(sparse._calls) == 3
    assert len(sparse._forms) == len({id(call) for call in sparse._calls.values()})


def test_what_is_sparse_infers_only_and_is_not_quantised():
    small, _ = chain(pruned(), compact, lambda model: quantise(model, inputs(9)))
    kinds = {type(leaf) for leaf in small.layers.leaves()}
    assert {Sparse, Int8} <= kinds  # The convolution is.
    with pytest.raises(TypeError, match=r"^layer: got \w+, which infers only, expected floats"):
        small.loss_and_gradient(inputs(2), np.zeros(2, int))
