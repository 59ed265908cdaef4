"""Gram states and the maps between them: what a layer of infinite width does to the covariance of its inputs.

A layer of n units at a point x has a covariance K(x, x') = E[z(x) z(x')] and a tangent kernel T(x, x') (the inner
product of gradients of one unit), both deterministic as n goes to infinity. A `GramMap` takes both to those of the
next layer; maps composed are the NNGP and the NTK of an architecture. Jacot, Gabriel and Hongler, NeurIPS 2018; Lee
et al., ICLR 2018; images: Novak et al., ICLR 2019, and Arora et al., NeurIPS 2019.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray


class Gram(eqx.Module):
    """Covariances of a layer between n points x and m points z, which may be images with positions.

    **Arguments:**

    - `k12`: (n, m) for vectors. For images (n, m, *space) between equal positions or, with `joint`, (n, m, *space,
      *space) between all.
    - `k11`, `k22`: within each x, (n,), and each z, (m,), with the same axes of space.
    - `tangent`: the NTK, of the shape of k12, or None where only the covariance is wanted.
    - `same`: which pairs are one and the same example, (n, m), or None for none; there exact diagonals are used.
    - `joint`: whether covariances between different positions are kept, which pooling needs.
    - `gaussian`: whether units are centred, Gaussian and independent of one another, as after a `Dense` layer.
    """

    k12: Float[Array, "..."]
    k11: Float[Array, "..."]
    k22: Float[Array, "..."]
    tangent: Float[Array, "..."] | None = None
    same: Bool[Array, "n m"] | None = None
    joint: bool = eqx.field(static=True, default=False)
    gaussian: bool = eqx.field(static=True, default=False)

    @property
    def space(self) -> tuple[int, ...]:
        """The sizes of the axes of space; () for vectors."""
        axes = self.k11.shape[1:]
        return axes[: len(axes) // 2] if self.joint else axes

    def each(self, function: Callable[[Array], Array], **changes: Any) -> "Gram":
        """The state with `function`, of an array with two axes of examples, applied to every covariance."""
        tangent = None if self.tangent is None else function(self.tangent)
        # Within one example there is one axis; a second of length one makes all alike.
        k11, k22 = (function(k[:, None])[:, 0] for k in (self.k11, self.k22))
        return dataclasses.replace(self, k12=function(self.k12), k11=k11, k22=k22, tangent=tangent, **changes)

    def variances(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """The variances at each position, (n, *space) and (m, *space)."""
        return self._at_positions(self.k11), self._at_positions(self.k22)

    def _at_positions(self, k: Array) -> Array:
        if not self.joint:
            return k
        size = math.prod(self.space)
        return jnp.diagonal(k.reshape(-1, size, size), axis1=1, axis2=2).reshape(-1, *self.space)

    def positions(self) -> Bool[Array, "..."] | None:
        """Which pairs of positions are one, (*space, *space); None where only those are kept."""
        if not self.joint:
            return None
        size = math.prod(self.space)
        return jnp.eye(size, dtype=bool).reshape(*self.space, *self.space)

    def same_units(self) -> Bool[Array, "..."] | None:
        """Where k12 is a variance, broadcastable to its shape: the same example, at the same position."""
        if self.same is None:
            return None
        axes = self.k12.ndim - 2
        same = self.same.reshape(*self.same.shape, *(1,) * axes)
        where = self.positions()
        return same if where is None else same & where[None, None]


class AbstractGramMap(eqx.Module):
    """One layer in the limit of infinite width: a map from `Gram` to `Gram`.

    To write your own, give `__call__`, the property `joint` (whether it needs covariances between different positions
    of an image), and `layer`, the layer of finite width whose limit the map is, in the NTK parametrisation: weights and
    biases are standard normal and scaled when used. Combine maps with `Serial`.
    """

    @property
    @abc.abstractmethod
    def joint(self) -> bool:
        """Whether covariances between different positions of an image are needed."""

    @abc.abstractmethod
    def __call__(self, gram: Gram) -> Gram:
        """The state after the layer."""

    @abc.abstractmethod
    def layer(self, shape: tuple[int, ...], width: int, *, key: PRNGKeyArray) -> Callable[[Array], Array]:
        """A layer of so many units (channels) for one input of a shape (channels, *space)."""


def input_gram(
    x: Float[Array, "n ..."],
    z: Float[Array, "m ..."],
    *,
    same: Bool[Array, "n m"] | None = None,
    joint: bool = False,
    tangent: bool = True,
) -> Gram:
    """The state of the inputs, K(x, x') = x·x' / channels at each position (or pair of them), with a tangent of zero.

    Examples are vectors (channels,) or images (channels, *space).
    """
    across, within = ("ncp,mcq->nmpq", "ncp,ncq->npq") if joint else ("ncp,mcp->nmp", "ncp,ncp->np")
    k12 = _products(across, x, z)
    return Gram(
        k12=k12,
        k11=_products(within, x, x),
        k22=_products(within, z, z),
        tangent=jnp.zeros_like(k12) if tangent else None,
        same=same,
        joint=joint,
    )


def _products(spec: str, x: Array, z: Array) -> Array:
    """Mean products over channels, the positions being one axis p (and q) of the contraction."""
    space = x.shape[2:]
    flat = [a.reshape(*a.shape[:2], -1) for a in (x, z)]
    out = jnp.einsum(spec, *flat, precision="highest") / x.shape[1]
    examples = out.shape[: 2 if "nm" in spec else 1]
    return out.reshape(*examples, *space * (2 if "q" in spec else 1))
