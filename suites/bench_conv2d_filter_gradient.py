"""`conv2d_filter_gradient` over the layers of a residual network, filter size and channels."""

from convgrad.suites.layers import GRADIENT_PRESETS
from convgrad.suites.suite import Suite, bench

__all__ = ["SUITE", "bench"]

SUITE = Suite("conv2d_filter_gradient", baseline="im2col", presets=GRADIENT_PRESETS)
