"""Initial weights, and changing them.

Compiling a random draw takes a few tenths of a second for every new shape, half a minute for a U-Net; so draws have
few lengths and are cut to shape.
"""

import math
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray


@partial(jax.jit, static_argnames="size")
def _draw(key: PRNGKeyArray, size: int) -> Array:
    return jr.uniform(key, (size,), minval=-1.0, maxval=1.0)


@partial(jax.jit, static_argnames="size")
def _draw_normal(key: PRNGKeyArray, size: int) -> Array:
    return jr.normal(key, (size,))


def _size(n: int) -> int:
    size = 256
    while size < n:
        size *= 4
    return size


def uniform(key: PRNGKeyArray, shape: tuple[int, ...], bound: float) -> Array:
    """Numbers uniform in ±bound."""
    n = math.prod(shape)
    return bound * _draw(key, _size(n))[:n].reshape(shape)


def normal(key: PRNGKeyArray, shape: tuple[int, ...], std: float) -> Array:
    """Normal numbers of standard deviation `std`."""
    n = math.prod(shape)
    return std * _draw_normal(key, _size(n))[:n].reshape(shape)


def linear(in_size: int, out_size: int, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    """An affine map with weights and bias uniform in ±1/sqrt(in_size)."""
    bare = eqx.filter_eval_shape(lambda: eqx.nn.Linear(in_size, out_size, key=key))
    keys, bound = jr.split(key), 1 / math.sqrt(in_size)
    values = uniform(keys[0], (out_size, in_size), bound), uniform(keys[1], (out_size,), bound)
    return eqx.tree_at(lambda x: (x.weight, x.bias), bare, values)


def shrink(layer: Any, factor: float = 1e-3) -> Any:
    """The layer with its weight times `factor` and a zero bias: an output near zero from which all layers learn."""
    if layer.bias is not None:
        layer = eqx.tree_at(lambda x: x.bias, layer, jnp.zeros_like(layer.bias))
    return eqx.tree_at(lambda x: x.weight, layer, factor * layer.weight)
