"""What the tests of vectors compute with."""

import numpy as np
import pytest


@pytest.fixture
def numbers():
    """``numbers(size, dtype=np.float32)``: standard normal, other ones in every call."""
    random = np.random.default_rng(0)
    return lambda size, dtype=np.float32: random.standard_normal(size, dtype)
