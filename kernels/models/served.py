"""Trained models as kernels of `predict`: what a study wrote into its run folder."""

import json
import os
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from convgrad.kernels.models.files import load
from convgrad.kernels.models.predict import Predict
from convgrad.kernels.operation import Cost
from convgrad.kernels.registry import Kernel, add
from convgrad.kernels.threads import one_blas_thread

VARIABLE = "CONVGRAD_MODELS"
"""Environment variable that names a list of models, for all processes of a run to serve."""


class Served:
    """A model in a file, read when it is called for the first time.

    Parameters
    ----------
    path : path
        As `Model.save` writes it.
    made_by : str
        Hash of all that made the model, part of the identity of what is measured of it.
    """

    def __init__(self, path, made_by=""):
        self.path, self.made_by = path, made_by

    @cached_property
    def model(self):
        """The model as it was saved."""
        return load(self.path)

    @property
    def has_levels(self):
        """Whether inputs of its layers are rounded to levels of 8 bits."""
        return any(array.dtype == np.int8 for array in self.model.layers.stored.values())

    def __call__(self, inputs, scale):
        with one_blas_thread():
            return self.model.layers.forward(inputs) * scale

    def exact(self, inputs):
        """Outputs of the same model in float64."""
        return load(self.path, np.float64).layers.forward(inputs)

    def afresh(self):
        """The same, read anew, with nothing computed yet."""
        other = Served(self.path, self.made_by)
        other.model = load(self.path)
        return other


def serve(path):
    """Register the models of a list as kernels.

    Parameters
    ----------
    path : path
        JSON, a list of objects: ``name``, ``family``, ``file`` beside the list, ``parameters``,
        ``flops`` of one example, ``bytes`` of what is stored, ``made_by``, which may be left out;
        or ``missing``, why there is no file.
    """
    path = Path(path)
    for entry in json.loads(path.read_text(encoding="utf-8")):
        model = Served(path.parent / entry["file"], entry.get("made_by", ""))
        model.__doc__ = f"A trained model: {entry['name']}."
        add(
            Kernel(
                name=entry["name"],
                operation=Predict.name,
                function=model,
                family=entry["family"],
                algorithm=entry["name"],
                serves=partial(_why_not, entry.get("missing")),
                cost=partial(_cost, entry),
                afresh=model.afresh,
            )
        )


def _why_not(reason, *_, **__):
    return reason


def _cost(entry, *, study, shape, classes, batch):
    """The model's own: weights are read once, whatever the batch."""
    elements = batch * (int(np.prod(shape)) + classes)
    flops = batch * entry["flops"]
    return Cost(entry["parameters"], flops, elements, elements, entry["bytes"])


if listed := os.environ.get(VARIABLE):
    serve(listed)
