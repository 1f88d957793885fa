"""The choice by held-out data, on errors that are chosen so that it is plain."""

import numpy as np
import pytest

from convgrad.kernels.analysis.held_out import HeldOut


def test_mean_standard_error_and_both_choices():
    held_out = HeldOut(np.array([[9.0, 3.0, 1.0, 2.0], [9.0, 3.0, 3.0, 5.0]]))
    np.testing.assert_allclose(held_out.mean, [9, 3, 2, 3.5])
    np.testing.assert_allclose(held_out.standard_error, [0, 0, 1, 1.5])
    assert held_out.least == 2
    assert held_out.one_standard_error == 1  # 3 <= 2 + 1, and simpler than the least


def test_without_doubt_both_choices_agree():
    held_out = HeldOut(np.array([[4.0, 2.0, 3.0]] * 3))
    assert held_out.least == held_out.one_standard_error == 1
    assert held_out.standard_error == pytest.approx(0)
