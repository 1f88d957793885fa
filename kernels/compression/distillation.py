"""Distillation: a small model learns the probabilities of a large one, not the classes alone."""

import numpy as np

from convgrad.kernels.compression.rebuild import report, with_layers
from convgrad.kernels.datasets import Part
from convgrad.kernels.layers.description import Described
from convgrad.kernels.models import CrossEntropy
from convgrad.kernels.validation import number, reject


class Distillation(Described):
    """``(1 - weight) CrossEntropy + weight T^2 KL(p || q)`` (Hinton, Vinyals and Dean, 2015).

    p and q are the probabilities of teacher and student, their outputs divided by the
    temperature T; its square keeps gradients as large as those of the classes. The divergence is
    the cross-entropy of both less the teacher's own, which is constant.

    Parameters
    ----------
    temperature : float
    weight : float
        Of the teacher, in 0..1.
    """

    def __init__(self, temperature=4.0, weight=0.7):
        self.temperature = number("temperature", temperature, positive=True)
        self.weight = number("weight", weight)
        if self.weight > 1:
            reject("weight", repr(weight), "a number of at most 1")
        self._classes = CrossEntropy()

    @property
    def arguments(self):
        return {"temperature": self.temperature, "weight": self.weight}

    def __call__(self, outputs, targets):
        """Compute the loss.

        Parameters
        ----------
        outputs : ndarray, shape (batch, classes)
        targets : ndarray, shape (batch,)
            Fields ``class`` and ``teacher``, as `with_teacher` makes them.

        Returns
        -------
        float
            In the mean over the batch.
        ndarray, shape (batch, classes)
            Its gradient with respect to the outputs.
        """
        loss, gradient = self._classes(outputs, targets["class"])
        teacher = _log_probabilities(targets["teacher"] / self.temperature)
        student = _log_probabilities(outputs / outputs.dtype.type(self.temperature))
        likely = np.exp(teacher)
        divergence = float((likely * (teacher - student)).sum()) / len(outputs)
        slope = self.temperature / len(outputs) * (np.exp(student) - likely)
        loss = (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence
        gradient = (1 - self.weight) * gradient + self.weight * slope
        return loss, gradient.astype(outputs.dtype)


def with_teacher(teacher, part):
    """Examples whose targets hold the outputs of a teacher beside the class.

    Parameters
    ----------
    teacher : Model
    part : Part

    Returns
    -------
    Part
        Outputs are those for inputs as they are, also where training moves them.
    """
    outputs = teacher.predict(part.inputs)
    fields = [("class", np.int64), ("teacher", outputs.dtype, outputs.shape[1:])]
    targets = np.empty(len(outputs), fields)
    targets["class"], targets["teacher"] = part.targets, outputs
    return Part(part.inputs, targets)


def distil(teacher, student, training, part, epochs, *, temperature=4.0, weight=0.7):
    """Train a small model with a large one as its teacher.

    Parameters
    ----------
    teacher : Model
        Of as many outputs as the student.
    student : Model
        Trained already or not; stays as it is.
    training : callable
        ``training(model)`` returns a `Training`.
    part : Part
        To learn from.
    epochs : int
    temperature, weight : float
        As of `Distillation`.

    Returns
    -------
    Model
        The student, trained, with its own loss.
    Report
        Compares it with the teacher.
    """
    if teacher.layers.output_shape != student.layers.output_shape:
        expected = f"{teacher.layers.output_shape}, the teacher's"
        reject("student", f"outputs of shape {student.layers.output_shape}", expected)
    pupil = with_layers(student, lambda leaf: leaf)
    loss = pupil.loss
    pupil.loss = Distillation(temperature, weight)
    training(pupil).run(with_teacher(teacher, part), epochs)
    pupil.loss = loss
    return pupil, report(f"distillation at temperature {temperature:g}", teacher, pupil)


def _log_probabilities(outputs):
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
