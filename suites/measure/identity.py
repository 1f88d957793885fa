"""What a cell's result depends on, as one hash: where it changed, the cell is measured again."""

import hashlib
import inspect
import sys
from importlib import metadata

from convgrad.kernels import address, fft, lines, vector
from convgrad.results.schema import AGAINST
from convgrad.suites.machine import facts
from convgrad.suites.measure.admission import kernel_of

_MACHINE = ("cpu", "code_name", "usable_cores", "huge_pages", "devices", "python")
_LIBRARIES = ("numpy", "numba", "llvmlite", "scipy")
_SHARED = address, fft, lines, vector
"""What kernels of several packages compute with."""


class Identities:
    """Hashes of cells on this machine, with the libraries that are installed.

    Parameters
    ----------
    against : Path, optional
        Folder of the other version of the kernels.
    """

    def __init__(self, against=None):
        self.against = against
        told = facts.describe()
        self.machine = [f"{name}={told.get(name)}" for name in _MACHINE]
        self.distributions = metadata.packages_distributions()
        self.versions = {
            name.lower(): metadata.version(name)
            for names in self.distributions.values()
            for name in names
        }

    def of(self, block, name):
        """Hash kernel source, key, library versions and machine; of a model, what made it."""
        kernel = kernel_of(block, name)
        needs = [f"{library}={self.versions.get(library)}" for library in self._libraries(kernel)]
        parts = [*block.key(name).values(), block.case.data, *needs, *self.machine]
        if name.endswith(AGAINST):
            sources = [path.read_text() for path in sorted(self.against.rglob("*.py"))]
        else:
            sources = _sources(kernel.function)
        made_by = getattr(kernel.function, "made_by", "")
        text = "\0".join(map(str, [*parts, *sources, *[made_by] * bool(made_by)]))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _libraries(self, kernel):
        """Names, as on the index, of the libraries that a kernel may use."""
        provided = [self.distributions.get(module, ()) for module in kernel.requires]
        names = [name.lower() for names in provided for name in names]
        return [*_LIBRARIES, *["numba-cuda"] * (kernel.device == "cuda"), *names]


def _home(value):
    """Name of the module that a value is from: itself, or of the function that a kernel has."""
    if inspect.ismodule(value):
        return value.__name__
    return str(getattr(getattr(value, "function", value), "__module__", None))


def _sources(function):
    """Source of a kernel's module, and of those it builds upon: in its package, and shared."""
    package = function.__module__.rpartition(".")[0]
    near = (*([f"{package}."] if package else []), *(module.__name__ for module in _SHARED))
    found, new = set(), {function.__module__}
    while new:
        found |= new
        names = {_home(value) for name in new for value in vars(sys.modules[name]).values()}
        new = {name for name in names if name.startswith(near)} - found
    for name in sorted(found):
        try:
            yield inspect.getsource(sys.modules[name])
        except (OSError, TypeError):  # typed in by hand: there is no file
            yield name
