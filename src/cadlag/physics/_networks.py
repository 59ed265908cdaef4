"""Networks by the domain of an equation: what a method's setting `network` looks like."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import PRNGKeyArray

from cadlag.fields import Box
from cadlag.nn import MLP, SIREN, CoordinateNetwork, ModifiedMLP, PeriodicEmbedding, ToUnit, glorot_linear


def mlp(
    domain: Box,
    components: int = 1,
    *,
    width: int = 64,
    depth: int = 4,
    activation: Callable = jnp.tanh,
    encoder: Callable | None = None,
    layer: Callable = glorot_linear,
    scale: float | int = 1.0,
    shift: float | int = 0.0,
    key: PRNGKeyArray,
) -> CoordinateNetwork:
    """A perceptron of the encoded point.

    **Arguments:**

    - `domain`, `components`: where u lives and how many components it has.
    - `width`, `depth`, `activation`: of the hidden layers.
    - `encoder`: constructor `(box, *, key)`; by default `PeriodicEmbedding` where the domain has a periodic axis,
      `ToUnit` elsewhere. `functools.partial(RandomFourierFeatures, scale=2.0)` sets options.
    - `layer`: constructor of the affine maps, `glorot_linear` or `FactorisedLinear`.
    - `scale`, `shift`: expected magnitude and level of u.
    """
    return _network(
        MLP, domain, components, encoder, scale, shift, key,
        width=width, depth=depth, activation=activation, layer=layer,
    )  # fmt: skip


def modified_mlp(
    domain: Box,
    components: int = 1,
    *,
    width: int = 64,
    depth: int = 4,
    activation: Callable = jnp.tanh,
    encoder: Callable | None = None,
    layer: Callable = glorot_linear,
    scale: float | int = 1.0,
    shift: float | int = 0.0,
    key: PRNGKeyArray,
) -> CoordinateNetwork:
    """A perceptron whose layers mix two gates of the encoded point; arguments as for `mlp`."""
    return _network(
        ModifiedMLP, domain, components, encoder, scale, shift, key,
        width=width, depth=depth, activation=activation, layer=layer,
    )  # fmt: skip


def siren(
    domain: Box,
    components: int = 1,
    *,
    width: int = 64,
    depth: int = 4,
    omega: float | int = 10.0,
    encoder: Callable | None = None,
    scale: float | int = 1.0,
    shift: float | int = 0.0,
    key: PRNGKeyArray,
) -> CoordinateNetwork:
    """Sines of sines of the encoded point; `omega` is the frequency of every layer, other arguments as for `mlp`."""
    return _network(
        SIREN, domain, components, encoder, scale, shift, key, width=width, depth=depth, first_omega=omega, omega=omega
    )


def _network(
    body: Callable,
    domain: Box,
    components: int,
    encoder: Callable | None,
    scale: float | int,
    shift: float | int,
    key: PRNGKeyArray,
    **options: Any,
) -> CoordinateNetwork:
    first, second = jr.split(key)
    if encoder is None:
        encoder = PeriodicEmbedding if domain.periodic else ToUnit
    encode = encoder(domain, key=first)
    net = body(encode.size, components, key=second, **options)
    return CoordinateNetwork(encode, net, components, scale=scale, shift=shift)
