"""Networks as data: sizes that become a model once inputs and classes are known."""

from dataclasses import dataclass

from convgrad.kernels.models import cnn, joined, mlp


@dataclass(frozen=True)
class Network:
    """Stages of convolution and pooling, as many as there are, then dense layers.

    Attributes
    ----------
    stages : tuple of int
        Filters of each.
    widths : tuple of int
        Outputs of each hidden dense layer.
    taps : int
        Height and width of filters; in sound and text, where there is one row, the width.
    dropout, l2 : float
        As of `cnn`.
    """

    stages: tuple = ()
    widths: tuple = ()
    taps: int = 3
    dropout: float = 0.0
    l2: float = 0.0

    def __call__(self, input_shape, classes, seed):
        """Build it; see `Recipe.build`."""
        options = {"dropout": self.dropout, "l2": self.l2, "seed": seed}
        if not self.stages:
            return mlp(input_shape, self.widths, classes, **options)
        stages = sized(self.stages, self.taps, input_shape)
        return cnn(input_shape, stages, self.widths, classes, **options)

    @property
    def family(self):
        """Of `recipe.FAMILIES`."""
        return "convolution" if self.stages else "dense"

    def __str__(self):
        if not self.stages:
            return f"mlp {_dashed(self.widths)}" if self.widths else "softmax"
        head = f" + {_dashed(self.widths)}" if self.widths else ""
        return f"cnn {_dashed(self.stages)}{head}"


@dataclass(frozen=True)
class Joined:
    """A linear model of the pixels beside stages of convolution; see `kernels.models.joined`.

    Attributes
    ----------
    stages, taps
        As of `Network`.
    """

    stages: tuple
    taps: int = 3

    family = "joined"

    def __call__(self, input_shape, classes, seed):
        """Build it; see `Recipe.build`."""
        return joined(input_shape, sized(self.stages, self.taps, input_shape), classes, seed=seed)

    def __str__(self):
        return f"joined {_dashed(self.stages)}"


def sized(stages, taps, input_shape):
    """Stages with the height and width of their filters."""
    return [(count, (min(taps, input_shape[1]), taps)) for count in stages]


def _dashed(sizes):
    return "-".join(map(str, sizes))
