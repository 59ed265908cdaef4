"""Weights of the loss's terms: fixed, by norms of gradients, by traces of the tangent kernel."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree


class Terms(eqx.Module):
    """The loss's terms at one batch, as functions of the unknowns: what weights may ask for.

    - `names`: "residual" ("residual[0]", … for a system), then the kinds of conditions, then "data".
    - `values(unknowns) -> (terms,)`: mean squares, unweighted between terms.
    - `rows(unknowns) -> tuple of (n_j,)`: residuals entry by entry, from a few points of each term.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    values: Callable[[PyTree], Float[Array, " terms"]]
    rows: Callable[[PyTree], tuple[Float[Array, " n"], ...]]


class AbstractTermWeights(eqx.Module):
    """A weight for each term of the loss.

    To write your own, give `init(names)`, the first weights, and `update(weights, step, terms, unknowns)`, called
    before every step with its number (from 0), which returns the next ones. Gradients do not flow through weights.
    """

    @abstractmethod
    def init(self, names: tuple[str, ...]) -> Float[Array, " terms"]:
        """The first weights."""

    @abstractmethod
    def update(
        self, weights: Float[Array, " terms"], step: Int[Array, ""], terms: Terms, unknowns: PyTree
    ) -> Float[Array, " terms"]:
        """The weights of this step."""


class FixedWeights(AbstractTermWeights):
    """Constant weights by name: `FixedWeights({"initial": 100.0})`; those not named are 1.

    "residual" stands for all residuals of a system, "residual[0]" for one. Names that the loss does not have are
    refused when training starts.
    """

    given: tuple[tuple[str, float], ...] = eqx.field(static=True)

    def __init__(self, given: Mapping[str, float | int] | None = None):
        self.given = tuple((name, float(w)) for name, w in (given or {}).items())
        for name, w in self.given:
            if not 0 <= w < float("inf"):
                raise ValueError(f"FixedWeights: weight {w} of {name!r}; expected a finite number >= 0.")

    def init(self, names: tuple[str, ...]) -> Float[Array, " terms"]:
        """The weights, in the order of the names."""
        given = dict(self.given)
        known = {n for name in names for n in (name, name.split("[")[0])}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ValueError(f"FixedWeights: no terms {unknown} in this loss; it has {list(names)}.")
        return jnp.asarray([given.get(name, given.get(name.split("[")[0], 1.0)) for name in names])

    def update(
        self, weights: Float[Array, " terms"], step: Int[Array, ""], terms: Terms, unknowns: PyTree
    ) -> Float[Array, " terms"]:
        """As they are."""
        return weights


class GradientNormWeights(AbstractTermWeights):
    """λ_j = mean_k |∇L_k| / |∇L_j|, so that all terms pull equally hard; a moving average.

    Wang, Teng, Perdikaris (2021); the form of Wang, Sankaran, Wang, Perdikaris, An expert's guide to training
    physics-informed neural networks (arXiv 2308.08468), algorithm 1.

    **Arguments:** `every`, steps between two updates, each of which costs a backward pass a term; `momentum`, the
    weight of the old value.
    """

    every: int = eqx.field(static=True, default=100)
    momentum: float | int = eqx.field(static=True, default=0.9)

    def __check_init__(self) -> None:
        check_average("GradientNormWeights", self.every, self.momentum)

    def init(self, names: tuple[str, ...]) -> Float[Array, " terms"]:
        """Ones."""
        return jnp.ones(len(names))

    def update(
        self, weights: Float[Array, " terms"], step: Int[Array, ""], terms: Terms, unknowns: PyTree
    ) -> Float[Array, " terms"]:
        """A step of the average where one is due."""

        def wanted() -> Float[Array, " terms"]:
            params, static = eqx.partition(unknowns, eqx.is_inexact_array)
            rows = jax.jacrev(lambda p: terms.values(eqx.combine(p, static)))(params)
            return balanced(jnp.sqrt(_square_norms(rows, len(terms.names))))

        return _averaged(weights, step, self.every, self.momentum, wanted)


class NTKWeights(AbstractTermWeights):
    """λ_j = mean_k T_k / T_j, T_j being the mean diagonal entry of the tangent kernel of term j: all terms converge
    equally fast. A moving average.

    Wang, Yu, Perdikaris, When and why PINNs fail to train (2022), eq. 6.4, with means in place of sums.

    **Arguments:** `every`, `momentum` as in `GradientNormWeights`. Eight points of each term are used.
    """

    every: int = eqx.field(static=True, default=100)
    momentum: float | int = eqx.field(static=True, default=0.9)

    def __check_init__(self) -> None:
        check_average("NTKWeights", self.every, self.momentum)

    def init(self, names: tuple[str, ...]) -> Float[Array, " terms"]:
        """Ones."""
        return jnp.ones(len(names))

    def update(
        self, weights: Float[Array, " terms"], step: Int[Array, ""], terms: Terms, unknowns: PyTree
    ) -> Float[Array, " terms"]:
        """A step of the average where one is due."""

        def wanted() -> Float[Array, " terms"]:
            params, static = eqx.partition(unknowns, eqx.is_inexact_array)
            rows = jax.jacrev(lambda p: terms.rows(eqx.combine(p, static)))(params)
            return balanced(jnp.stack([jnp.mean(_square_norms(r, _length(r))) for r in rows]))

        return _averaged(weights, step, self.every, self.momentum, wanted)


def balanced(size: Float[Array, " terms"]) -> Float[Array, " terms"]:
    """mean(size) / size; 1 where a term has no gradient at all, as at an exact solution."""
    return jnp.where(size > 0, jnp.mean(size) / jnp.where(size > 0, size, 1), 1)


def check_average(owner: str, every: int, momentum: float | int) -> None:
    """Refuse periods below one and averages that do not average."""
    if every < 1 or not 0 <= momentum < 1:
        raise ValueError(f"{owner}: got every={every}, momentum={momentum}; expected every >= 1, 0 <= momentum < 1.")


def _averaged(
    weights: Array, step: Int[Array, ""], every: int, momentum: float | int, wanted: Callable[[], Array]
) -> Array:
    def new() -> Array:
        return (momentum * weights + (1 - momentum) * wanted()).astype(weights.dtype)

    return jax.lax.cond(step % every == 0, new, lambda: weights)


def _length(jacobian: PyTree) -> int:
    return jax.tree.leaves(jacobian)[0].shape[0]


def _square_norms(jacobian: PyTree, rows: int) -> Float[Array, " rows"]:
    """Σ over all unknowns of the squared derivatives of each row."""
    leaves: list[Any] = jax.tree.leaves(jacobian)
    return sum((jnp.sum(jnp.square(x).reshape(rows, -1), axis=1) for x in leaves), jnp.zeros(rows, leaves[0].dtype))
