import math

import pytest

from cadlag.report._numbers import duration, number, over_seeds, with_error


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (-0.5, "−0.5"),
        (1234.5, "1234" if f"{1234.5:.0f}" == "1234" else "1235"),
        (3, "3"),
        (0.0, "0"),
        (None, "–"),
        (math.nan, "not finite"),
        (3.2e-7, "3.20×10<sup>−7</sup>"),
        (True, "yes"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_the_error_sets_the_digits():
    assert with_error(0.90655, 0.0123) == "0.907 ± 0.012"
    assert with_error(-12.345, 1.7) == "−12.3 ± 1.7"
    assert with_error(1234.0, 56.0) == "1234 ± 56"
    assert with_error(3.21e-9, 4.0e-10) == "(3.21 ± 0.40)×10<sup>−9</sup>"
    assert with_error(0.5, None) == "0.5"


def test_over_seeds():
    # mean 0.3, deviation 0.1, standard error 0.1/sqrt(3) = 0.0577
    assert over_seeds([0.2, 0.3, 0.4]) == "0.300 ± 0.058"
    assert over_seeds([0.2]) == "0.2"
    assert "1 of 3 not finite" in over_seeds([0.2, None, 0.4])
    assert over_seeds([None]).startswith("–")


def test_duration():
    assert [duration(s) for s in (3.21, 42.0, 300.0, 7200.0)] == ["3.2 s", "42 s", "5 min", "2.0 h"]
