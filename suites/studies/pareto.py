"""Pareto: networks of many sizes, and what two good ones become in every way of shrinking."""

from convgrad.suites.studies.making import joined, smaller, taught, trained, trained_well
from convgrad.suites.studies.plans import PLANS


def grid(preset, data, *, widths, stages, both, mlp, cnn, students, strengths):
    """Recipes of networks of several sizes, and of what an MLP and a CNN become.

    Parameters
    ----------
    preset, data : str
        Have a plan.
    widths : sequence of tuple of int
        Hidden layers of each MLP, none for softmax regression. Those with some learn from a
        teacher too.
    stages : sequence of tuple of int
        Filters of each CNN without hidden layers.
    both : tuple of int
        Filters of the CNN that is joined with a linear model.
    mlp : tuple of int
        Of ``widths``, the one to be made smaller.
    cnn : (tuple of int, tuple of int)
        Stages and widths of the CNN to be made smaller, which is the teacher.
    students : sequence of tuple of int
        Of ``stages``, those that learn from a teacher too.
    strengths : dict
        As of `making.smaller`.
    """
    plan = PLANS[preset][data]
    mlps = dict(zip(widths, trained(data, plan, [((), each) for each in widths])))
    cnns = dict(zip(stages, trained(data, plan, [(each, ()) for each in stages])))
    teacher = trained_well(data, plan, *cnn)
    pupils = [*(mlps[each] for each in widths if each), *(cnns[each] for each in students)]
    return (
        *mlps.values(),
        *cnns.values(),
        *(teacher, joined(data, plan, both)),
        *smaller(mlps[mlp], **strengths),
        *smaller(teacher, **strengths),
        *taught(teacher, pupils),
    )


_MNIST = {
    "widths": [(), (8,), (16,), (32,), (64,), (128,), (128, 64)],
    "stages": [(4,), (8,), (4, 8), (8, 16), (16, 32)],
    "both": (8, 16),
    "mlp": (128,),
    "cnn": ((16, 32), (64,)),
    "students": [(8,), (4, 8)],
    "strengths": {
        "zeros": (0.8, 0.9, 0.95),
        "gradual": (0.9, 0.95),
        "filters": (0.25, 0.5, 0.75),
        "ranks": (0.25, 0.1),
        "chained": (0.9,),
    },
}

RECIPES = {
    "smoke": grid(
        *("smoke", "digits"),
        widths=[(), (8,), (16,)],
        stages=[(4,), (8,)],
        both=(4,),
        mlp=(16,),
        cnn=((8,), (32,)),
        students=[(4,)],
        strengths=dict.fromkeys(("zeros", "gradual", "filters", "ranks", "chained"), (0.5,)),
    ),
    "laptop": grid("laptop", "mnist", **_MNIST),
    "thorough": grid("thorough", "mnist", **_MNIST),
}
