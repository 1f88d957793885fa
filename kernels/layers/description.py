"""Layers, losses and models as data: their kind, and the arguments to build them again."""

import numpy as np

_KINDS = {}


class Described:
    """What has a description; a subclass is a kind, known by the name of its class."""

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        _KINDS[cls.__name__] = cls

    @property
    def arguments(self):
        """Arguments that build it again, but for its arrays: what JSON holds, or described."""
        return {}


def describe(value):
    """Turn a layer, a loss or a model into numbers, texts, lists and dicts of them.

    Parameters
    ----------
    value : Described
        Or a list of such, or what JSON holds already.
    """
    if isinstance(value, Described):
        arguments = value.arguments.items()
        return {"kind": type(value).__name__} | {name: describe(one) for name, one in arguments}
    if isinstance(value, (list, tuple)):
        return [describe(one) for one in value]
    return value


def build(description):
    """Build what was described; weights are zero until they are loaded.

    Raises
    ------
    KeyError
        For a kind that nobody has defined.
    TypeError, ValueError
        For arguments that the kind does not take.
    """
    if isinstance(description, list):
        return [build(one) for one in description]
    if isinstance(description, dict):
        arguments = {name: build(one) for name, one in description.items() if name != "kind"}
        return _KINDS[description["kind"]](**arguments)
    return description


def with_dtype(description, dtype):
    """The same description with another dtype of all floats."""
    if isinstance(description, list):
        return [with_dtype(one, dtype) for one in description]
    if isinstance(description, dict):
        changed = {name: with_dtype(one, dtype) for name, one in description.items()}
        return changed | ({"dtype": str(np.dtype(dtype))} if "dtype" in changed else {})
    return description
