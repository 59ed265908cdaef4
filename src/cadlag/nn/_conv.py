"""Convolutions on one example, channels last, fast to train on a CPU also inside a loop (`nn/_convolve.py`)."""

import enum
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._convolve import Geometry, convolve, convolve_transpose
from cadlag.nn._init import uniform

Sizes = int | Sequence[int]


class Padding(enum.Enum):
    """How many points are added around the input; explicit pairs (low, high) say anything else."""

    same = "as many as make the output ceil(size / stride) long"
    valid = "none"


class Boundary(enum.Enum):
    """What stands in the added points: zeros, the other end, the mirror image, the nearest point."""

    zero = "constant"
    circular = "wrap"
    reflect = "reflect"
    replicate = "edge"


class _Shape(eqx.Module):
    """The settings that `Conv` and `ConvTranspose` share, checked."""

    kernel: tuple[int, ...] = eqx.field(static=True)
    stride: tuple[int, ...] = eqx.field(static=True)
    dilation: tuple[int, ...] = eqx.field(static=True)
    padding: Padding | tuple[tuple[int, int], ...] = eqx.field(static=True)
    boundary: Boundary = eqx.field(static=True)

    def __init__(
        self, axes: int, kernel: Sizes, stride: Sizes, dilation: Sizes, padding: object, boundary: Boundary
    ) -> None:
        if axes not in (1, 2, 3):
            raise ValueError(f"spatial_axes={axes} of a convolution: expected 1, 2 or 3.")
        self.kernel = _each("kernel", kernel, axes)
        self.stride = _each("stride", stride, axes)
        self.dilation = _each("dilation", dilation, axes)
        self.padding = padding if isinstance(padding, Padding) else _pairs(padding, axes)
        self.boundary = boundary

    @property
    def axes(self) -> int:
        """How many spatial axes."""
        return len(self.kernel)

    def added(self, size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
        """The points (low, high) added along each axis of a field of this size."""
        if self.padding is Padding.valid:
            return ((0, 0),) * self.axes
        if self.padding is Padding.same:
            every = zip(size, self.kernel, self.stride, self.dilation, strict=True)
            total = [max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0) for n, k, s, d in every]
            return tuple((t // 2, t - t // 2) for t in total)
        return self.padding

    def plan(self, size: tuple[int, ...]) -> tuple[tuple[tuple[int, int], ...], Geometry]:
        """The padding to do beforehand, and the convolution that then follows."""
        added = self.added(size)
        none = ((0, 0),) * self.axes
        if self.boundary is Boundary.zero:
            before, geometry = none, Geometry(size, self.kernel, self.stride, self.dilation, added)
        else:
            self._check_reach(size, added)
            size = tuple(n + lo + hi for n, (lo, hi) in zip(size, added, strict=True))
            before, geometry = added, Geometry(size, self.kernel, self.stride, self.dilation, none)
        if min(geometry.out) < 1:
            raise ValueError(
                f"x: its spatial size {size} with padding {added} is shorter than the kernel's reach "
                f"{geometry.reach}; use Padding.same, a smaller kernel or less dilation."
            )
        return before, geometry

    def _check_reach(self, size: tuple[int, ...], added: tuple[tuple[int, int], ...]) -> None:
        most = {Boundary.circular: 0, Boundary.reflect: -1}.get(self.boundary)
        for n, pair in zip(size, added, strict=True):
            if min(pair) < 0 or (most is not None and max(pair) > n + most):
                raise ValueError(
                    f"x: its spatial size {size} is too small for padding {added} with {self.boundary}, or the "
                    "padding is negative; use Boundary.zero, a smaller kernel or a larger field."
                )

    def pad(self, x: Array, before: tuple[tuple[int, int], ...]) -> Array:
        """x with points of the boundary's kind around it."""
        if not any(map(any, before)):
            return x
        return jnp.pad(x, (*before, (0, 0)), mode=self.boundary.value)


class Conv(eqx.Module):
    """y[i] = b + Σ_k w[k] x[stride i + dilation k - low]: a convolution of one example, channels last.

    Derivatives of every order, forward and reverse, are fast on a CPU, alone and inside a loop; under `jax.vmap`
    a batch is one convolution. A batch of kernels (several seeds at once) becomes batched matrix products.

    **Arguments:**

    - `in_channels`, `out_channels`: lengths of the last axis of input and output.
    - `kernel`, `stride`, `dilation`: one integer for all spatial axes, or one for each.
    - `spatial_axes`: 1, 2 or 3.
    - `padding`: `Padding.same`, `Padding.valid`, or a pair (low, high) for each spatial axis.
    - `boundary`: what the added points hold.
    - `bias`: whether there is a b.
    - `key`: for the initial weights, uniform in ±1/sqrt(fan-in).
    """

    weight: Float[Array, "..."]
    bias: Float[Array, " out"] | None
    shape: _Shape

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes = 3,
        *,
        spatial_axes: int = 2,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        padding: Padding | Sequence[tuple[int, int]] = Padding.same,
        boundary: Boundary = Boundary.zero,
        bias: bool = True,
        key: PRNGKeyArray,
    ):
        self.shape = _Shape(spatial_axes, kernel, stride, dilation, padding, boundary)
        self.weight, self.bias = _weights(self.shape.kernel, in_channels, out_channels, False, bias, key)

    def __call__(self, x: Float[Array, "*space in"]) -> Float[Array, "*space_out out"]:
        """The output (*space_out, out_channels) of x (*space, in_channels)."""
        _check(x, self.shape.axes, self.weight.shape[-2])
        before, geometry = self.shape.plan(x.shape[:-1])
        y = convolve(self.shape.pad(x, before)[None], self.weight, geometry)[0]
        return y if self.bias is None else y + _at_every_point(self.bias, y)


class ConvTranspose(eqx.Module):
    """The transpose of the linear map of a `Conv` with the same settings, plus a bias: stride makes fields larger.

    Settings as for `Conv`, whose input would be this one's output. Without `size`, an input of n points gives
    n stride points with `Padding.same`, and else the least number that the convolution takes to n.
    """

    weight: Float[Array, "..."]
    bias: Float[Array, " out"] | None
    shape: _Shape

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes = 3,
        *,
        spatial_axes: int = 2,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        padding: Padding | Sequence[tuple[int, int]] = Padding.same,
        boundary: Boundary = Boundary.zero,
        bias: bool = True,
        key: PRNGKeyArray,
    ):
        self.shape = _Shape(spatial_axes, kernel, stride, dilation, padding, boundary)
        self.weight, self.bias = _weights(self.shape.kernel, in_channels, out_channels, True, bias, key)

    def __call__(
        self, x: Float[Array, "*space in"], *, size: Sequence[int] | None = None
    ) -> Float[Array, "*space_out out"]:
        """The output (*size, out_channels) of x (*space, in_channels); `size` is the output's spatial size."""
        _check(x, self.shape.axes, self.weight.shape[-1])
        size = self._default_size(x.shape[:-1]) if size is None else tuple(size)
        if len(size) != self.shape.axes:
            raise ValueError(f"size: got {size}, expected a length for each of {self.shape.axes} spatial axes.")
        before, geometry = self.shape.plan(size)
        if geometry.out != x.shape[:-1]:
            raise ValueError(
                f"size: a convolution takes {size} to {geometry.out}, but x has spatial size {x.shape[:-1]}; "
                f"its default would be {self._default_size(x.shape[:-1])}."
            )
        y = convolve_transpose(self.weight, x[None], geometry)[0]
        if any(map(any, before)):
            unpadded = jax.ShapeDtypeStruct((*size, y.shape[-1]), y.dtype)
            y = jax.linear_transpose(lambda z: self.shape.pad(z, before), unpadded)(y)[0]
        return y if self.bias is None else y + _at_every_point(self.bias, y)

    def _default_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        shape = self.shape
        if shape.padding is Padding.same:
            return tuple(n * s for n, s in zip(size, shape.stride, strict=True))
        every = zip(size, shape.kernel, shape.stride, shape.dilation, shape.added(size), strict=True)
        return tuple((n - 1) * s + (k - 1) * d + 1 - lo - hi for n, k, s, d, (lo, hi) in every)


def _weights(
    kernel: tuple[int, ...], in_channels: int, out_channels: int, transposed: bool, bias: bool, key: PRNGKeyArray
) -> tuple[Array, Array | None]:
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
        if value < 1:
            raise ValueError(f"{name}={value} of a convolution must be at least 1.")
    weight_key, bias_key = jr.split(key)
    bound = 1 / math.sqrt(in_channels * math.prod(kernel))
    ends = (out_channels, in_channels) if transposed else (in_channels, out_channels)
    weight = uniform(weight_key, (*kernel, *ends), bound)
    return weight, uniform(bias_key, (out_channels,), bound) if bias else None


def _at_every_point(bias: Array, y: Array) -> Array:
    return bias.reshape((1,) * (y.ndim - 1) + (-1,))


def _each(name: str, value: Sizes, axes: int) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or min(values) < 1:
        raise ValueError(
            f"{name}={value} of a convolution: expected a positive integer, or one for each of {axes} spatial axes."
        )
    return values


def _pairs(padding: object, axes: int) -> tuple[tuple[int, int], ...]:
    advice = (
        f"padding={padding!r} of a convolution: expected Padding.same, Padding.valid, or a pair (low, high) for "
        f"each of {axes} spatial axes, such as {((1, 1),) * axes}."
    )
    if not isinstance(padding, Sequence) or len(padding) != axes:
        raise ValueError(advice)
    for pair in padding:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise ValueError(advice)
    return tuple((int(lo), int(hi)) for lo, hi in padding)


def _check(x: Array, axes: int, channels: int) -> None:
    if x.ndim != axes + 1 or x.shape[-1] != channels:
        raise ValueError(
            f"x: got shape {x.shape}, expected {axes} spatial axes and then {channels} channels, one example; "
            "jax.vmap over a batch, jnp.moveaxis from channels first."
        )
