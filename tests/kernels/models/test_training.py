"""Training is repeatable, resumable to the bit, and says so when it goes wrong."""

import numpy as np
import pytest

from convgrad.kernels import models
from convgrad.kernels.datasets import Part
from convgrad.kernels.models.shifts import take_shifted

OPTIMISERS = [models.GradientDescent, models.Momentum, models.Adam]


class Enough(Exception):
    pass


def blobs(count=70):
    """Images with a bright row, which is their class."""
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 3, count)
    images = 0.3 * generator.standard_normal((count, 1, 6, 6), np.float32)
    images[np.arange(count), 0, 2 * classes] += 1
    return Part(images, classes)


def training(optimiser=models.Adam, seed=0):
    model = models.cnn((1, 6, 6), [(4, (3, 3))], [8], 3, dropout=0.1)
    return models.Training(model, optimiser(0.02), batch=16, seed=seed, shifts=1)


def test_learns_and_reports():
    told, one = [], training()
    one.run(blobs(), 20, told.append)
    assert [progress.step for progress in told] == list(range(1, 101))
    assert told[-1][:3] == (20, 100, 100)
    assert np.mean([p.loss for p in told[-5:]]) < np.mean([p.loss for p in told[:5]]) / 2
    assert one.model.accuracy(*blobs()) > 0.9


def test_one_seed_one_result():
    runs = [training(seed=seed) for seed in (0, 0, 1)]
    for one in runs:
        one.run(blobs(), 2)
    assert np.array_equal(runs[0].model.values, runs[1].model.values)
    assert not np.array_equal(runs[0].model.values, runs[2].model.values)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("stop", [3, 5])
def test_resumes_to_the_bit(optimiser, stop, tmp_path):
    whole, broken, resumed = (training(optimiser) for _ in range(3))
    whole.run(blobs(), 3)

    def interrupt(progress):
        if progress.step == stop:
            raise Enough

    with pytest.raises(Enough):
        broken.run(blobs(), 3, interrupt)
    broken.save(tmp_path / "training.safetensors")
    resumed.load(tmp_path / "training.safetensors")
    assert resumed.step == stop
    resumed.run(blobs(), 3)
    assert resumed.step == whole.step == 15
    assert np.array_equal(resumed.model.values, whole.model.values)


def test_a_file_of_another_model_is_refused(tmp_path):
    training().save(tmp_path / "training.safetensors")
    other = models.Training(models.linear(4), models.Adam())
    with pytest.raises(ValueError, match="^path: got 363 parameters of float32, expected 5 of"):
        other.load(tmp_path / "training.safetensors")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_numbers_stop_it_with_a_sentence():
    features = np.random.default_rng(0).standard_normal((20, 4))
    model = models.linear(4)
    one = models.Training(model, models.GradientDescent(1e6), batch=20)
    with pytest.raises(models.Diverged, match=r"^loss: got (inf|nan) at step \d+, expected a fin"):
        one.run(Part(features, features.sum(axis=1)), 100)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_steps_have_to_be_positive(optimiser):
    with pytest.raises(ValueError, match="step: got 0, expected a finite positive number"):
        optimiser(0)


def test_every_example_once_an_epoch():
    seen = []

    class Spy(models.Model):
        def loss_and_gradient(self, inputs, targets, generator=None):
            seen.extend(inputs[:, 0].tolist())
            return super().loss_and_gradient(inputs, targets, generator)

    linear = models.linear(1)
    spy = Spy(linear.layers, linear.loss)
    numbers = np.arange(10.0)
    models.Training(spy, models.Adam(), batch=4).run(Part(numbers[:, np.newaxis], numbers), 2)
    assert sorted(seen[:10]) == sorted(seen[10:]) == numbers.tolist()
    assert seen[:10] != seen[10:]


def test_shifts_move_images_and_fill_with_zeros():
    images = np.arange(1, 25, dtype=np.float32).reshape(2, 1, 3, 4)
    batch = np.empty((3, 1, 3, 4), np.float32)
    shifts = np.array([[1, 0], [0, -2], [0, 0]])
    take_shifted(images, np.array([0, 1, 1]), shifts, batch)
    assert batch[0, 0].tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert batch[1, 0].tolist() == [[15, 16, 0, 0], [19, 20, 0, 0], [23, 24, 0, 0]]
    assert np.array_equal(batch[2], images[1])
