"""What is computed: the signature, reference, error bound and cost of an operation."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np


class Arguments(NamedTuple):
    """Validated arguments: ``function(*arrays, **options)`` is a call of any kernel."""

    arrays: tuple
    options: dict

    @property
    def dtype(self):
        return self.arrays[0].dtype


class Cost(NamedTuple):
    """What the definition of an operation needs at one size, whatever the implementation."""

    parameters: int
    """Numbers that training would learn."""
    flops: int
    """Additions and multiplications of the direct algorithm."""
    elements: int
    """Array elements that have to be read or written at least, repeated passes counted."""
    footprint: int
    """Array elements that are alive: decides in which cache level the work takes place."""
    kept_bytes: int = 0
    """Bytes of weights in a type of their own, whatever the dtype of the arrays; read once."""


class Operation(ABC):
    """A signature, a reference in higher precision, an error bound and a cost model.

    A subclass is one operation; its instance is registered under `name`.
    """

    name: str
    odd: str
    """The argument whose sign carries over to the result: ``f(-x) = -f(x)`` exactly."""
    weights: str | None = None
    """The last array, where calls are likely to repeat it with others: what `prepare` keeps."""
    sizes: dict
    """Names of the sizes that make up a case, with their defaults (None: must be given)."""
    named_cases: dict
    """Sizes worth naming, by name."""

    @abstractmethod
    def bind(self, *args, **kwargs):
        """Validate a call and return its `Arguments`; every kernel gives the same messages."""

    def examine(self, result, arguments):
        """Reject arguments of which only the result shows that they are not acceptable."""
        return

    def partner_shape(self, weights, **options):
        """Shape of the least that these weights and options can be called with."""
        raise NotImplementedError(f"{self.name} has no weights to prepare")

    @abstractmethod
    def output_shape(self, *arrays, **options):
        """Shape of the result."""

    @abstractmethod
    def definition(self, *arrays, **options):
        """Compute the result by its definition, in the precision that the arrays have."""

    def reference(self, *arrays, **options):
        """Compute the result in higher precision: float64 for float32, longdouble for float64."""
        wide = higher_precision(arrays[0].dtype)
        return self.definition(*(array.astype(wide) for array in arrays), **options)

    def references(self, algorithms, *arrays, **options):
        """Reference by algorithm of the kernels; the same for all, unless these are models."""
        return dict.fromkeys(algorithms, self.reference(*arrays, **options))

    def magnitude(self, *arrays, **options):
        """Compute the result for absolute values, in float64: what rounding errors scale with."""
        return self.definition(*(np.abs(array).astype(np.float64) for array in arrays), **options)

    @abstractmethod
    def bound(self, algorithm, *arrays, **options):
        """Return the largest admissible absolute error, broadcastable to the result.

        ``algorithm`` is the kernel's: how errors propagate depends on it. The dtype of the
        arrays is the working precision.
        """

    @abstractmethod
    def cost(self, **sizes):
        """Count the operation at these sizes as a `Cost`."""

    @abstractmethod
    def shapes(self, **sizes):
        """Return (shapes of the arrays by name, options) of a call at these sizes."""

    def traits(self, *arrays, **options):
        """Say what the time of a call depends on, for tables of measured times.

        Returns
        -------
        kind : str
            Calls of one kind are predicted from each other.
        point : tuple of float
            Logarithms to base 2 of sizes, perhaps scaled; of near points the times are near.
        """
        sides = [side for array in arrays for side in array.shape]
        sides += [value for value in options.values() if type(value) is int]
        return f"{arrays[0].ndim}-D", tuple(math.log2(max(side, 1)) for side in sides)

    def pattern(self, weights):
        """Say what the time of a call depends on besides `traits`' shapes and options; hashable.

        Parameters
        ----------
        weights : ndarray
            The last array of a call.
        """
        return

    outline_options = {}
    """Options of `outline` that spare `bind` a look at the data."""

    def outline(self, dtype, **sizes):
        """Arguments of the right shapes that take no memory, to ask a kernel whether it serves.

        Sizes that are left out take their defaults.
        """
        shapes, options = self.shapes(**self.sizes | sizes)
        zero = np.zeros((), dtype)
        arrays = (np.broadcast_to(zero, shape) for shape in shapes.values())
        return self.bind(*arrays, **options, **self.outline_options)

    def random_arrays(self, generator, shapes, **sizes):
        """Draw the arrays of a call; standard normal unless an operation knows better."""
        return tuple(generator.standard_normal(shape) for shape in shapes.values())


def higher_precision(dtype):
    """The dtype in which references are computed for results of ``dtype``."""
    return np.dtype(np.float64 if dtype == np.float32 else np.longdouble)


def gamma(terms, dtype):
    """Error constant of ``terms`` roundings, for a result and its reference together.

    ``gamma_n = n u / (1 - n u)`` (Higham, *Accuracy and Stability of Numerical Algorithms*,
    2002, section 3.1); infinite where ``n u >= 1``. The reference has its own roundings, which
    matter where longdouble is no wider than float64, so that its constant is added.
    """

    def constant(unit):
        return terms * unit / (1 - terms * unit) if terms * unit < 1 else math.inf

    return sum(constant(float(np.finfo(d).eps) / 2) for d in (dtype, higher_precision(dtype)))


def error_ratio(output, reference, bound):
    """Largest ``|output - reference| / bound``; above 1 the output is wrong.

    Parameters
    ----------
    output, reference : ndarray
        Same shape. Where the reference is not finite, the output has to equal it.
    bound : ndarray or float
        Admissible absolute error, broadcastable to the reference.

    Returns
    -------
    float
        infinity where a NaN, a wrong infinity or any error against a bound of zero is found.
    """
    return largest(_ratios, output, reference, bound)


def largest(function, *arrays):
    """Largest value of a function of arrays, taken in parts that fit a cache with all they need."""
    flags = ["external_loop", "buffered", "zerosize_ok"]
    parts = np.nditer(arrays, flags, buffersize=1 << 13)
    return max((float(function(*part).max(initial=0)) for part in parts), default=0.0)


def _ratios(output, reference, bound):
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.abs(output - reference)
        exact = (output == reference) | (np.isnan(output) & np.isnan(reference))
        ratio = np.where(exact, 0, error / bound)
    ratio = np.where(np.isfinite(reference) | exact, ratio, np.inf)
    return np.nan_to_num(ratio, nan=np.inf, posinf=np.inf)
