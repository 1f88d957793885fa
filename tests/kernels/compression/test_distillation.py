"""Distillation: gradients against finite differences, limits, and a student that listens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convgrad.kernels import models
from convgrad.kernels.compression import Distillation, distil, with_teacher
from convgrad.kernels.datasets import Part

FEATURES, CLASSES = (6,), 3


def examples(count=40):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((count, *FEATURES), np.float32)
    return Part(inputs, inputs[:, :CLASSES].argmax(axis=1))


def targets(generator, count):
    made = np.empty(count, [("class", np.int64), ("teacher", np.float64, (CLASSES,))])
    made["class"] = generator.integers(0, CLASSES, count)
    made["teacher"] = 3 * generator.standard_normal((count, CLASSES))
    return made


def training(model):
    return models.Training(model, models.Adam(0.02), batch=20)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.5, 20), st.floats(0, 1))
def test_gradient_is_that_of_the_loss(seed, temperature, weight):
    generator = np.random.default_rng(seed)
    outputs, some = generator.standard_normal((4, CLASSES)), targets(generator, 4)
    loss = Distillation(temperature, weight)
    _, gradient = loss(outputs, some)
    for index in np.ndindex(outputs.shape):
        step = np.zeros_like(outputs)
        step[index] = 1e-6
        slope = (loss(outputs + step, some)[0] - loss(outputs - step, some)[0]) / 2e-6
        assert gradient[index] == pytest.approx(slope, abs=1e-6)


def test_without_a_teacher_it_is_the_cross_entropy():
    generator = np.random.default_rng(0)
    outputs, some = generator.standard_normal((4, CLASSES)), targets(generator, 4)
    found, expected = (
        Distillation(3.0, 0.0)(outputs, some),
        models.CrossEntropy()(outputs, some["class"]),
    )
    assert found[0] == pytest.approx(expected[0])
    assert np.allclose(found[1], expected[1])


def test_who_agrees_with_the_teacher_has_nothing_to_learn():
    generator = np.random.default_rng(0)
    some = targets(generator, 4)
    loss, gradient = Distillation(2.0, 1.0)(some["teacher"] + 5, some)
    assert loss == pytest.approx(0, abs=1e-12)
    assert np.allclose(gradient, 0)


def test_targets_hold_the_outputs_of_the_teacher():
    teacher, part = models.mlp(FEATURES, [8], CLASSES), examples()
    soft = with_teacher(teacher, part)
    assert np.array_equal(soft.targets["class"], part.targets)
    assert np.array_equal(soft.targets["teacher"], teacher.predict(part.inputs))


def test_a_student_comes_to_say_what_its_teacher_says():
    part = examples()
    teacher = models.mlp(FEATURES, [30], CLASSES)
    training(teacher).run(part, 20)
    student = models.mlp(FEATURES, [8], CLASSES, seed=1)
    start = student.values.copy()
    taught, report = distil(teacher, student, training, part, 30, weight=1.0)
    assert np.array_equal(student.values, start)
    assert isinstance(taught.loss, models.CrossEntropy)
    agree = taught.predict(part.inputs).argmax(axis=1) == teacher.predict(part.inputs).argmax(1)
    assert agree.mean() > 0.9
    assert report.parameters_before > report.parameters_after == taught.parameters


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature: got 0, expected a finite positive number"),
        ({"weight": 1.5}, "weight: got 1.5, expected a number of at most 1"),
        ({"weight": -1}, "weight: got -1, expected a finite non-negative number"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Distillation(**options)


def test_teacher_and_student_have_the_same_classes():
    teacher, student = models.mlp(FEATURES, [], 4), models.mlp(FEATURES, [], 3)
    with pytest.raises(ValueError, match=r"^student: got outputs of shape \(3,\), expected \(4,\)"):
        distil(teacher, student, training, examples(), 1)
