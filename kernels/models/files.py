"""Models from their files alone."""

import json

from convgrad.kernels.layers.description import build, with_dtype
from convgrad.kernels.layers.files import read
from convgrad.kernels.models.model import Model
from convgrad.kernels.registry import discover
from convgrad.kernels.validation import reject


def load(path, dtype=None):
    """Build the model that `Model.save` has written, whatever it is made of.

    Nothing of the file is executed: it names kinds of layers, and what they are built with.

    Parameters
    ----------
    path : str or path
    dtype : dtype, optional
        What floats become; they stay what they are unless given.

    Returns
    -------
    Model
        Of the same outputs, to the bit, unless floats become others.

    Raises
    ------
    ValueError
        For a file that is damaged, or none of a model.
    """
    from safetensors import SafetensorError

    discover()  # Kinds are known once their modules are imported.
    try:
        arrays, texts = read(path)
        description = json.loads(texts["model"])
        if dtype is not None:
            description = with_dtype(description, dtype)
            arrays = {name: _as(dtype, array) for name, array in arrays.items()}
        model = build(description)
        if not isinstance(model, Model):
            raise TypeError(f"it describes {type(model).__name__}")
        model.layers.restore(arrays)
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        reject("path", f"{path} ({reason})", "an undamaged file that Model.save has written")
    return model


def _as(dtype, array):
    return array.astype(dtype) if array.dtype.kind == "f" else array
