"""An operation at one size and dtype: what suites sweep over."""

from dataclasses import dataclass

import numpy as np

from convgrad.kernels import data as real_data
from convgrad.kernels.registry import operation as find_operation
from convgrad.kernels.validation import choice, reject


@dataclass(frozen=True)
class Case:
    """An operation at one size and dtype; immutable, hashable, and able to make its inputs."""

    operation: str
    dtype: str
    data: str
    sizes: tuple

    @classmethod
    def of(cls, operation, dtype="float32", data="random", **sizes):
        """Make a case from sizes by name; those left out take the operation's defaults.

        Parameters
        ----------
        operation : str
        dtype : {"float32", "float64"}
        data : str
            "random", or the name of a real input (`convgrad.kernels.data`).
        **sizes : int, str or tuple of int
            As `Operation.sizes` names them.

        Raises
        ------
        ValueError
            For an unknown dtype, data set or size, and for a size that is missing.
        """
        definition = find_operation(operation)
        choice("dtype", dtype, ("float32", "float64"))
        choice("data", data, ("random", *real_data.names(operation)))
        for name in sizes:
            choice("size", name, tuple(definition.sizes))
        full = {
            name: _freeze(sizes.get(name, default)) for name, default in definition.sizes.items()
        }
        for name, value in full.items():
            if value is None:
                reject(name, value, f"a size for every case of {operation}")
        return cls(operation, dtype, data, tuple(full.items()))

    @property
    def definition(self):
        """The `Operation` itself."""
        return find_operation(self.operation)

    @property
    def label(self):
        """Text that tells the case from all others of its operation: ``signal=512x512,...``."""
        shown = [
            f"{name}={size_text(value)}"
            for name, value in self.sizes
            if value != _freeze(self.definition.sizes[name])
        ]
        return ",".join([*([] if self.data == "random" else [self.data]), *shown, self.dtype])

    @property
    def cost(self):
        return self.definition.cost(**dict(self.sizes))

    @property
    def parameters(self):
        return self.cost.parameters

    @property
    def flops(self):
        return self.cost.flops

    @property
    def bytes(self):
        return self.cost.elements * np.dtype(self.dtype).itemsize + self.cost.kept_bytes

    def outline(self):
        """Arguments of the right shapes that take no memory, to ask a kernel whether it serves."""
        return self.definition.outline(self.dtype, **dict(self.sizes))

    def inputs(self, seed=0):
        """Make validated arguments, the same for the same seed.

        Raises
        ------
        convgrad.kernels.data.Missing
            If the case is about real data whose package is not installed.
        """
        sizes = dict(self.sizes)
        shapes, options = self.definition.shapes(**sizes)
        if self.data == "random":
            made = self.definition.random_arrays(np.random.default_rng(seed), shapes, **sizes)
        else:
            made = real_data.load(self.operation, self.data, shapes, options)
        return self.definition.bind(*(np.asarray(a, self.dtype) for a in made), **options)


def size_text(value):
    """Text of a size in labels and tables: ``(512, 512)`` is ``512x512``."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _freeze(value):
    return tuple(value) if isinstance(value, list) else value
