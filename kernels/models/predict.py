"""Outputs of a trained model: what a study times, each of its models being a kernel."""

import numpy as np

from convgrad.kernels.operation import Arguments, Cost, Operation
from convgrad.kernels.registry import get, register_operation
from convgrad.kernels.validation import arrays, rank, reject

AGREEMENT = 1e-4
"""Of the largest output: what a float32 model may be off by; others follow with their epsilon."""
LEVELS_AGREEMENT = 2e-2
"""The same where inputs of layers become levels of 8 bits: rounding may decide for the next."""


@register_operation
class Predict(Operation):
    """Outputs of a trained model for held-out inputs, each multiplied by a scale.

    Kernels of it are not implementations of one function: each is a model, and what is right is
    what the same model gives in float64. They have no part in the registry until a study has
    trained them (`convgrad.kernels.models.served`).
    """

    name = "predict"
    odd = "scale"
    sizes = {"study": "", "shape": (1, 28, 28), "classes": 10, "batch": 1}
    named_cases = {"tiny": {}}

    def bind(self, inputs, scale):
        """Validate a call.

        Parameters
        ----------
        inputs : array_like, shape (batch, *shape)
        scale : array_like, shape (classes,)
            What each output is multiplied by: one over the temperature of a softmax, say.

        Returns
        -------
        Arguments
            (inputs, scale), {}; the result has shape (batch, classes).
        """
        inputs, scale = arrays(inputs=inputs, scale=scale)
        rank("scale", scale, 1)
        if inputs.ndim < 2 or inputs.size == 0:
            reject("inputs", f"shape {inputs.shape}", "(batch, ...), none of them 0")
        return Arguments((inputs, scale), {})

    def output_shape(self, inputs, scale):
        return len(inputs), len(scale)

    def definition(self, inputs, scale):
        raise NotImplementedError("predict: what is right depends on the model; see references")

    def references(self, algorithms, inputs, scale):
        return {name: _outputs(name, inputs) * scale for name in algorithms}

    def bound(self, algorithm, inputs, scale):
        share = LEVELS_AGREEMENT if get("predict", algorithm).function.has_levels else AGREEMENT
        share *= float(np.finfo(inputs.dtype).eps / np.finfo(np.float32).eps)
        return share * np.abs(_outputs(algorithm, inputs)).max() * np.abs(scale)

    def cost(self, *, study, shape, classes, batch):
        """Those of a linear model; the models say their own."""
        features = int(np.prod(shape))
        elements = batch * (features + classes)
        weights = features * classes
        return Cost(weights, 2 * batch * weights, elements + weights, elements + weights)

    def shapes(self, *, study, shape, classes, batch):
        return {"inputs": (batch, *shape), "scale": (classes,)}, {}


def _outputs(name, inputs):
    return get("predict", name).function.exact(inputs.astype(np.float64))
