"""A kernel whose weights stay the same: packed or transformed once, then called with the rest."""

import numpy as np

from convgrad.kernels.validation import arrays

_KEPT = 8
"""Forms of the weights that are kept: one for each dtype, and for what an option resolves to."""
_KNOWN = 256
"""Shapes that need no validation any more."""


class Prepared:
    """A kernel, its weights and its options, to be called with the other array.

    `Kernel.prepare` makes it. Weights and options are validated there, as far as they can be
    without the other array; every call is held to the same as a plain call, with the same
    messages. A shape that was validated before is not validated again.
    """

    def __init__(self, kernel, definition, weights, options, own):
        (given,) = arrays(**{definition.weights: weights})
        self.kernel, self.definition, self.options, self.own = kernel, definition, options, own
        self._weights = {given.dtype: _copy(given)}
        self._given = given.dtype
        self._forms, self._known = {}, {}
        self.__doc__ = kernel.__doc__
        # Zeros without memory stand in for the array to come: weights and options have their say.
        shape = definition.partner_shape(given, **options)
        arguments = self._bind(np.broadcast_to(np.zeros((), np.float32), shape))
        if kernel.why_not_bound(arguments) is None:
            self.form(arguments)

    def __call__(self, array, out=None):
        """Compute the operation.

        Parameters
        ----------
        array : array_like
            The first array of a plain call.
        out : ndarray, optional
            As in a plain call.

        Raises
        ------
        ValueError, TypeError, Unsupported
            As in a plain call.
        """
        call = None
        if out is None and type(array) is np.ndarray:
            call = self._known.get((array.shape, array.dtype))
        if call is not None:
            return call(array)
        arguments = self._bind(array)
        if reason := self.kernel.why_not_bound(arguments):
            self.kernel.refuse(reason)
        if out is not None:
            self.kernel.check_out(out, arguments)
        if arguments.arrays[1].shape != self._weights[self._given].shape:
            # Mode "valid" has swapped a short signal and its taps.
            into = {} if out is None else {"out": out}
            return self.kernel.function(*arguments.arrays, **into, **arguments.options, **self.own)
        call = self.form(arguments)
        if arguments.arrays[0] is array and len(self._known) < _KNOWN:
            self._known[array.shape, array.dtype] = call
        return call(arguments.arrays[0]) if out is None else call(arguments.arrays[0], out=out)

    def form(self, arguments):
        """The kernel's own ``call(array, out=None)`` for arrays of such a dtype and options."""
        key = arguments.dtype, tuple(arguments.options.items())
        if key not in self._forms:
            if len(self._forms) == _KEPT:
                self._forms.pop(next(iter(self._forms)))
            weights = self._weights_as(arguments.dtype)
            self._forms[key] = self.kernel.prepares(weights, **arguments.options, **self.own)
        return self._forms[key]

    def _bind(self, array):
        return self.definition.bind(array, self._weights[self._given], **self.options)

    def _weights_as(self, dtype):
        if dtype not in self._weights:
            self._weights[dtype] = self._weights[self._given].astype(dtype)
        return self._weights[dtype]


def _copy(weights):
    copy = weights.copy(order="C")
    copy.flags.writeable = False
    return copy
