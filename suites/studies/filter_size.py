"""Filter size: how far a convolution has to see, in images, sound and text."""

from convgrad.suites.studies.making import trained
from convgrad.suites.studies.networks import Network
from convgrad.suites.studies.plans import PLANS
from convgrad.suites.studies.recipe import Recipe

TAPS = 1, 3, 5, 7, 9, 11
FILTERS = {"mnist": 4, "vowels": 64, "languages": 32}
"""Of the one stage that the networks have."""


def _recipes(preset, data, filters, taps):
    """Networks of one stage, and the linear model that sees all at once."""
    plan = PLANS[preset][data]
    (linear,) = trained(data, plan, [((), ())])
    networks = [Network((filters,), taps=count, dropout=plan.dropout) for count in taps]
    return (
        linear,
        *(
            Recipe(
                f"{network}, filters of {network.taps}",
                *(data, "convolution", network, plan.convolution),
                compared_to=linear.name,
            )
            for network in networks
        ),
    )


def _all(preset):
    return tuple(
        recipe for data, count in FILTERS.items() for recipe in _recipes(preset, data, count, TAPS)
    )


RECIPES = {
    "smoke": _recipes("smoke", "digits", 4, (1, 3)),
    "laptop": _all("laptop"),
    "thorough": _all("thorough"),
}
