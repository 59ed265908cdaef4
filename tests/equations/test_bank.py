"""The bank against independent computations."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from cadlag.equations import (
    geometric_brownian_motion,
    linear_ode,
    ornstein_uhlenbeck,
    sine_growth,
)


def test_moments_of_card():
    problem = geometric_brownian_motion(0.1, 0.5)
    mean, second = problem.mean(1.0), problem.variance(1.0) + problem.mean(1.0) ** 2
    np.testing.assert_allclose([mean[0], second[0]], [1.105, 1.568], atol=6e-4)


def test_ordinary_equations_against_scipy():
    matrix = jnp.asarray([[0.0, 1.0], [-2.0, -0.3]])
    for problem in (linear_ode(matrix, jnp.asarray([1.0, 0.5])), sine_growth()):

        def rhs(t, y, p=problem):
            return np.asarray(p.process.drift(t, jnp.asarray(y), None))

        peer = scipy.integrate.solve_ivp(rhs, (0, 2), np.asarray(problem.y0), rtol=1e-8, atol=1e-10).y[:, -1]
        np.testing.assert_allclose(problem.solution(2.0), peer, rtol=1e-6)


def test_ornstein_uhlenbeck_moments_solve_their_equations():
    """m' = rate (level - m), v' = scale² - 2 rate v."""
    problem = ornstein_uhlenbeck(0.7, 0.4, 0.9, y0=(2.0,))
    m, v = problem.mean, problem.variance
    np.testing.assert_allclose(jax.jacfwd(m)(0.5), 0.7 * (0.4 - m(0.5)), rtol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(v)(0.5), 0.81 - 1.4 * v(0.5), rtol=1e-12)
    assert float(v(0.0)[0]) == 0.0
