"""Solve an equation whose solution oscillates, and read its frequencies off the solution."""

import os
import sys

import jax.numpy as jnp
import numpy as np

from cadlag.equations import Equation, dirichlet
from cadlag.fields import Box, Grid
from cadlag.kernels import StudentTMixture, spread_components
from cadlag.physics import GPSpectral, VariableProjection, solve_spectral
from cadlag.train import enable_x64

TINY = "--tiny" in sys.argv or bool(os.environ.get("CADLAG_TINY"))
points, steps, components = (40, 4, 3) if TINY else (200, 60, 20)

line = Box({"x": (0.0, 2 * np.pi)})


def residual(u, parameters):
    """u'' + u = f, with f such that u = sin(40 x) + 0.2 cos(11 x)."""
    source = u.function(lambda x: -1599 * jnp.sin(40 * x) - 24 * jnp.cos(11 * x))
    return u.d("x", 2) + u - source


equation = Equation(domain=line, residual_of=residual, given=dirichlet(line, lambda x: 0.2 * jnp.cos(11 * x)))
with enable_x64():
    # Frequencies up to 10 cycles per unit; sin(40 x) has 40 / 2 pi = 6.37.
    kernel = StudentTMixture(*spread_components(components, 10.0))
    method = GPSpectral(kernel, fit=VariableProjection(steps=steps, stages=2 if TINY else 3))
    u = solve_spectral(equation, Grid(line, points), method)
    x = jnp.linspace(0.0, 2 * np.pi, 500)
    error = jnp.max(jnp.abs(u.on(x) - jnp.sin(40 * x) - 0.2 * jnp.cos(11 * x)))
    print(f"largest error {error:.1e}; u'(1) = {u.d('x')(jnp.ones(1)):.2f}")
    print("heaviest frequencies, in radians:", (2 * np.pi * u.spectrum()["x"].frequencies[:3]).round(2))
