"""Layers of finite width in the NTK parametrisation: parameters are standard normal, their scale stands outside.

With W the weights of a layer with n inputs, z = (weight_std / sqrt(n)) W x + bias_std b. In the standard
parametrisation z = V x + c, V = (weight_std / sqrt(n)) W and c = bias_std b are trained: the same functions, but
a gradient step of rate r on W is one of rate r weight_std² / n on V, and of r bias_std² on c. `standard_rates` says
these factors, `standard` builds the layer.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


class ScaledLinear(eqx.Module):
    """z = (weight_std / sqrt(n)) W x + bias_std b over the channels of x (n, *space). Drawn by `scaled_linear`."""

    weight: Float[Array, "out n"]
    bias: Float[Array, " out"]
    weight_std: float = eqx.field(static=True)
    bias_std: float = eqx.field(static=True)

    @property
    def scales(self) -> tuple[float, float]:
        """The factors of W and b."""
        return self.weight_std / math.sqrt(self.weight.shape[1]), self.bias_std

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "out ..."]:
        """The output (out, *space)."""
        flat = x.reshape(x.shape[0], -1)
        return _affine(self, flat).reshape(-1, *x.shape[1:])


class ScaledConv(eqx.Module):
    """A convolution with weights scaled by weight_std / sqrt(n * points of the filter). Drawn by `scaled_conv`.

    **Arguments:** the parameters (`weight` of shape (out, n, *filter)) and deviations, `stride`, whether the border is
    padded (`pad`), with the other end (`wrap`) or zeros.
    """

    weight: Float[Array, "out n ..."]
    bias: Float[Array, " out"]
    weight_std: float = eqx.field(static=True)
    bias_std: float = eqx.field(static=True)
    stride: int = eqx.field(static=True, default=1)
    wrap: bool = eqx.field(static=True, default=False)
    pad: bool = eqx.field(static=True, default=True)

    @property
    def scales(self) -> tuple[float, float]:
        """The factors of W and b."""
        return self.weight_std / math.sqrt(math.prod(self.weight.shape[1:])), self.bias_std

    def __call__(self, x: Float[Array, "n ..."]) -> Float[Array, "out ..."]:
        """The output (out, *space)."""
        sizes = self.weight.shape[2:]
        if self.pad:
            halves = [(0, 0), *((q // 2, q // 2) for q in sizes)]
            x = jnp.pad(x, halves, mode="wrap" if self.wrap else "constant")
        spans = [n - q + 1 for n, q in zip(x.shape[1:], sizes, strict=True)]
        # Shifted copies and one product of matrices: on a CPU many times faster than a convolution in double precision.
        shifted = [self._part(x, d, spans) for d in itertools.product(*map(range, sizes))]
        patches = jnp.stack(shifted, axis=1)
        flat = patches.reshape(patches.shape[0] * patches.shape[1], -1)
        return _affine(self, flat).reshape(-1, *patches.shape[2:])

    def _part(self, x: Array, start: tuple[int, ...], spans: list[int]) -> Array:
        stops = [d + n for d, n in zip(start, spans, strict=True)]
        return jax.lax.slice(x, (0, *start), (x.shape[0], *stops), (1, *(self.stride,) * len(spans)))


def _affine(layer: "ScaledLinear | ScaledConv", flat: Float[Array, "n points"]) -> Float[Array, "out points"]:
    w, b = layer.scales
    weight = layer.weight.reshape(layer.weight.shape[0], -1).astype(flat.dtype)
    return w * jnp.matmul(weight, flat) + b * layer.bias.astype(flat.dtype)[:, None]


def scaled_linear(n: int, out: int, *, weight_std: Any, bias_std: Any, key: PRNGKeyArray) -> ScaledLinear:
    """A layer with standard normal parameters."""
    return ScaledLinear(*_draw(key, (out, n)), float(weight_std), float(bias_std))


def scaled_conv(
    n: int, out: int, filter: tuple[int, ...], *, weight_std: Any, bias_std: Any, key: PRNGKeyArray, **how: Any
) -> ScaledConv:
    """A layer with standard normal parameters; `how` are `stride`, `wrap` and `pad`."""
    return ScaledConv(*_draw(key, (out, n, *filter)), float(weight_std), float(bias_std), **how)


def _draw(key: PRNGKeyArray, shape: tuple[int, ...]) -> tuple[Array, Array]:
    weight_key, bias_key = jr.split(key)
    return jr.normal(weight_key, shape), jr.normal(bias_key, shape[:1])


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


def _standard(layer: Any) -> Any:
    w, b = layer.scales
    root = math.sqrt(math.prod(layer.weight.shape[1:]))
    return dataclasses.replace(layer, weight=w * layer.weight, bias=b * layer.bias, weight_std=root, bias_std=1.0)


def _rates(layer: Any) -> Any:
    w, b = layer.scales
    return eqx.tree_at(lambda x: (x.weight, x.bias), _standard(layer), (w**2, b**2))
