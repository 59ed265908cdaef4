"""Layers of finite width in the NTK parametrisation: parameters are standard normal, their scale stands outside.

With W the weights of a layer with n inputs, z = (weight_std / sqrt(n)) W x + bias_std b. In the standard
parametrisation z = V x + c, V = (weight_std / sqrt(n)) W and c = bias_std b are trained: the same functions, but
a gradient step of rate r on W is one of rate r weight_std² / n on V, and of r bias_std² on c. `standard_rates` says
these factors, `standard` builds the layer.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


def _draw(key: PRNGKeyArray, *shapes: tuple[int, ...]) -> tuple[Array, ...]:
    return tuple(jr.normal(k, s) for k, s in zip(jr.split(key, len(shapes)), shapes, strict=True))


class ScaledLinear(eqx.Module):
    """z = (weight_std / sqrt(n)) W x + bias_std b over the channels of x (n, *space).

    **Arguments:** `channels` n, `out_channels`, the deviations, and `key` for W and b.
    """

    weight: Float[Array, "out n"]
    bias: Float[Array, " out"]
    weight_std: Any
    bias_std: Any

    def __init__(self, channels: int, out_channels: int, *, weight_std: Any, bias_std: Any, key: PRNGKeyArray) -> None:
        self.weight, self.bias = _draw(key, (out_channels, channels), (out_channels,))
        self.weight_std, self.bias_std = float(weight_std), float(bias_std)

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "out ..."]:
        """The output (out, *space)."""
        flat = x.reshape(x.shape[0], -1)
        z = jnp.matmul(self.weight.astype(x.dtype), flat) * (self.weight_std / math.sqrt(x.shape[0]))
        z = z + self.bias_std * self.bias.astype(x.dtype)[:, None]
        return z.reshape(-1, *x.shape[1:])


class ScaledConv(eqx.Module):
    """A convolution with weights scaled by weight_std / sqrt(n * points of the filter).

    **Arguments:** `channels` n, `out_channels`, `filter` sizes, the deviations, `stride`, whether the border is padded
    (`pad`) and with the other end (`wrap`) or zeros, and `key`.
    """

    weight: Float[Array, "out n ..."]
    bias: Float[Array, " out"]
    weight_std: Any
    bias_std: Any
    stride: int = eqx.field(static=True)
    wrap: bool = eqx.field(static=True)
    pad: bool = eqx.field(static=True)

    def __init__(
        self, channels: int, out_channels: int, filter: tuple[int, ...], *, weight_std: Any, bias_std: Any,
        stride: int, wrap: bool, pad: bool, key: PRNGKeyArray,
    ) -> None:  # fmt: skip
        self.weight, self.bias = _draw(key, (out_channels, channels, *filter), (out_channels,))
        self.weight_std, self.bias_std = float(weight_std), float(bias_std)
        self.stride, self.wrap, self.pad = stride, wrap, pad

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "out ..."]:
        """The output (out, *space)."""
        sizes = self.weight.shape[2:]
        if self.pad:
            halves = [(0, 0), *((q // 2, q // 2) for q in sizes)]
            x = jnp.pad(x, halves, mode="wrap" if self.wrap else "constant")
        strides = (self.stride,) * len(sizes)
        z = jax.lax.conv_general_dilated(x[None], self.weight.astype(x.dtype), strides, "VALID")[0]
        z = z * (self.weight_std / math.sqrt(x.shape[0] * math.prod(sizes)))
        return z + (self.bias_std * self.bias.astype(x.dtype)).reshape(-1, *(1,) * len(sizes))


class Chain(eqx.Module):
    """Layers one after another."""

    layers: tuple[Callable[[Array], Array], ...]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The last output."""
        for layer in self.layers:
            x = layer(x)
        return x


class Branches(eqx.Module):
    """The sum of branches."""

    layers: tuple[Callable[[Array], Array], ...]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The sum."""
        outputs = [layer(x) for layer in self.layers]
        return sum(outputs[1:], outputs[0])


class Pointwise(eqx.Module):
    """A function of each entry."""

    function: Callable[[Array], Array]

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """f(x)."""
        return self.function(x)


class Unchanged(eqx.Module):
    """x."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """x."""
        return x


class Flattened(eqx.Module):
    """All entries as one vector."""

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, " n"]:
        """The vector."""
        return x.reshape(-1)


class Normalised(eqx.Module):
    """x over its root mean square over channels, less its mean where asked."""

    eps: float | int = eqx.field(static=True)
    centre: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """The normalised input."""
        x = x - jnp.mean(x, axis=0, keepdims=True) if self.centre else x
        return x / jnp.sqrt(jnp.mean(x * x, axis=0, keepdims=True) + self.eps)


class Pooled(eqx.Module):
    """Means over windows of the axes after the channels."""

    window: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """The means."""
        from cadlag.kernels._gram_shapes import window_means

        return window_means(x, 1, self.window)


class Dropped(eqx.Module):
    """One mask of dropout, fixed: each example of a batch has its own in training."""

    mask: Any
    rate: float | int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], rate: float | int, *, key: PRNGKeyArray) -> None:
        self.mask, self.rate = jr.bernoulli(key, 1 - rate, shape), rate

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The input with units left out."""
        return jnp.where(self.mask, x / (1 - self.rate), 0)


def standard(network: Any) -> Any:
    """The same function in the standard parametrisation, its scales multiplied into the parameters."""
    return jax.tree.map(lambda layer: _standard(layer) if _scaled(layer) else layer, network, is_leaf=_scaled)


def standard_rates(network: Any) -> Any:
    """What to multiply the learning rate with, leaf by leaf of `standard(network)`, to train as `network` does.

    Weights get weight_std² / fan-in and biases bias_std²; None stands for what is not trained.
    """
    return jax.tree.map(lambda layer: _rates(layer) if _scaled(layer) else None, network, is_leaf=_scaled)


def _scaled(layer: Any) -> bool:
    return isinstance(layer, ScaledLinear | ScaledConv)


def _factors(layer: Any) -> tuple[float, float]:
    return layer.weight_std / math.sqrt(math.prod(layer.weight.shape[1:])), layer.bias_std


def _standard(layer: Any) -> Any:
    w, b = _factors(layer)
    return eqx.tree_at(
        lambda x: (x.weight, x.bias, x.weight_std, x.bias_std),
        layer,
        (w * layer.weight, b * layer.bias, math.sqrt(math.prod(layer.weight.shape[1:])), 1.0),
    )


def _rates(layer: Any) -> Any:
    w, b = _factors(layer)
    return eqx.tree_at(lambda x: (x.weight, x.bias), eqx.filter(layer, eqx.is_inexact_array), (w**2, b**2))
