"""What a trained model depends on, as one hash: where it changed, the model is trained anew."""

import hashlib
import json
from dataclasses import is_dataclass
from functools import cache, partial
from pathlib import Path

from convgrad.kernels import compression, layers, models
from convgrad.suites.studies import maps, networks, recipe, ways

_PACKAGES = compression, layers, models
_MODULES = maps, networks, recipe, ways


def made_by(recipes, seed, data_sha256, path):
    """Hash what made a model, and the file that it is in.

    Kernels do not count: whichever a layer calls, they agree but for rounding.

    Parameters
    ----------
    recipes : sequence of Recipe
        The model's own, then those of the models that it is made from.
    seed : int
    data_sha256 : str
        Of the files of its dataset.
    path : Path
        Its file.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    with open(path, "rb") as file:
        saved = hashlib.file_digest(file, "sha256").hexdigest()
    text = json.dumps([recipes, seed, data_sha256, saved, _code()], default=_parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parts(value):
    """What JSON does not know: functions and classes by name, calls and data by what they hold."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if is_dataclass(value):
        return [type(value), vars(value)]
    raise TypeError(f"recipe: got {value!r}, expected data, named functions and partial calls")


@cache
def _code():
    """Hash of the code that builds, trains and shrinks models."""
    files = [Path(module.__file__) for module in _MODULES]
    for package in _PACKAGES:
        files += sorted(Path(package.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
