"""The curvature of any model's loss on all examples and on batches, measured and as random matrices have it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from cadlag.lens._spiked import critical_batch, effective_batch, largest_rate, spiked_eigenvalue
from cadlag.linalg import HessianProduct, extreme_eigenpairs, hessian_product, sum_examples


class BatchCurvature(NamedTuple):
    """The largest eigenvalue of the Hessian, on everything and on batches.

    - `parameters` P, `examples` N; `largest` λ on all examples, with its Lanczos `residual`.
    - `noise`: Pσ² of one example as seen along the top eigenvector; `isotropic`: as seen along random directions, which
        misses noise that is aligned with it.
    - `batches` (k,), `measured` (k,) means over draws of a batch's largest eigenvalue, `error` (k,) their standard
        errors, `predicted` (k,) by `noise`.
    """

    parameters: int
    examples: int
    largest: float
    residual: float
    noise: float
    isotropic: float
    batches: np.ndarray
    measured: np.ndarray
    error: np.ndarray
    predicted: np.ndarray

    @property
    def critical(self) -> float:
        """The batch size from which on rates stop to grow, see `critical_batch`."""
        return critical_batch(self.largest, self.noise)

    @property
    def excess(self) -> np.ndarray:
        """(measured - λ) b̄, which is the same for all batches as far as 1/b is the law."""
        return (self.measured - self.largest) * effective_batch(self.batches, self.examples)

    def largest_rate(self, batch: Any) -> np.ndarray:
        """The rate at which SGD with such batches stops to converge, see `largest_rate`."""
        return largest_rate(batch, self.largest, self.noise, examples=self.examples)


def batch_curvature(
    loss: Callable,
    model: PyTree,
    data: PyTree,
    *,
    batches: Sequence[int] = (8, 32, 128),
    draws: int = 8,
    steps: int = 30,
    batch_size: int | None = None,
    key: Any,
) -> BatchCurvature:
    """Measure the largest eigenvalue on batches drawn without replacement, and predict it.

    **Arguments:**

    - `loss`, `model`, `data`, `batch_size`: as for `linalg.hessian_product`; `loss(model, example)` of ONE example.
    - `batches`: sizes, each drawn `draws` times; `steps` of Lanczos each.

    **Raises:** as `hessian_product`; ValueError for batches that do not fit, and FloatingPointError where products are
    not finite.
    """
    hessian = hessian_product(loss, model, data, batch_size=batch_size)
    n = hessian.examples
    wrong = [b for b in batches if not 1 <= b <= n]
    if wrong or draws < 1 or not batches:
        raise ValueError(f"batches={list(batches)}, draws={draws}: expected sizes between 1 and {n}, and a draw.")
    steps = min(steps, hessian.size)
    k1, k2, k3 = jr.split(key, 3)
    top = extreme_eigenpairs(hessian, hessian.parameters, steps=steps, key=k1)
    if not np.isfinite(float(top.values[0])):
        raise FloatingPointError("The Hessian's products are NaN or infinite: the loss, or the model, is broken.")
    vector = jax.tree.map(lambda a: a[0], top.vectors)
    noise = directional_noise(hessian, vector)
    isotropic = isotropic_noise(hessian, key=k2)
    tops = [np.asarray(_draws(hessian, b, steps, jr.split(jr.fold_in(k3, b), draws)), float) for b in batches]
    measured = np.array([t.mean() for t in tops])
    error = np.array([t.std(ddof=1) / draws**0.5 if draws > 1 else np.nan for t in tops])
    predicted = spiked_eigenvalue(float(top.values[0]), noise / effective_batch(batches, n))
    return BatchCurvature(
        hessian.size, n, float(top.values[0]), float(top.residuals[0]), noise, isotropic, np.asarray(batches), measured,
        error, predicted,
    )  # fmt: skip


def directional_noise(hessian: HessianProduct, vector: PyTree) -> float:
    """Pσ² along an eigenvector v: E|(h_i - H) v|² - Var vᵀ h_i v over examples, from second-order perturbation."""
    squares, along = _deviations(hessian, vector)
    return max(0.0, float(squares - along))


def isotropic_noise(hessian: HessianProduct, *, probes: int = 4, key: Any) -> float:
    """Pσ² along random directions: the mean of E|(h_i - H) z|² over unit z."""
    found = []
    for k in jr.split(key, probes):
        flat, unravel = ravel_pytree(hessian.parameters)
        z = jr.normal(k, flat.shape, flat.dtype)
        found.append(float(_deviations(hessian, unravel(z / jnp.linalg.norm(z)))[0]))
    return float(np.mean(found))


@eqx.filter_jit
def _deviations(hessian: HessianProduct, v: PyTree) -> tuple[Array, Array]:
    """Means over examples of |(h_i - H) v|² and (vᵀ (h_i - H) v)².

    From the deviations themselves: a difference of mean squares would lose its digits in single precision.
    """
    direction, whole = ravel_pytree(v)[0], ravel_pytree(hessian(v))[0]

    def of_chunk(chunk: PyTree) -> tuple[Array, Array]:
        def one(example: PyTree) -> tuple[Array, Array]:
            rest = ravel_pytree(hessian.of_example(v, example))[0] - whole
            return jnp.vdot(rest, rest), jnp.vdot(direction, rest) ** 2

        squares, along = jax.vmap(one)(chunk)
        return jnp.sum(squares), jnp.sum(along)

    squares, along = sum_examples(of_chunk, hessian.data, hessian.batch_size)
    return squares / hessian.examples, along / hessian.examples


@eqx.filter_jit
def _draws(hessian: HessianProduct, batch: int, steps: int, keys: Any) -> Array:
    """The largest eigenvalue on each of some batches."""

    def one(key: Any) -> Array:
        chosen, start = jr.split(key)
        part = hessian.take(jr.permutation(chosen, hessian.examples)[:batch])
        return extreme_eigenpairs(part, part.parameters, steps=steps, key=start).values[0]

    return jax.lax.map(one, keys)
