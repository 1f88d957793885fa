"""Pruning: shares of zeros, masks that survive, models rebuilt smaller, files that shrink."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad.kernels import models
from convgrad.kernels.compression import chain, prune, prune_gradually, quantise, remove_filters
from convgrad.kernels.datasets import Part

IMAGE, CLASSES = (2, 8, 8), 3
STAGES = [(6, (3, 3)), (4, (3, 2))]


def cnn(**options):
    return models.cnn(IMAGE, STAGES, [10], CLASSES, dropout=0.2, **options)


def examples(count=40):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((count, *IMAGE), np.float32)
    return Part(inputs, generator.integers(0, CLASSES, count))


def weights(model):
    arrays = model.layers.arrays.items()
    return np.concatenate([a.ravel() for name, a in arrays if not name.endswith("bias")])


def train(model, epochs=3, optimiser=None):
    optimiser = optimiser or models.Adam(0.01)
    models.Training(model, optimiser, batch=16).run(examples(), epochs)
    return model


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.99), st.integers(0, 100))
def test_the_share_of_zeros_is_exact_and_the_smallest_go(share, seed):
    model = cnn(seed=seed)
    before = weights(model)
    small, report = prune(model, share)
    after = weights(small)
    zeros = round(share * before.size)
    assert np.count_nonzero(after == 0) == zeros
    assert np.array_equal(after[after != 0], before[after != 0])
    assert abs(before[after == 0]).max(initial=0) <= abs(before[after != 0]).min()
    assert report.parameters_before - report.parameters_after == zeros
    assert np.array_equal(weights(model), before)


@pytest.mark.parametrize("optimiser", [models.GradientDescent, models.Momentum, models.Adam])
def test_masks_survive_fine_tuning(optimiser):
    small, _ = prune(train(cnn()), 0.8)
    zeros = weights(small) == 0
    before = small.values.copy()
    train(small, optimiser=optimiser(0.02))
    assert np.array_equal(weights(small) == 0, zeros)
    assert np.count_nonzero(small.values != before) > 0.1 * before.size


def test_masks_survive_the_memory_of_an_optimiser():
    optimiser, model = models.Momentum(0.01), cnn()
    train(model, optimiser=optimiser)
    small, _ = prune(model, 0.8)
    zeros = weights(small) == 0
    train(small, optimiser=optimiser)
    small.predict(examples().inputs)
    assert not weights(small)[zeros].any()


def test_pruning_twice_is_pruning_more():
    model = cnn()
    small, reports = chain(model, partial(prune, share=0.5), partial(prune, share=0.75))
    assert np.array_equal(small.values, prune(model, 0.75)[0].values)
    assert reports[0].parameters_after == reports[1].parameters_before


def test_gradual_pruning_ends_at_its_share_and_gets_there_by_degrees():
    counts = []

    class Counting(models.Training):
        def run(self, part, epochs, report=None):
            def counted(progress):
                report(progress)
                counts.append(np.count_nonzero(weights(self.model) == 0))

            super().run(part, epochs, counted)

    def training(model):
        return Counting(model, models.Adam(0.01), batch=4)

    model = cnn()
    small, report = prune_gradually(model, 0.8, training, examples(), 6)
    total = weights(model).size
    assert np.count_nonzero(weights(small) == 0) == round(0.8 * total)
    assert report.parameters_before - report.parameters_after == round(0.8 * total)
    assert len(counts) == 60
    # Every second step of the first half prunes; between two, momentum moves what is masked.
    assert 0 < counts[3] < counts[11] < counts[29] == round(0.8 * total)


def silence(model, share):
    """Set to zero what `remove_filters` has to remove: filters, neurons, and their biases."""
    layers = model.layers.layers
    maps = [i for i, layer in enumerate(layers) if set(layer.arrays) & {"filters", "weights"}]
    for at in maps[:-1]:
        (array,) = layers[at].arrays.values()
        gone = np.random.default_rng(at).permutation(len(array))[: round(share * len(array))]
        bias = next(layer for layer in layers[at:] if "bias" in layer.arrays)
        array[gone] = bias.arrays["bias"][gone] = 0


@pytest.mark.parametrize("make", [cnn, lambda: models.mlp(IMAGE, [9, 6], CLASSES)])
@pytest.mark.parametrize("share", [0.0, 0.34, 0.6])
def test_removing_filters_that_are_zero_changes_nothing(make, share):
    model = train(make(), 1)
    silence(model, share)
    small, _ = remove_filters(model, share)
    inputs = examples().inputs
    assert np.allclose(small.predict(inputs), model.predict(inputs), atol=1e-5)
    assert (small.parameters < model.parameters) == (share > 0)


def test_removing_filters_rebuilds_by_the_closed_formula_and_trains_on():
    small, report = remove_filters(cnn(), 0.5)
    expected = models.cnn(IMAGE, [(3, (3, 3)), (2, (3, 2))], [5], CLASSES).parameters
    assert small.parameters == expected
    assert report.bytes_after < report.bytes_before
    before = small.loss_and_gradient(*examples())
    train(small, 10)
    assert small.loss_and_gradient(*examples()) < before


def test_removing_filters_keeps_the_largest_norms():
    model = models.mlp((4,), [3], 2)
    model.layers.arrays["0.weights"][...] = np.array([[1], [-3], [2]]) * np.ones((3, 4))
    small, _ = remove_filters(model, 1 / 3)
    assert small.layers.arrays["0.weights"][:, 0].tolist() == [-3, 2]


def test_removing_filters_of_models_joined():
    model = models.joined(IMAGE, STAGES, CLASSES)
    small, _ = remove_filters(model, 0.5)
    expected = models.joined(IMAGE, [(3, (3, 3)), (2, (3, 2))], CLASSES).parameters
    assert small.parameters == expected
    assert small.predict(examples().inputs).shape == (40, CLASSES)


def test_files_hold_what_is_not_zero(tmp_path):
    model = models.mlp((400,), [100], 10)
    small, report = prune(model, 0.9)
    sizes = [one.save(tmp_path / f"{i}.safetensors") for i, one in enumerate((model, small))]
    assert [report.bytes_before, report.bytes_after] == sizes
    assert sizes[1] == (tmp_path / "1.safetensors").stat().st_size < 0.17 * sizes[0]
    other = models.mlp((400,), [100], 10, seed=1)
    other.load(tmp_path / "1.safetensors")
    assert np.array_equal(other.values, small.values)
    with pytest.raises(ValueError, match="^path: got a file with .*, expected .*"):
        models.mlp((399,), [100], 10).load(tmp_path / "1.safetensors")


def test_what_has_no_floats_is_not_pruned():
    small, _ = quantise(models.mlp(IMAGE, [5], CLASSES), examples().inputs)
    with pytest.raises(TypeError, match="^model: got one without weights in floats, expected some"):
        prune(small, 0.5)


@pytest.mark.parametrize("way", [prune, remove_filters])
@pytest.mark.parametrize("share", [-0.1, 1.0, "half", True, float("nan")])
def test_bad_shares(way, share):
    with pytest.raises(ValueError, match=r"^share: got .*, expected a number of at least 0, and"):
        way(cnn(), share)
