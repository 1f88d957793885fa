"""A claim about the engine, what was found when it was measured, and where all claims come from."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

MODULES = ("simulated", "timing", "memory", "correctness", "faults", "kept")
"""Modules beside this one; each has ``CLAIMS``, a list of `Claim`."""


@dataclass(frozen=True)
class Budget:
    """What a measurement may use.

    Attributes
    ----------
    quick : bool
        Whether fewer repetitions have to do.
    scratch : Path
        A folder to write to, empty at first.
    progress : callable
        Called with a line of text for every step.
    """

    quick: bool
    scratch: Path
    progress: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes
    ----------
    found : str
        In the terms of the claim's ``must_be``, such as "95.1 %".
    holds : bool or None
        None where it could not be measured here; ``found`` says why.
    """

    found: str
    holds: bool | None


@dataclass(frozen=True)
class Claim:
    """A property of the engine that can be measured.

    Attributes
    ----------
    name : str
    how : str
        What is done to measure it.
    must_be : str
        What has to be found for the claim to hold.
    measure : callable
        ``measure(budget)`` returns an `Outcome`.
    quick : bool
        Whether ``certify --quick`` measures it too.
    seconds : float
        About what the measurement takes, in full.
    simulated : bool
        Whether no real clock takes part, so that others may be measured meanwhile.
    """

    name: str
    how: str
    must_be: str
    measure: Callable[[Budget], Outcome]
    quick: bool
    seconds: float = 30
    simulated: bool = False


def all_claims():
    """Claims of all modules, in the order in which the certificate has them."""
    modules = [import_module(f"convgrad.suites.certify.{name}") for name in MODULES]
    return [claim for module in modules for claim in module.CLAIMS]


def measured(claim, budget):
    """Outcome of a claim; a measurement that fails is a claim that does not hold."""
    try:
        return claim.measure(budget)
    except Exception as error:
        message = " ".join(str(error).split())
        return Outcome(f"failed: {type(error).__name__}: {message}", holds=False)
