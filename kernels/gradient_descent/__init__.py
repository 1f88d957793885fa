"""Gradient descent: linear models, and filters as the linear models that share weights."""
