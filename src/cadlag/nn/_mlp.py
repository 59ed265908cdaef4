"""Multilayer perceptrons."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray


def lipswish(x: Array) -> Array:
    """0.909 x sigmoid(x): a smooth activation of Lipschitz constant one (Chen et al., 2019)."""
    return 0.909 * jax.nn.silu(x)


def identity(x: Array) -> Array:
    """The argument itself."""
    return x


class MLP(eqx.Module):
    """A multilayer perceptron on one vector: affine layers with an activation between each two.

    **Arguments:**

    - `in_size`, `out_size`: lengths of input and output.
    - `width`: length of the hidden layers; `depth`: how many there are (0: one affine map).
    - `activation`, `final_activation`: elementwise functions.
    - `layer`: constructor `(in_size, out_size, *, key)` of the affine maps; by default weights and biases are uniform
      in ±1/sqrt(fan-in).
    - `key`: for the initial weights.
    """

    layers: tuple[Any, ...]
    activation: Callable
    final_activation: Callable

    def __init__(
        self,
        in_size: int,
        out_size: int,
        width: int,
        depth: int,
        *,
        activation: Callable = jax.nn.relu,
        final_activation: Callable = identity,
        layer: Callable = eqx.nn.Linear,
        key: PRNGKeyArray,
    ):
        for name, value, least in (("in_size", in_size, 1), ("out_size", out_size, 1), ("depth", depth, 0)):
            if value < least:
                raise ValueError(f"{name}={value} of an MLP must be at least {least}.")
        sizes = [in_size, *[width] * depth, out_size]
        keys = jr.split(key, len(sizes) - 1)
        self.layers = tuple(layer(m, n, key=k) for m, n, k in zip(sizes[:-1], sizes[1:], keys, strict=True))
        self.activation = activation
        self.final_activation = final_activation

    def __call__(self, x: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        """The output, shape (out_size,)."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.final_activation(self.layers[-1](x))
