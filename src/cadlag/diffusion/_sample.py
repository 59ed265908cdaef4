"""`sample`: many draws from a denoiser as one compiled call."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.diffusion._constraint import AbstractConstraint
from cadlag.diffusion._denoiser import AbstractDenoiser
from cadlag.diffusion._dpm_solver import DPMSolver
from cadlag.diffusion._sampler import BATCH, AbstractSampler, Sampled


def sample(
    denoiser: AbstractDenoiser,
    shape: tuple[int, ...],
    n: int,
    *,
    key: PRNGKeyArray,
    sampler: AbstractSampler | None = None,
    cond: PyTree = None,
    constraint: AbstractConstraint | None = None,
    shift: Array | None = None,
    start: Array | None = None,
    chunk: int | None = None,
    dtype: Any = None,
    stats: bool = False,
) -> Any:
    """Draw `n` samples of `shape`; the whole run is one compiled call, without a host loop over steps.

    **Arguments:**

    - `denoiser`: any `AbstractDenoiser`; guided ones too.
    - `sampler`: `DPMSolver(steps=20)` (default), `PredictorCorrector()`, `ProbabilityFlow()`, `ReverseSDE()`.
    - `cond`, `constraint`, `shift`, `start`: one for each sample, so every array in them has a leading axis n (`repeat`
      copies one n times). `shift` is the mean μ of a mean-reverting schedule; `start` replaces the draw of the prior.
    - `chunk`: samples at a time, where memory is short; all at once by default.
    - `dtype`: that of the denoiser's arrays by default.
    - `stats`: return `Sampled(x, evaluations)` with the evaluations of each sample.

    **Returns:** an array (n, *shape).

    **Raises:** `ValueError` before compiling where shapes do not fit, or parts do not go together.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"sample: n={n!r}; expected a positive integer.")
    if not isinstance(denoiser, AbstractDenoiser):
        raise TypeError(f"sample: got a {type(denoiser).__name__}; expected a denoiser: network, schedule, prediction.")
    dtype = _dtype(denoiser) if dtype is None else dtype
    given = {"cond": cond, "constraint": constraint, "shift": shift, "start": start}
    _check_leading(given, n)
    for name in ("shift", "start"):
        if given[name] is not None and given[name].shape[1:] != tuple(shape):
            raise ValueError(f"sample: {name} has shape {given[name].shape}, expected {(n, *shape)}.")
    sampler = DPMSolver() if sampler is None else sampler
    chunk = n if chunk is None else max(1, min(chunk, n))
    drawn = _sample(denoiser, tuple(shape), n, key, sampler, given, chunk, jnp.dtype(dtype))
    return drawn if stats else drawn.x


def repeat(tree: PyTree, n: int) -> PyTree:
    """A PyTree whose arrays are copied n times along a new leading axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *jnp.shape(x))) if eqx.is_array_like(x) else x, tree)


@eqx.filter_jit
def _sample(
    denoiser: AbstractDenoiser,
    shape: tuple[int, ...],
    n: int,
    key: PRNGKeyArray,
    sampler: AbstractSampler,
    given: dict[str, Any],
    chunk: int,
    dtype: Any,
) -> Sampled:
    def one(key: PRNGKeyArray, given: dict[str, Any]) -> Sampled:
        model = denoiser if given["shift"] is None else denoiser.shifted(given["shift"])
        prior_key, run_key = jr.split(key)
        x = given["start"]
        if x is None:
            x = model.schedule.prior_sample(jr.normal(prior_key, shape, dtype))
        return sampler.run(model, x, key=run_key, cond=given["cond"], constraint=given["constraint"])

    arrays, rest = eqx.partition(given, eqx.is_array)
    many = jax.vmap(lambda k, a: _as_arrays(one(k, eqx.combine(a, rest))), axis_name=BATCH)
    keys = jr.split(key, n)
    if chunk == n:
        return many(keys, arrays)
    # The last chunk is filled up with copies, so that all have one shape.
    index = jnp.minimum(jnp.arange(-(-n // chunk) * chunk), n - 1).reshape(-1, chunk)
    rows = jax.tree.map(lambda x: x[index], (keys, arrays))
    out = jax.lax.map(lambda row: many(*row), rows)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], out)


def _as_arrays(sampled: Sampled) -> Sampled:
    return Sampled(sampled.x, jnp.asarray(sampled.evaluations))


def _dtype(denoiser: AbstractDenoiser) -> Any:
    found = [x.dtype for x in jax.tree.leaves(denoiser) if eqx.is_inexact_array(x)]
    return found[0] if found else jnp.zeros(()).dtype


def _check_leading(given: dict[str, Any], n: int) -> None:
    for name, tree in given.items():
        for leaf in jax.tree.leaves(tree):
            if eqx.is_array_like(leaf) and (jnp.ndim(leaf) == 0 or jnp.shape(leaf)[0] != n):
                raise ValueError(
                    f"sample: {name} holds an array of shape {jnp.shape(leaf)}; expected a leading axis of n={n}, one "
                    "row a sample. `repeat(tree, n)` copies one."
                )
