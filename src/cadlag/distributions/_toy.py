"""Laws in the plane and in space that are easy to draw and hard to fit: checkerboard, moons, rolls, spirals."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.distributions._checks import floats, known
from cadlag.distributions._distribution import AbstractDistribution


class Checkerboard(AbstractDistribution):
    """Uniform on the eight dark squares of a four by four board centred at the origin.

    **Arguments:** `side`, that of a square, which decides the dtype. The log-density is -log(8 side²) on the squares,
    -log 32 by default, and -inf off them.
    """

    side: Float[Array, ""]

    def __init__(self, side: Any = 2.0):
        self.side = _positive("side", side)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "2"]:
        """One draw."""
        across, up, half = jr.split(key, 3)
        x = jr.uniform(across, (), self.side.dtype, -2, 2)
        y = jr.uniform(up, (), self.side.dtype) - 2 * jr.bernoulli(half).astype(x.dtype) + jnp.floor(x) % 2
        return self.side * jnp.stack([x, y])

    def log_prob(self, x: Float[Array, "2"]) -> Float[Array, ""]:
        """Log-density of one point, in nats."""
        cell = jnp.floor(x / self.side)
        inside = jnp.all((cell >= -2) & (cell < 2)) & (jnp.sum(cell) % 2 == 0)
        return jnp.where(inside, -jnp.log(8 * self.side**2), -jnp.inf)


class NoisyManifold(AbstractDistribution):
    """The law of point(u) + noise z with u uniform on the unit cube: mass on a curve or surface, blurred or not.

    **Arguments:**

    - `point`: from parameters (d,) in [0, 1) to a place (D,), in their dtype.
    - `noise`: standard deviation of the Gaussian blur, 0 for none; it decides the dtype.
    - `parameters`: d.

    There is no log-density: without noise the law is singular, with noise it is an integral over u.
    """

    point: Callable[[Array], Array]
    noise: Float[Array, ""]
    parameters: int = eqx.field(static=True)

    def __init__(self, point: Callable[[Array], Array], noise: Any = 0.0, *, parameters: int = 1):
        if parameters < 1:
            raise ValueError(f"`parameters` must be at least 1, but got {parameters}.")
        self.point, self.parameters = point, parameters
        self.noise = _positive("noise", noise, strict=False)

    def sample(self, key: PRNGKeyArray) -> Float[Array, "D"]:
        """One draw."""
        place, blur = jr.split(key)
        x = self.point(jr.uniform(place, (self.parameters,), self.noise.dtype))
        return x + self.noise * jr.normal(blur, x.shape, x.dtype)

    def log_prob(self, x: Float[Array, "D"]) -> Float[Array, ""]:
        """Refused: TypeError."""
        raise TypeError(
            "NoisyManifold has no log_prob: without noise its law has no density, with noise none in closed form. "
            "Compare samples instead (`cadlag.metrics`), or take a law with a density: Checkerboard, GaussianMixture."
        )


def two_moons(noise: Any = 0.05) -> NoisyManifold:
    """Two interleaved half circles of radius 1 in the plane, one around (0, 0), one around (1, ½)."""
    return NoisyManifold(_moons, noise)


def circle(noise: Any = 0.0) -> NoisyManifold:
    """The unit circle in the plane."""
    return NoisyManifold(_circle, noise)


def spiral(noise: Any = 0.0) -> NoisyManifold:
    """t (cos t, sin t) / 10 in the plane with t = 1.5π (1 + 2u)."""
    return NoisyManifold(_spiral, noise)


def swiss_roll(noise: Any = 0.0) -> NoisyManifold:
    """(t cos t, 21 v, t sin t) / 10 in space with t = 1.5π (1 + 2u)."""
    return NoisyManifold(_roll, noise, parameters=2)


def _moons(u: Array) -> Array:
    angle = jnp.pi * (2 * u[0] % 1)
    upper = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    lower = jnp.stack([1 - jnp.cos(angle), 0.5 - jnp.sin(angle)])
    return jnp.where(u[0] < 0.5, upper, lower)


def _circle(u: Array) -> Array:
    return jnp.stack([jnp.cos(2 * jnp.pi * u[0]), jnp.sin(2 * jnp.pi * u[0])])


def _spiral(u: Array) -> Array:
    t = 1.5 * jnp.pi * (1 + 2 * u[0])
    return 0.1 * t * jnp.stack([jnp.cos(t), jnp.sin(t)])


def _roll(u: Array) -> Array:
    x, z = _spiral(u)
    return jnp.stack([x, 2.1 * u[1], z])


def _positive(name: str, x: Any, *, strict: bool = True) -> Array:
    x = floats(name, x)
    if x.ndim != 0:
        raise ValueError(f"`{name}` must be one number, but has shape {x.shape}.")
    value = known(x)
    if value is not None and (value < 0 or (strict and value == 0)):
        raise ValueError(f"`{name}` must be {'positive' if strict else 'zero or more'}, but is {value:g}.")
    return x
