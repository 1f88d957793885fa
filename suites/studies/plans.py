"""How long models learn: more epochs where there are fewer examples."""

from dataclasses import dataclass

from convgrad.suites.studies.recipe import Schedule


@dataclass(frozen=True)
class Plan:
    """How the models of one dataset are trained.

    Attributes
    ----------
    dense, convolution : Schedule
        Of networks without and with convolutions.
    good : Schedule
        Of the convolutional network that others are made from, and learn from.
    dropout : float
        In front of the dense layers of convolutional networks.
    """

    dense: Schedule
    convolution: Schedule
    good: Schedule
    dropout: float


_SOUND = Schedule(60, step=0.002, batch=32)

PLANS = {
    "smoke": {
        "digits": Plan(
            dense=Schedule(4, step=0.01, batch=32),
            convolution=Schedule(3, step=0.01, batch=32),
            good=Schedule(6, step=0.005, batch=32),
            dropout=0.0,
        ),
    },
    "laptop": {
        "mnist": Plan(
            dense=Schedule(20),
            convolution=Schedule(8, step=0.003),
            good=Schedule(10, step=0.002, shifts=1),
            dropout=0.3,
        ),
        "digits": Plan(
            dense=Schedule(30, step=0.002, batch=32),
            convolution=Schedule(20, step=0.003, batch=32),
            good=Schedule(30, step=0.002, batch=32),
            dropout=0.2,
        ),
        "vowels": Plan(dense=_SOUND, convolution=_SOUND, good=_SOUND, dropout=0.5),
        "languages": Plan(
            dense=Schedule(10, step=0.002),
            convolution=Schedule(6, step=0.003),
            good=Schedule(8, step=0.003),
            dropout=0.5,
        ),
    },
    "thorough": {
        "mnist": Plan(
            dense=Schedule(40),
            convolution=Schedule(30, step=0.002),
            good=Schedule(40, shifts=2),
            dropout=0.3,
        ),
        "digits": Plan(
            dense=Schedule(60, step=0.002, batch=32),
            convolution=Schedule(60, step=0.002, batch=32),
            good=Schedule(60, step=0.002, batch=32),
            dropout=0.2,
        ),
        "vowels": Plan(dense=_SOUND, convolution=_SOUND, good=_SOUND, dropout=0.5),
        "languages": Plan(
            dense=Schedule(20, step=0.002),
            convolution=Schedule(20, step=0.002),
            good=Schedule(20, step=0.002),
            dropout=0.5,
        ),
    },
}
"""By preset and dataset. A preset has the datasets that it has a plan for."""
