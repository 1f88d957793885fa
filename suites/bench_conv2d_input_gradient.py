"""`conv2d_input_gradient` over the layers of a residual network, filter size and channels."""

from convgrad.suites.layers import GRADIENT_PRESETS
from convgrad.suites.suite import Suite, bench

__all__ = ["SUITE", "bench"]

SUITE = Suite("conv2d_input_gradient", baseline="col2im", presets=GRADIENT_PRESETS)
