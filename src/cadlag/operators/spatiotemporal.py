"""The spatiotemporal Fourier neural operator (Cao, Brarda, Li and Xi, ICLR 2025): from trajectory to trajectory.

    v = K_0 P(norm(u + position));   v <- σ(M_l K_l v + W_l v);   w = u_last + K_out [u_last, R v]

Time is a spectral axis: K_0 turns any number of frames into `latent` ones, K_out those into as many as are asked for,
by Fourier interpolation in time. The features R v do not depend on the output's length; the output is linear in them
and in the weights of K_out, which may be refined afterwards.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn import Boundary, Conv, GroupNorm, SpectralConv, Transform
from cadlag.operators._network import Conditions, Told, check_settings
from cadlag.operators._operator import AbstractOperator


class _Layer(eqx.Module):
    """σ(M K v + W v): M a pointwise perceptron of one hidden layer."""

    spectral: SpectralConv
    mix: tuple[Conv, Conv]
    local: Conv
    told: Told
    activation: Callable = eqx.field(static=True)

    def __call__(self, v: Array, e: Array | None) -> Array:
        mixed = self.mix[1](self.activation(self.mix[0](self.spectral(v))))
        return self.activation(self.told(mixed + self.local(v), e))


class SpatiotemporalFNO(AbstractOperator):
    """`operator(u, *, cond=None, key=None)`: `(horizon, channels, *space)` from `(history, channels, *space)`.

    Any number of frames that holds the modes in time is taken, and `steps=` asks for another number than `horizon`;
    9,245,131 parameters for one channel by default.

    **Arguments:**

    - `channels`: of input and output.
    - `history`, `horizon`: usual numbers of frames.
    - `modes`: on each spatial axis and, last, in time.
    - `width`: channels inside, even; `layers`: spectral layers, the lifting one included; `latent`: frames inside;
        `hidden`: width of the perceptrons M.
    - `growth`: β, the rate at which the energy is expected to grow, in units of `longest` frames: position in time
        enters as exp(β t) sin and cos.
    - `longest`: frames that make t = 1.
    - `bias_scale`: δ, which multiplies the bias of K_out.
    - `divergence_free`: project the output's coefficients, of as many channels as axes, onto fields without
        divergence; `lengths` are then those of the box.
    - `padding`: share of each spatial axis added behind it at zero where the boundary is not circular.
    - `spatial_axes`: 1 or 2; `conditions`: length of the vector `cond`, which every layer is told.
    - `boundary`, `activation`, `transform`: as of `FNO`.
    - `key`: for the initial weights.
    """

    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    history: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    boundary: Boundary = eqx.field(static=True)
    latent: int = eqx.field(static=True)
    growth: float | int = eqx.field(static=True)
    longest: int = eqx.field(static=True)
    bias_scale: float | int = eqx.field(static=True)
    lengths: tuple[float, ...] | None = eqx.field(static=True)
    padding: float | int = eqx.field(static=True)
    condition: Conditions
    norm: GroupNorm
    lift: Conv
    first: SpectralConv
    layers: tuple[_Layer, ...]
    reduce: Conv
    last: SpectralConv

    def __init__(
        self,
        channels: int = 1,
        *,
        history: int = 10,
        horizon: int = 40,
        modes: Sequence[int] = (12, 12, 5),
        width: int = 20,
        layers: int = 4,
        latent: int = 10,
        hidden: int = 128,
        growth: float | int = 0.02,
        longest: int = 100,
        bias_scale: float | int = 0.1,
        divergence_free: bool = False,
        lengths: Sequence[float | int] | None = None,
        padding: float | int = 0.125,
        spatial_axes: int = 2,
        conditions: int = 0,
        boundary: Boundary = Boundary.circular,
        activation: Callable = jax.nn.gelu,
        transform: Transform = Transform.by_size,
        key: PRNGKeyArray,
    ):
        check_settings("SpatiotemporalFNO", channels=(channels, 1), history=(history, 1), horizon=(horizon, 1),
                       width=(width, max(2, channels - 3)), layers=(layers, 2), latent=(latent, 1), hidden=(hidden, 1),
                       longest=(longest, 1), conditions=(conditions, 0), spatial_axes=(spatial_axes, 1))  # fmt: skip
        _check(channels, modes, spatial_axes, divergence_free, lengths)
        self.channels = self.out_channels = channels
        self.history, self.horizon, self.stochastic = history, horizon, False
        self.spatial_axes, self.conditions, self.boundary = spatial_axes, conditions, boundary
        self.latent, self.growth, self.longest, self.bias_scale = latent, growth, longest, bias_scale
        box = tuple(float(a) for a in lengths or (1,) * spatial_axes)
        self.lengths, self.padding = box if divergence_free else None, padding
        keys = iter(jr.split(key, 6 + 5 * layers))
        axes = spatial_axes + 1

        def spectral(n: int, bias: bool = False) -> SpectralConv:
            return SpectralConv(n, n, modes, spatial_axes=axes, bias=bias, scale=0.5 / n**2, transform=transform,
                                key=next(keys))  # fmt: skip

        def at_points(m: int, n: int) -> Conv:
            return Conv(m, n, 1, spatial_axes=axes, key=next(keys))

        self.norm, self.lift, self.first = (
            GroupNorm(width + 3, 1, eps=1e-7),
            at_points(width + 3, width),
            spectral(width),
        )
        self.layers = tuple(
            _Layer(spectral(width), (at_points(width, hidden), at_points(hidden, width)), at_points(width, width),
                   Told(conditions, width, width, key=next(keys)), activation)
            for _ in range(layers - 1)
        )  # fmt: skip
        self.reduce, self.last = at_points(width, channels), spectral(channels, bias=True)
        self.condition = Conditions(conditions, width, key=next(keys))

    def __call__(
        self,
        u: Float[Array, "history channels *space"],
        *,
        cond: Any = None,
        key: PRNGKeyArray | None = None,
        steps: int | None = None,
    ) -> Float[Array, "horizon channels *space"]:
        """The next `steps` frames, by default `horizon`. Raises `ValueError` for shapes that do not fit."""
        del key
        return self.decode(self.features(u, cond=cond), u[-1], steps=steps)

    def features(
        self, u: Float[Array, "history channels *space"], *, cond: Any = None
    ) -> Float[Array, "latent channels *space"]:
        """R v: all that the output layer sees of the input, beside its last frame."""
        self._check_input(u, cond)
        e = self.condition(cond)
        x = jnp.moveaxis(u, (0, 1), (-2, -1))
        v = self.lift(self.norm(self._with_position(x)))
        size = self._size(u.shape[2:])
        v = self._crop(self.first(self._pad(v, size), size=(*size, self.latent)), u.shape[2:])
        for layer in self.layers:
            v = self._crop(layer(self._pad(v, size), e), u.shape[2:])
        return jnp.moveaxis(self.reduce(v), (-2, -1), (0, 1))

    def decode(
        self,
        features: Float[Array, "latent channels *space"],
        last: Float[Array, "channels *space"],
        *,
        steps: int | None = None,
    ) -> Float[Array, "horizon channels *space"]:
        """The trajectory from the features and the last frame of the input, linear in the weights of `last`."""
        steps = self.horizon if steps is None else steps
        return last[None] + self._decoded(features, last, steps, self._project)[-steps:]

    def decode_with_slopes(
        self,
        features: Float[Array, "latent channels *space"],
        last: Float[Array, "channels *space"],
        *,
        steps: int | None = None,
    ) -> tuple[Float[Array, "frames channels *space"], Float[Array, "frames channels *space"]]:
        """The trajectory with the frame before it, `steps + 1` in all, which should equal `last` but need not; and its
        derivative in time, a unit being the distance of two frames: that of the trigonometric polynomial in time.
        """
        steps = self.horizon if steps is None else steps
        length = features.shape[0] + 2 + steps
        turn = jnp.asarray(2 * np.pi * np.arange(self.last.modes[-1]) / length, features.dtype)

        def slope(h: Array) -> Array:
            h = self._project(h)
            h = h * turn.reshape(*(1,) * (h.ndim - 3), -1, 1, 1)
            return jnp.stack([-h[..., 1, :], h[..., 0, :]], -2)

        values = self._decoded(features, last, steps, self._project)[-steps - 1 :]
        return last[None] + values, self._decoded(features, last, steps, slope)[-steps - 1 :]

    def _decoded(self, features: Array, last: Array, steps: int, project: Callable) -> Array:
        """What the output layer adds to the last frame, from the padding on; `project` acts on its coefficients."""
        if steps < 1:
            raise ValueError(f"steps={steps} of a SpatiotemporalFNO must be at least 1.")
        v = jnp.moveaxis(jnp.concatenate([last[None], features]), (0, 1), (-2, -1))
        space, frames = last.shape[1:], features.shape[0] + 1
        # Zeros before the first frame: a trajectory is not periodic in time.
        v = jnp.pad(v, [(0, 0)] * len(space) + [(frames, 0), (0, 0)])
        size = self._size(space)
        self.last.check_size((*size, v.shape[-2]), "features")
        self.last.check_size((*size, frames + 1 + steps), "steps")
        w = self.last(self._pad(v, size), size=(*size, frames + 1 + steps), bias_scale=self.bias_scale,
                      project=project)  # fmt: skip
        return jnp.moveaxis(self._crop(w, space), (-2, -1), (0, 1))

    def _with_position(self, x: Array) -> Array:
        """x (*space, time, channels), repeated over width + 3 channels, plus position in space and time."""
        *space, frames, channels = x.shape
        width = self.lift.weight.shape[-1]
        t = np.arange(1, frames + 1) / self.longest
        waves = [np.exp(self.growth * t) * (np.cos if k % 2 else np.sin)(np.pi * (k + 1) * t) for k in range(width)]
        places = [np.linspace(0, 1, n) for n in space]
        mesh = np.meshgrid(*places, *([np.zeros(1)] * (2 - len(space))), t, indexing="ij")
        position = np.stack([*mesh, *(np.broadcast_to(w, mesh[0].shape) for w in waves)], -1).reshape(
            *space, frames, -1
        )
        repeated = jnp.tile(x, (1,) * (x.ndim - 1) + (-(-(width + 3) // channels),))[..., : width + 3]
        return repeated + jnp.asarray(position, x.dtype)

    def _project(self, h: Array) -> Array:
        """Coefficients (*modes, 2, axes) less their part along the wave vector."""
        if self.lengths is None:
            return h
        m = self.last.modes[:-1]
        k = np.stack(
            np.meshgrid(*(np.r_[0:n, -n:0] / a for n, a in zip(m, self.lengths, strict=True)), indexing="ij"), -1
        )
        # The mode -m has no conjugate among those that are kept, and on a grid of 2 m points no direction.
        paired = np.all(np.stack(np.meshgrid(*(np.r_[0:n, -n:0] > -n for n in m), indexing="ij")), 0)
        square = np.sum(k**2, -1)
        along = k[..., :, None] * k[..., None, :] / np.where(square > 0, square, 1)[..., None, None]
        matrix = jnp.asarray((np.eye(len(m)) - along) * paired[..., None, None], h.dtype)
        return jnp.einsum("xytpc,xycd->xytpd", h, matrix)

    def _size(self, space: tuple[int, ...]) -> tuple[int, ...]:
        share = 0.0 if self.boundary is Boundary.circular else self.padding
        return tuple(n + int(np.ceil(share * n)) for n in space)

    def _pad(self, v: Array, size: tuple[int, ...]) -> Array:
        return jnp.pad(v, [*((0, n - m) for n, m in zip(size, v.shape, strict=False)), (0, 0), (0, 0)])

    def _crop(self, v: Array, space: tuple[int, ...]) -> Array:
        return v[tuple(slice(n) for n in space)]

    def _check_input(self, u: Array, cond: Any) -> None:
        if u.ndim != 2 + self.spatial_axes or u.shape[1] != self.channels:
            raise ValueError(
                f"u: got shape {u.shape}, expected frames, then {self.channels} channels and {self.spatial_axes} "
                "spatial axes, one example; jax.vmap over a batch."
            )
        if cond is not None and not self.conditions:
            raise ValueError("cond: this SpatiotemporalFNO takes no conditions; make it with conditions=.")
        size = self._size(u.shape[2:])
        self.first.check_size((*size, u.shape[0]), "u")
        self.first.check_size((*size, self.latent), "latent")


def _check(channels: int, modes: Sequence[int], axes: int, divergence_free: bool, lengths: Any) -> None:
    if axes > 2:
        raise ValueError(f"spatial_axes={axes} of a SpatiotemporalFNO: expected 1 or 2, beside time.")
    if isinstance(modes, int) or len(modes) != axes + 1:
        raise ValueError(
            f"modes={modes} of a SpatiotemporalFNO: expected one for each of {axes} axes and one for time."
        )
    if divergence_free and (axes != 2 or channels != 2):
        raise ValueError(
            f"divergence_free: got {channels} channels on {axes} axes, expected a velocity of two channels on two axes."
        )
    if lengths is not None and len(lengths) != axes:
        raise ValueError(f"lengths={lengths} of a SpatiotemporalFNO: expected one for each of {axes} spatial axes.")
