"""Networks small enough to train in a test, and data whose law is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from cadlag.nn import Boundary, Conv


class ConvNet(eqx.Module):
    """Two convolutions with a hidden layer; conditions are added at every point."""

    first: Conv
    last: Conv
    told: eqx.nn.Linear | None
    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)

    def __init__(
        self, channels, out_channels, *, width=8, spatial_axes=2, conditions=0, boundary=Boundary.circular, key
    ):
        keys = jr.split(key, 3)
        options = {"spatial_axes": spatial_axes, "boundary": boundary}
        self.first = Conv(channels, width, 3, key=keys[0], **options)
        self.last = Conv(width, out_channels, 3, key=keys[1], **options)
        self.told = eqx.nn.Linear(conditions, width, key=keys[2]) if conditions else None
        self.channels, self.out_channels = channels, out_channels
        self.spatial_axes, self.conditions = spatial_axes, conditions

    def __call__(self, u, *, cond=None, key=None):
        h = self.first(jnp.moveaxis(u, 0, -1))
        if self.told is not None:
            h = h + self.told(cond).reshape((1,) * self.spatial_axes + (-1,))
        return jnp.moveaxis(self.last(jax.nn.silu(h)), -1, 0)


class Known(eqx.Module):
    """A network that is a given function of (u, cond)."""

    function: object = eqx.field(static=True)
    channels: int = eqx.field(static=True, default=1)
    out_channels: int = eqx.field(static=True, default=1)
    spatial_axes: int = eqx.field(static=True, default=1)
    conditions: int = eqx.field(static=True, default=0)

    def __call__(self, u, *, cond=None, key=None):
        return self.function(u) if cond is None else self.function(u, cond)


def travelling(n=12, frames=10, points=16, seed=0, dtype=np.float64):
    """Waves of two modes that move by one point a frame: (n, frames, 1, points)."""
    rng = np.random.default_rng(seed)
    x = 2 * np.pi * np.arange(points) / points
    phases, sizes = rng.uniform(0, 2 * np.pi, (2, n, 1)), rng.uniform(0.5, 1.5, (2, n, 1))
    u = sum(sizes[k] * np.sin((k + 1) * x[None] + phases[k]) for k in range(2))
    return np.stack([np.roll(u, t, axis=1) for t in range(frames)], axis=1)[:, :, None].astype(dtype)
