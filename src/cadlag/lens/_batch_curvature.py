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
    tops = [_draws(hessian, b, draws, steps, jr.fold_in(k3, b)) for b in batches]
    measured = np.array([t.mean() for t in tops])
    error = np.array([t.std(ddof=1) / draws**0.5 if draws > 1 else np.nan for t in tops])
    predicted = spiked_eigenvalue(float(top.values[0]), noise / effective_batch(batches, n))
    return BatchCurvature(
        hessian.size, n, float(top.values[0]), float(top.residuals[0]), noise, isotropic, np.asarray(batches), measured,
        error, predicted,
    )  # fmt: skip


def directional_noise(hessian: HessianProduct, vector: PyTree) -> float:
    """Pσ² along an eigenvector v: E|(h_i - H) v|² - Var vᵀ h_i v over examples, from second-order perturbation."""
    squares, pushes, mean = _moments(hessian, vector)
    flat, direction = ravel_pytree(mean)[0], ravel_pytree(vector)[0]
    along = jnp.vdot(direction, flat)
    return max(0.0, float(squares - jnp.vdot(flat, flat) - (pushes - along**2)))


def isotropic_noise(hessian: HessianProduct, *, probes: int = 4, key: Any) -> float:
    """Pσ² along random directions: the mean of E|(h_i - H) z|² over unit z."""
    found = []
    for k in jr.split(key, probes):
        flat, unravel = ravel_pytree(hessian.parameters)
        z = jr.normal(k, flat.shape, flat.dtype)
        squares, _, mean = _moments(hessian, unravel(z / jnp.linalg.norm(z)))
        flat = ravel_pytree(mean)[0]
        found.append(float(squares - jnp.vdot(flat, flat)))
    return max(0.0, float(np.mean(found)))


@eqx.filter_jit
def _moments(hessian: HessianProduct, v: PyTree) -> tuple[Array, Array, PyTree]:
    """Means over examples of |h_i v|², (vᵀ h_i v)² and h_i v."""
    direction = ravel_pytree(v)[0]

    def of_chunk(chunk: PyTree) -> tuple:
        def one(example: PyTree) -> tuple:
            found = hessian.of_example(v, example)
            flat = ravel_pytree(found)[0]
            return jnp.vdot(flat, flat), jnp.vdot(direction, flat) ** 2, found

        return jax.tree.map(lambda a: jnp.sum(a, axis=0), jax.vmap(one)(chunk))

    total = sum_examples(of_chunk, hessian.data, hessian.batch_size)
    return jax.tree.map(lambda a: a / hessian.examples, total)


def _draws(hessian: HessianProduct, batch: int, draws: int, steps: int, key: Any) -> np.ndarray:
    """The largest eigenvalue on each of some batches."""

    @eqx.filter_jit
    def all_draws(hessian: HessianProduct, keys: Any) -> Array:
        def one(k: Any) -> Array:
            chosen, start = jr.split(k)
            part = hessian.take(jr.permutation(chosen, hessian.examples)[:batch])
            return extreme_eigenpairs(part, part.parameters, steps=steps, key=start).values[0]

        return jax.lax.map(one, keys)

    return np.asarray(all_draws(hessian, jr.split(key, draws)), float)
