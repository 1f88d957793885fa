"""Budget: models to choose from of three more kinds of data; pareto has those of images."""

from convgrad.suites.studies import pareto

_STRENGTHS = {"zeros": (0.8,), "filters": (0.5,), "ranks": (0.25,), "chained": (0.8,)}
_SERIES = {
    "widths": [(), (16,), (32,)],
    "stages": [(16,), (64,)],
    "both": (64,),
    "mlp": (32,),
    "cnn": ((32, 64), ()),
    "students": [(16,)],
    "strengths": _STRENGTHS,
}
_SIZES = {
    "digits": {
        "widths": [(), (16,), (32,)],
        "stages": [(4,), (8,), (8, 16)],
        "both": (8,),
        "mlp": (32,),
        "cnn": ((16, 32), (64,)),
        "students": [(4,), (8,)],
        "strengths": _STRENGTHS,
    },
    "vowels": _SERIES,
    "languages": _SERIES,
}


def _recipes(preset):
    return tuple(
        recipe for data, sizes in _SIZES.items() for recipe in pareto.grid(preset, data, **sizes)
    )


RECIPES = {
    "smoke": pareto.RECIPES["smoke"],
    "laptop": _recipes("laptop"),
    "thorough": _recipes("thorough"),
}
