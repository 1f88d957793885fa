"""Training: batch after batch, repeatable, and resumable to the bit."""

import json
from typing import NamedTuple

import numpy as np

from convgrad.kernels.models.shifts import take_shifted
from convgrad.kernels.threads import one_blas_thread
from convgrad.kernels.validation import integer, reject


class Diverged(ArithmeticError):
    """The loss is no number any more; the message says what to do."""


class Progress(NamedTuple):
    """Where a training is after a step."""

    epoch: int
    """Epochs that are complete."""
    step: int
    """Batches so far."""
    steps: int
    """Batches in all, at the end of the run."""
    loss: float
    """Of the last batch, before the step, penalties included."""


class Training:
    """A model, an optimiser, and the order in which examples come.

    Parameters
    ----------
    model : Model
    optimiser : GradientDescent, Momentum or Adam
    batch : int
        Examples in a step; the last of an epoch may have fewer.
    seed : int
        Of the order of examples, shifts and dropout: one seed, one result.
    shifts : int
        Pixels by which each image is moved at most, anew in every epoch.
    """

    def __init__(self, model, optimiser, *, batch=64, seed=0, shifts=0):
        self.model, self.optimiser = model, optimiser
        self.batch = integer("batch", batch, at_least=1)
        self.shifts = integer("shifts", shifts, at_least=0)
        self.epoch = self.step = self._at = 0
        self._order = np.empty(0, np.int64)
        self._generator = np.random.default_rng(seed)
        self._room = np.empty(0)

    def run(self, part, epochs, report=None):
        """Train until so many epochs are complete, those of before included.

        Parameters
        ----------
        part : Part
            Inputs (count, *input_shape) and targets (count,).
        epochs : int
        report : callable, optional
            Called with a `Progress` after every step. What it raises ends the run, which another
            one takes up at the next batch.

        Raises
        ------
        Diverged
            When the loss is not finite.
        """
        inputs = np.asarray(part.inputs, self.model.values.dtype, order="C")
        targets = np.asarray(part.targets)
        each = -(-len(inputs) // self.batch)
        with one_blas_thread():
            while self.epoch < epochs:
                loss = self._step(inputs, targets)
                if report:
                    report(Progress(self.epoch, self.step, epochs * each, loss))

    def _step(self, inputs, targets):
        """Learn from the next batch, and return its loss."""
        if self._at == 0:
            self._order = self._generator.permutation(len(inputs))
        rows = self._order[self._at : self._at + self.batch]
        batch = self._take(inputs, rows)
        loss = self.model.loss_and_gradient(batch, targets[rows], self._generator)
        if not np.isfinite(loss):
            raise Diverged(
                f"loss: got {loss} at step {self.step + 1}, expected a finite number; try a "
                f"smaller step than {self.optimiser.step}"
            )
        self.optimiser.update(self.model.values, self.model.gradient)
        self.step += 1
        self._at += len(rows)
        if self._at == len(inputs):
            self.epoch, self._at = self.epoch + 1, 0
        return loss

    def _take(self, inputs, rows):
        """Inputs of a batch, in memory that is kept."""
        if len(self._room) < len(rows):
            self._room = np.empty((self.batch, *inputs.shape[1:]), inputs.dtype)
        batch = self._room[: len(rows)]
        if not self.shifts:
            return np.take(inputs, rows, axis=0, out=batch, mode="clip")
        most = self.shifts
        shifts = self._generator.integers(-most, most, (len(rows), 2), endpoint=True)
        take_shifted(inputs, rows, shifts, batch)
        return batch

    def save(self, path):
        """Write all that `load` needs to go on to the bit, as a safetensors file."""
        from safetensors.numpy import save_file

        arrays = {"values": self.model.values, "order": self._order, **self.optimiser.memory}
        numbers = {
            "epoch": self.epoch,
            "step": self.step,
            "at": self._at,
            "updates": self.optimiser.updates,
            "generator": self._generator.bit_generator.state,
        }
        save_file(arrays, path, {"training": json.dumps(numbers)})

    def load(self, path):
        """Take up a training that was saved, of the same model, optimiser and data.

        Raises
        ------
        ValueError
            If the file is that of another model.
        """
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            numbers = json.loads(file.metadata()["training"])
        values, self._order = arrays.pop("values"), arrays.pop("order")
        if values.shape != self.model.values.shape or values.dtype != self.model.values.dtype:
            expected = f"{self.model.parameters} of {self.model.values.dtype}"
            reject("path", f"{values.size} parameters of {values.dtype}", expected)
        self.model.values[...] = values
        self.optimiser.memory, self.optimiser.updates = arrays, numbers["updates"]
        self.epoch, self.step, self._at = (numbers[name] for name in ("epoch", "step", "at"))
        self._generator.bit_generator.state = numbers["generator"]
