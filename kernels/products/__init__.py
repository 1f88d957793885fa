"""Products of inputs and weights that are not shared over space: operations and kernels."""
