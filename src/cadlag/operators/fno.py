"""The Fourier neural operator (Li, Kovachki, Azizzadenesheli, Liu, Bhattacharya, Stuart and Anandkumar, ICLR 2021).

    v_0 = P(u, x);    v_{l+1} = σ(W_l v_l + K_l v_l + b_l);    out = Q(v_L)

K_l multiplies the lowest Fourier coefficients by matrices, W_l acts at each point, P and Q are pointwise perceptrons.
Parameters belong to modes, not to points: the same weights act on every grid that holds the modes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import Boundary, Conv, SpectralConv, Transform
from cadlag.operators._network import AbstractNetwork, Conditions, Told, check_settings


class _Layer(eqx.Module):
    spectral: SpectralConv
    local: Conv
    told: Told

    def __call__(self, v: Array, e: Array | None) -> Array:
        return self.told(self.spectral(v) + self.local(v), e)


class FNO(AbstractNetwork):
    """The Fourier neural operator in one to three dimensions.

    **Arguments:**

    - `channels`, `out_channels`: of input and output.
    - `modes`: on each spatial axis, an integer for all: 12 of the paper's two-dimensional runs.
    - `width`: channels of the hidden layers; `layers`: how many.
    - `lift`, `project`: width of the hidden layer of P and of Q; `lift=0`: P is an affine map, as published.
    - `coordinates`: whether P also sees where a point lies, in [0, 1).
    - `padding`: share of each axis that is added behind it, at zero, between P and Q, where the boundary is not
        circular: the Fourier series then need not be periodic. Ignored with a circular one.
    - `spatial_axes`, `conditions`: axes of space; length of the vector `cond`, which every layer is told.
    - `boundary`: circular for periodic fields; all others pad.
    - `activation`: σ.
    - `transform`: how Fourier coefficients are found, see `cadlag.nn.Transform`.
    - `key`: for the initial weights.
    """

    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    boundary: Boundary = eqx.field(static=True)
    coordinates: bool = eqx.field(static=True)
    padding: float = eqx.field(static=True)
    activation: Callable = eqx.field(static=True)
    condition: Conditions
    lift: tuple[Conv, ...]
    layers: tuple[_Layer, ...]
    project: tuple[Conv, Conv]

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        modes: int | Sequence[int] = 12,
        width: int = 32,
        layers: int = 4,
        lift: int = 0,
        project: int = 128,
        coordinates: bool = True,
        padding: float = 0.125,
        spatial_axes: int = 2,
        conditions: int = 0,
        boundary: Boundary = Boundary.circular,
        activation: Callable = jax.nn.gelu,
        transform: Transform = Transform.by_size,
        key: PRNGKeyArray,
    ):
        check_settings("FNO", channels=(channels, 1), out_channels=(out_channels, 1), width=(width, 1),
                       layers=(layers, 1), lift=(lift, 0), project=(project, 1), conditions=(conditions, 0),
                       spatial_axes=(spatial_axes, 1))  # fmt: skip
        if not 0 <= padding <= 1:
            raise ValueError(f"padding={padding} of an FNO: expected a share of each axis, in [0, 1].")
        self.channels, self.out_channels = channels, out_channels
        self.spatial_axes, self.conditions, self.boundary = spatial_axes, conditions, boundary
        self.coordinates, self.padding, self.activation = coordinates, padding, activation
        keys = iter(jr.split(key, 5 + 3 * layers))

        def at_points(m: int, n: int) -> Conv:
            return Conv(m, n, 1, spatial_axes=spatial_axes, key=next(keys))

        seen = channels + (spatial_axes if coordinates else 0)
        self.lift = (at_points(seen, lift), at_points(lift, width)) if lift else (at_points(seen, width),)
        self.layers = tuple(
            _Layer(
                SpectralConv(width, width, modes, spatial_axes=spatial_axes, transform=transform, key=next(keys)),
                at_points(width, width),
                Told(conditions, width, width, key=next(keys)),
            )
            for _ in range(layers)
        )
        self.project = at_points(width, project), at_points(project, out_channels)
        self.condition = Conditions(conditions, width, key=next(keys))

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError` for a grid that does not hold the modes."""
        self.layers[0].spectral.check_size(tuple(n + k for n, k in zip(size, self._added(size), strict=True)), "u")

    def transform(self, x: Array, cond: Any, key: PRNGKeyArray | None) -> Array:
        """(*space, out_channels) from (*space, channels)."""
        del key
        e, size = self.condition(cond), x.shape[:-1]
        v = x if not self.coordinates else jnp.concatenate([x, _coordinates(size, x.dtype)], -1)
        for i, layer in enumerate(self.lift):
            v = layer(v if i == 0 else self.activation(v))
        v = jnp.pad(v, [*((0, k) for k in self._added(size)), (0, 0)])
        for i, layer in enumerate(self.layers):
            v = layer(v, e)
            v = self.activation(v) if i < len(self.layers) - 1 else v
        v = v[tuple(slice(n) for n in size)]
        return self.project[1](self.activation(self.project[0](v)))

    def _added(self, size: tuple[int, ...]) -> tuple[int, ...]:
        share = 0.0 if self.boundary is Boundary.circular else self.padding
        return tuple(int(np.ceil(share * n)) for n in size)


def _coordinates(size: tuple[int, ...], dtype: Any) -> Array:
    mesh = np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij")
    return jnp.asarray(np.stack(mesh, -1), dtype)
