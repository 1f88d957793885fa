"""The registry: what a kernel is, how it is declared, and how it is found."""

import difflib
import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec

import numpy as np

from convgrad.kernels.on_device import OnDevice
from convgrad.kernels.operation import Operation
from convgrad.kernels.prepared import Prepared
from convgrad.kernels.threads import load_pool
from convgrad.kernels.validation import choice, output, reject

FAMILIES = ("naive", "numba", "scipy", "fft", "gemm", "winograd", "cuda", "peer", "auto")
DEVICES = ("cpu", "cuda")
ENTRY_POINTS = "convgrad.kernels"

_operations: dict[str, Operation] = {}
_kernels: dict[str, dict[str, "Kernel"]] = {}
_discovered = False


class Unsupported(ValueError):
    """Valid arguments that this kernel does not serve, or a machine on which it cannot run."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """One implementation of an operation; calling it validates and computes.

    Attributes
    ----------
    name, family, device : str
    operation : str
        Name of the operation.
    algorithm : str
        How the result comes about, which decides error bound and roof: "direct" is the
        arithmetic of the definition in any order; others ("fft", "gram", ...) need another count.
    requires : tuple of str
        Modules that have to be installed.
    function : callable
        The implementation: takes validated arrays of one dtype and normalised options.
    prepares : callable or None
        What `prepare` hands the weights to; see `kernel`.
    error : callable or None
        Function of the kernel's arguments: how far an algorithm less exact than the definition
        is off where errors are the largest, relative to the largest output.
    switches : tuple of str
        Arguments of its own, True or False, that it takes besides those of the operation.
    cost : callable or None
        ``cost(**sizes)`` is its own `Cost`, where kernels of an operation compute different things.
    afresh : callable or None
        Makes ``function`` anew, for kernels that keep between calls what counts as their memory.
    on_device : OnDevice or None
        The kernel for arrays that lie on its device, where `function` is made of it.
    """

    name: str
    operation: str
    function: object
    family: str
    device: str = "cpu"
    algorithm: str = "direct"
    requires: tuple = ()
    serves: object = field(default=None, repr=False)
    workspace: object = field(default=None, repr=False)
    prepares: object = field(default=None, repr=False)
    error: object = field(default=None, repr=False)
    switches: tuple = ()
    cost: object = field(default=None, repr=False)
    afresh: object = field(default=None, repr=False)
    on_device: OnDevice | None = field(default=None, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def why_not(self, *args, **kwargs):
        """Say why this kernel cannot run here, or not on these arguments.

        Returns
        -------
        str or None
            A sentence, or None if nothing stands in the way.

        Raises
        ------
        ValueError, TypeError
            If arguments are given and the operation itself does not accept them.
        """
        for module in self.requires:
            if not _installed(module):
                return f"{module} is not installed"
        if self.device == "cuda":
            from convgrad.kernels import cuda

            if reason := cuda.why_not() or (self.on_device and self.on_device.arrays.why_not()):
                return reason
        if args or kwargs:
            return self.why_not_bound(operation(self.operation).bind(*args, **kwargs))
        return None

    def why_not_bound(self, arguments):
        """`why_not` for arguments that are validated already, wherever it may run."""
        return self.serves and self.serves(*arguments.arrays, **arguments.options)

    def workspace_bytes(self, arguments):
        """Predict the bytes that a call allocates: its result and its temporaries."""
        shape = operation(self.operation).output_shape(*arguments.arrays, **arguments.options)
        temporary = self.workspace(*arguments.arrays, **arguments.options) if self.workspace else 0
        return int(np.prod(shape)) * arguments.dtype.itemsize + int(temporary)

    def cost_at(self, case):
        """`Cost` of a case: the operation's, unless this kernel computes something of its own."""
        return self.cost(**dict(case.sizes)) if self.cost else case.cost

    def __call__(self, *args, out=None, **kwargs):
        """Compute the operation.

        Parameters
        ----------
        *args, **kwargs
            As the operation's signature says (``help(kernels.operation(name).bind)``).
        out : ndarray, optional
            Array to write the result into, of the result's shape and dtype, C-contiguous;
            only for kernels that can write in place.

        Raises
        ------
        ValueError, TypeError
            For arguments that the operation does not accept; the same for every kernel.
        Unsupported
            For arguments that only this kernel does not serve.
        """
        own = self._own(kwargs)
        definition = operation(self.operation)
        arguments = definition.bind(*args, **kwargs)
        if reason := self.why_not() or self.why_not_bound(arguments):
            self.refuse(reason)
        if out is not None:
            self.check_out(out, arguments)
            own["out"] = out
        result = self.function(*arguments.arrays, **arguments.options, **own)
        definition.examine(result, arguments)
        return result

    def prepare(self, weights, **options):
        """Keep the weights in the form that this kernel works with.

        Parameters
        ----------
        weights : array_like
            The operation's `Operation.weights`, such as the taps of ``convolve``; copied.
        **options
            As in a plain call.

        Returns
        -------
        Prepared
            To be called with the other array alone, and ``out`` if wanted.

        Raises
        ------
        ValueError, TypeError
            For weights and options that the operation does not accept.
        Unsupported
            Where this kernel has nothing to prepare, or cannot run here.
        """
        if reason := self.why_not_call("prepared") or self.why_not():
            self.refuse(reason)
        own = self._own(options)
        return Prepared(self, operation(self.operation), weights, options, own)

    def _own(self, options):
        """Take the kernel's own arguments out of those of a call."""
        if not (self.switches and options):
            return {}
        own = {name: options.pop(name) for name in self.switches if name in options}
        for name, value in own.items():
            if type(value) is not bool:
                reject(name, value, "True or False")
        return own

    def why_not_call(self, call):
        """Say why this kernel cannot be called in a way; None if it can.

        Parameters
        ----------
        call : {"plain", "out", "prepared", "prepared out", "on device"}
            Into an array of its own or a given one, with weights given or kept; or with arrays
            that lie on the device, and a result that stays there.
        """
        if call == "on device":
            return None if self.on_device else "it takes no arrays that lie on a device"
        if "prepared" in call:
            if operation(self.operation).weights is None:
                return f"{self.operation} has no weights to prepare"
            if self.prepares is None:
                return "it cannot prepare weights"
        if "out" in call and not self.writes_in_place:
            return "it cannot write into a given array"
        return None

    def check_out(self, out, arguments):
        """Refuse an array that the result of these arguments cannot be written into."""
        if reason := self.why_not_call("out"):
            self.refuse(reason)
        shape = operation(self.operation).output_shape(*arguments.arrays, **arguments.options)
        output(out, shape, arguments.dtype, arguments.arrays)

    def refuse(self, reason):
        """Raise `Unsupported` with a sentence."""
        raise Unsupported(f"{self.operation} by {self.name}: {reason}")

    @functools.cached_property
    def writes_in_place(self):
        """Whether ``out=`` is served."""
        return "out" in _parameters(self.function)


def kernel(
    operation,
    *,
    family,
    name=None,
    device="cpu",
    algorithm="direct",
    requires=(),
    serves=None,
    workspace=None,
    prepare=None,
    error=None,
    switches=(),
    arrays=None,
):
    """Register a function as an implementation of an operation.

    Parameters
    ----------
    operation : str
        Name of the operation.
    family : str
        One of `FAMILIES`; decides colour and marker in every figure.
    name : str, optional
        The function's own name unless given.
    device : {"cpu", "cuda"}
    algorithm : str
        See `Kernel`.
    requires : sequence of str
        Modules that have to be installed; import them inside the function.
    serves : callable, optional
        Function of the kernel's arguments that returns None, or why it does not serve them.
    workspace : callable, optional
        Function of the kernel's arguments that returns the bytes of its temporary arrays.
    prepare : callable, optional
        ``prepare(weights, **options)`` returns a callable ``call(array, out=None)``: what the
        kernel computes from that array and these weights. Weights and options are those that the
        kernel gets; the weights are not changed afterwards.
    error : callable, optional
    switches : sequence of str
        See `Kernel`.
    arrays : convgrad.kernels.on_device.Arrays, optional
        The function takes such device arrays instead of NumPy's, as `OnDevice` says, and what
        transfers them is put around it.

    Returns
    -------
    callable
        A decorator that turns the function into a `Kernel`.

    Raises
    ------
    ValueError
        For an unknown family or device, or a name that is taken.
    """
    choice("family", family, FAMILIES)
    choice("device", device, DEVICES)

    def register(function):
        on_device = OnDevice(function, arrays) if arrays else None
        if on_device:
            function = on_device.from_host(
                lambda *arrays, **options: _operations[operation].output_shape(*arrays, **options)
            )
        made = Kernel(
            name=name or function.__name__,
            operation=operation,
            function=function,
            family=family,
            device=device,
            algorithm=algorithm,
            requires=tuple(requires),
            serves=serves,
            workspace=workspace,
            prepares=prepare,
            error=error,
            switches=tuple(switches),
            on_device=on_device,
        )
        taken = _kernels.get(operation, {}).get(made.name)
        if taken and _origin(taken.function) != _origin(function):
            reject("name", repr(made.name), f"a name not taken by {taken.function.__module__}")
        return add(made)

    return register


def add(made):
    """Register a `Kernel` that was not made of a function by `kernel`, and return it."""
    _kernels.setdefault(made.operation, {})[made.name] = made
    return made


@functools.cache
def _parameters(function):
    return inspect.signature(function).parameters


@functools.cache
def _installed(module):
    return find_spec(module) is not None


def _origin(function):
    return function.__module__, function.__qualname__


def register_operation(definition):
    """Class decorator: make an `Operation` known under its name."""
    _operations[definition.name] = definition()
    return definition


def discover():
    """Import every module that declares kernels: ours, then those of the entry points."""
    global _discovered
    if _discovered:
        return
    _discovered = True
    load_pool()
    package = importlib.import_module("convgrad.kernels")
    for folder in pkgutil.iter_modules(package.__path__):
        if folder.ispkg and folder.name != "examples":  # they need hypothesis
            module = importlib.import_module(f"convgrad.kernels.{folder.name}")
            for file in pkgutil.iter_modules(module.__path__):
                importlib.import_module(f"{module.__name__}.{file.name}")
    for point in entry_points(group=ENTRY_POINTS):
        point.load()
    importlib.import_module("convgrad.kernels.auto").register()


def operations():
    """Return the names of all operations that have kernels."""
    discover()
    return [name for name in _operations if _kernels.get(name)]


def operation(name):
    """Return the `Operation` of this name; KeyError that lists the near names."""
    discover()
    return _look_up(_operations, name, "operation")


def get(operation_name, name):
    """Return one kernel, usable here or not.

    Raises
    ------
    KeyError
        If there is none of this name; the message lists the near names.
    """
    operation(operation_name)
    return _look_up(_kernels.get(operation_name, {}), name, f"kernel of {operation_name}")


def find(operation_name=None, *, family=None, device=None, dtype=None, case=None, usable=True):
    """List kernels.

    Parameters
    ----------
    operation_name : str, optional
        Only those of one operation.
    family, device : str, optional
        Only those of one family, or for one device.
    dtype : str, optional
        Only those that serve this dtype at the smallest named case.
    case : Case, optional
        Only those that serve this case.
    usable : bool
        Whether to leave out kernels that cannot run on this machine.

    Returns
    -------
    list of Kernel
        In order of registration.
    """
    names = operations() if operation_name is None else [operation(operation_name).name]
    outlines = {}
    for name in names:
        if case is not None:
            outlines[name] = case.outline()
        elif dtype is not None:
            outlines[name] = _operations[name].outline(
                dtype, **_operations[name].named_cases["tiny"]
            )
    return [
        k
        for name in names
        for k in _kernels.get(name, {}).values()
        if (family is None or k.family == family)
        and (device is None or k.device == device)
        and (name not in outlines or k.why_not_bound(outlines[name]) is None)
        and (not usable or k.why_not() is None)
    ]


def _look_up(table, name, kind):
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=5, cutoff=0.4) or list(table)
    raise KeyError(f"no {kind} is named {name!r}; near names: {', '.join(near)}")
