"""Simulators, the yardstick: ETDRK4 in one `lax.scan` as a careful user writes it, coefficients in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from . import problem
from .compile_tools import compile_seconds
from .jax_tools import versions


def symbols(name):
    """L and N of the three problems, in the coefficients of `rfftn`."""
    size = problem.SIMULATIONS[name]
    n = size["points"]
    last = np.fft.rfftfreq(n, 1 / n)
    unit = 2 * np.pi / size["length"]
    if name != "ns":
        k = unit * last
        linear = k**2 - k**4 if name == "ks" else -size["nu"] * k**2
        slope = -0.5j * k * (last < n / 3)
        slope = jnp.asarray(slope, jnp.complex64)
        return linear, lambda v: slope * jnp.fft.rfft(jnp.fft.irfft(v, n) ** 2), last < n / 3
    j, i = np.meshgrid(np.fft.fftfreq(n, 1 / n), last, indexing="ij")
    kx, ky, keep = unit * j, unit * i, (np.abs(j) < n / 3) & (i < n / 3)
    k2 = kx**2 + ky**2
    inverse = np.where(k2 > 0, 1 / np.where(k2 > 0, k2, 1), 0)
    made = (1j * ky * inverse, -1j * kx * inverse, 1j * kx, 1j * ky, -keep.astype(float))
    across, up, dx, dy, mask = (jnp.asarray(s, jnp.complex64) for s in made)

    def nonlinear(w):
        u, v, wx, wy = (jnp.fft.irfft2(s * w, (n, n)) for s in (across, up, dx, dy))
        return mask * jnp.fft.rfft2(u * wx + v * wy)

    return -size["nu"] * k2, nonlinear, keep


def coefficients(linear, h, points=32):
    z = h * linear
    r = z[..., None] + np.exp(1j * np.pi * (np.arange(points) + 0.5) / points)
    e, mean = np.exp(r), lambda f: h * f.mean(-1).real
    made = [np.exp(z), np.exp(z / 2), mean((np.exp(r / 2) - 1) / r), mean((-4 - r + e * (4 - 3 * r + r**2)) / r**3)]
    made += [mean(2 * (2 + r + e * (r - 2)) / r**3), mean((-4 - 3 * r - r**2 + e * (4 - r)) / r**3)]
    return [jnp.asarray(c, jnp.float32).astype(jnp.complex64) for c in made]


def prepare(options):
    name = options["problem"]
    size, u0 = problem.SIMULATIONS[name], jnp.asarray(problem.initial_states(name))
    linear, n, keep = symbols(name)
    e, e2, q, f1, f2, f3 = coefficients(linear, size["dt"])
    keep = jnp.asarray(keep, jnp.complex64)

    def step(v, _):
        n0, half = n(v), e2 * v
        a = half + q * n0
        na = n(a)
        nb = n(half + q * na)
        nc = n(e2 * a + q * (2 * nb - n0))
        return e * v + f1 * n0 + f2 * (na + nb) + f3 * nc, None

    def one(u):
        axes = tuple(range(u.ndim))
        v = keep * jnp.fft.rfftn(u, axes=axes)
        return jnp.fft.irfftn(jax.lax.scan(step, v, None, length=size["steps"])[0], u.shape, axes=axes)

    run = jax.jit(jax.vmap(one))
    seconds = compile_seconds(run, (u0,), options.get("compiles", 3))
    return {
        "step": lambda: jax.block_until_ready(run(u0)),
        "compile": seconds,
        "value": float(jnp.mean(run(u0) ** 2)),
        "versions": versions(),
    }
