"""What every layer is: arrays of parameters, a forward and a backward pass, a file."""

from abc import ABC, abstractmethod

import numpy as np

from convgrad.kernels.layers.description import Described
from convgrad.kernels.layers.files import encode, read
from convgrad.kernels.validation import reject


class Layer(Described, ABC):
    """A differentiable map of arrays, (batch, ...) to (batch, ...).

    Results of `forward` and `backward` lie in memory that the next call of the same layer writes
    over: a step of training then allocates nothing.

    Parameters
    ----------
    input_shape, output_shape : tuple of int
        (channels, height, width) or (features,), without the batch.
    arrays : dict of str to ndarray, optional
        The parameters by name, all of one dtype.
    flops : int
        Additions and multiplications that the map of one example takes by its definition.
    """

    def __init__(self, input_shape, output_shape, arrays=None, flops=0):
        self.input_shape, self.output_shape = tuple(input_shape), tuple(output_shape)
        self.arrays = arrays or {}
        # Unlike `zeros_like`, it takes no memory until somebody trains.
        self.gradients = {name: np.zeros(a.shape, a.dtype) for name, a in self.arrays.items()}
        self.flops = flops
        self._rooms = {}

    @abstractmethod
    def forward(self, inputs, generator=None):
        """Map a batch.

        Parameters
        ----------
        inputs : ndarray, shape (batch, *input_shape)
            Of the parameters' dtype, C-contiguous; not changed, and kept for `backward`.
        generator : numpy.random.Generator, optional
            Draws what training draws; None where nothing is trained.

        Returns
        -------
        ndarray, shape (batch, *output_shape)
        """

    @abstractmethod
    def backward(self, output_gradient, to_inputs=True):
        """Set `gradients` from the gradient with respect to the last outputs, and hand it back.

        Parameters
        ----------
        output_gradient : ndarray, shape (batch, *output_shape)
        to_inputs : bool
            Whether the gradient with respect to the inputs is wanted: a first layer's is not.

        Returns
        -------
        ndarray, shape (batch, *input_shape), or None
        """

    @property
    def parameters(self):
        """Numbers that training learns."""
        return sum(array.size for array in self.arrays.values())

    @property
    def stored(self):
        """What a file holds, by name: the parameters, or what a layer keeps in place of them."""
        return self.arrays

    @property
    def bytes(self):
        """Bytes of what is stored, in memory."""
        return sum(array.nbytes for array in self.stored.values())

    @property
    def stored_parameters(self):
        """Numbers that are stored, without weights that are zero."""
        arrays = self.stored.values()
        return sum(int(np.count_nonzero(a)) if a.ndim > 1 else a.size for a in arrays)

    def save(self, path):
        """Write a safetensors file, and return its size in bytes; see `files.encode`."""
        with open(path, "wb") as file:
            return file.write(encode(self.stored))

    def load(self, path):
        """Read what a layer of the same shapes has saved.

        Raises
        ------
        ValueError
            If the file holds other arrays.
        """
        self.restore(read(path)[0])

    def restore(self, found):
        """Take arrays that were stored, as `load` does."""
        stored = self.stored
        expected = {name: (array.shape, str(array.dtype)) for name, array in stored.items()}
        given = {name: (array.shape, str(array.dtype)) for name, array in found.items()}
        if given != expected:
            reject("path", f"a file with {_outline(given)}", _outline(expected))
        for name, array in stored.items():
            array[...] = found[name]
        for leaf in self.leaves():
            leaf.renew()

    def renew(self):  # noqa: B027
        """Follow what was loaded, where something is made of it; most layers need not."""

    def leaves(self):
        """Layers that hold arrays of their own, in order; this one, where it is not made of any."""
        return [self]

    def keep_in(self, values, gradients):
        """Move all parameters into one vector and their gradients into another.

        Arrays become views, so that an optimiser has one array to deal with.

        Parameters
        ----------
        values, gradients : ndarray, shape (parameters,)
        """
        at = 0
        for layer in self.leaves():
            for name, array in layer.arrays.items():
                part = slice(at, at + array.size)
                values[part] = array.ravel()
                layer.arrays[name] = values[part].reshape(array.shape)
                layer.gradients[name] = gradients[part].reshape(array.shape)
                at = part.stop

    def room(self, purpose, shape, dtype):
        """Memory that this layer keeps for a purpose, of other content at every call."""
        room = self._rooms.get(purpose)
        if room is None or room.shape != shape or room.dtype != dtype:
            room = self._rooms[purpose] = np.empty(shape, dtype)
        return room


def draw(generator, shape, inputs, dtype):
    """Start weights of a layer: normal, of variance ``2 / inputs`` (He, Zhang, Ren and Sun, 2015).

    Parameters
    ----------
    generator : numpy.random.Generator or None
        None for zeros, where weights are set later.
    shape : tuple of int
    inputs : int
        Products that one output sums.
    dtype : dtype
    """
    if generator is None:
        return np.zeros(shape, dtype)
    return (generator.standard_normal(shape) * np.sqrt(2 / inputs)).astype(dtype)


def _outline(arrays):
    return ", ".join(f"{name} {shape} {dtype}" for name, (shape, dtype) in sorted(arrays.items()))
