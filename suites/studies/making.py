"""Recipes from sizes, and from each other: what they are called, and what they are to gain on."""

from dataclasses import replace
from functools import partial

from convgrad.suites.studies import ways
from convgrad.suites.studies.networks import Joined, Network
from convgrad.suites.studies.recipe import Recipe

_L2 = 0.001
"""Of models without a hidden layer, which have nothing else to keep weights small."""
_TUNING = 3
"""What is made from a model learns for one epoch where the model has for so many."""


def trained(data, plan, sizes):
    """Recipes of networks.

    Parameters
    ----------
    data : str
    plan : Plan
    sizes : iterable of (tuple of int, tuple of int)
        Filters of each stage, and outputs of each hidden dense layer.
    """
    return tuple(_network(data, plan, *each) for each in sizes)


def _network(data, plan, stages, widths):
    if stages:
        network = Network(stages, widths, dropout=plan.dropout)
        return Recipe(str(network), data, "convolution", network, plan.convolution)
    network = Network(widths=widths, l2=0 if widths else _L2)
    return Recipe(str(network), data, "dense", network, plan.dense)


def joined(data, plan, stages):
    """Recipe of a linear model beside convolutions, compared to these alone."""
    network, alone = Joined(stages), str(Network(stages))
    return Recipe(str(network), data, "joined", network, plan.convolution, compared_to=alone)


def trained_well(data, plan, stages, widths):
    """Recipe of the network that others are made from."""
    network = Network(stages, widths, dropout=plan.dropout)
    name = f"{network}, shifts" if plan.good.shifts else str(network)
    return Recipe(name, data, "convolution", network, plan.good)


def smaller(base, *, zeros=(), gradual=(), filters=(), ranks=(), chained=()):
    """Recipes of what a model becomes, each compared to it.

    Parameters
    ----------
    base : Recipe
        Of what was trained.
    zeros, gradual : sequence of float
        Shares of the weights that become zero, at once or gradually.
    filters : sequence of float
        Shares of the filters and neurons that go.
    ranks : sequence of float
        Shares of the full rank that are left.
    chained : sequence of float
        Shares of zeros on top of which weights become bytes.
    """
    made = [
        *((f"{_percent(s)} zeros", "pruned", ways.zeros, s) for s in zeros),
        *((f"{_percent(s)} zeros, gradual", "pruned", ways.gradual, s) for s in gradual),
        *((f"{_percent(s)} fewer", "fewer filters", ways.fewer, s) for s in filters),
        *((f"{_percent(s)} of the rank", "low rank", ways.low_rank, s) for s in ranks),
        *((f"{_percent(s)} zeros, 8 bits", "quantised", ways.chained, s) for s in chained),
    ]
    tuning = replace(base.training, epochs=max(base.training.epochs // _TUNING, 1))
    shrinks = [
        *((note, family, partial(way, share=s, tuning=tuning)) for note, family, way, s in made),
        ("8 bits", "quantised", partial(ways.levels, bits=8)),
        ("8 bits, tuned", "quantised", partial(ways.levels_tuned, tuning=tuning)),
        ("4 bits", "quantised", partial(ways.levels, bits=4)),
    ]
    return tuple(
        Recipe(
            name=f"{base.build}, {note}",
            data=base.data,
            family=family,
            shrink=shrink,
            base=base.name,
            compared_to=base.name,
        )
        for note, family, shrink in shrinks
    )


def taught(teacher, students):
    """Recipes of students with a teacher, each compared to the same without one."""
    return tuple(
        Recipe(
            name=f"{student.name}, taught",
            data=student.data,
            family="distilled",
            shrink=partial(ways.taught, student=student.build, training=student.training),
            base=teacher.name,
            compared_to=student.name,
        )
        for student in students
    )


def _percent(share):
    return f"{100 * share:g} %"
