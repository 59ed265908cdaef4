"""`steer`: optimise the initial noise, the condition or the weights against any metric of the generated sample.

Pan, Liew, Tan, Feng & Yan, "AdjointDPM", ICLR 2024.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from cadlag.diffusion import AbstractDenoiser, AbstractSampler, NoiseRatio, ProbabilityFlow
from cadlag.train import gradient, minimise

SAMPLER = ProbabilityFlow(20, variable=NoiseRatio())
# Made once: a new optimiser means compiling anew.
ADAM = optax.adam(0.05)


class Inputs(NamedTuple):
    """What a sample is made from."""

    denoiser: AbstractDenoiser
    start: Array
    cond: PyTree


class AbstractTarget(eqx.Module):
    """What is optimised.

    To write your own: give `take(inputs) → unknowns`, `put(inputs, unknowns) → Inputs`, and the property `shared`:
    whether all samples have the unknowns in common, or each its own.
    """

    @property
    @abc.abstractmethod
    def shared(self) -> bool:
        """Whether all samples have them in common."""

    @abc.abstractmethod
    def take(self, inputs: Inputs) -> PyTree:
        """The unknowns at first."""

    @abc.abstractmethod
    def put(self, inputs: Inputs, unknowns: PyTree) -> Inputs:
        """Inputs with these unknowns."""


class InitialNoise(AbstractTarget):
    """x at `t_max`, of each sample."""

    @property
    def shared(self) -> bool:
        """Each its own."""
        return False

    def take(self, inputs: Inputs) -> PyTree:
        """The noise."""
        return inputs.start

    def put(self, inputs: Inputs, unknowns: PyTree) -> Inputs:
        """With other noise."""
        return inputs._replace(start=unknowns)


NOISE = InitialNoise()


class Condition(AbstractTarget):
    """The condition of each sample; its floating arrays."""

    @property
    def shared(self) -> bool:
        """Each its own."""
        return False

    def take(self, inputs: Inputs) -> PyTree:
        """The condition."""
        return inputs.cond

    def put(self, inputs: Inputs, unknowns: PyTree) -> Inputs:
        """Under another condition."""
        return inputs._replace(cond=unknowns)


class Weights(AbstractTarget):
    """All floating arrays of the denoiser."""

    @property
    def shared(self) -> bool:
        """One network for all."""
        return True

    def take(self, inputs: Inputs) -> PyTree:
        """The denoiser."""
        return inputs.denoiser

    def put(self, inputs: Inputs, unknowns: PyTree) -> Inputs:
        """With other weights."""
        return inputs._replace(denoiser=unknowns)


class Steered(NamedTuple):
    """Samples (n, *shape), the inputs that give them, and the losses: (n, steps), or (steps,) for shared unknowns."""

    x: Array
    inputs: Inputs
    losses: Array


def steer(
    denoiser: AbstractDenoiser,
    metric: Callable,
    start: Array,
    *,
    key: PRNGKeyArray,
    cond: PyTree = None,
    aim: PyTree = None,
    variables: AbstractTarget = NOISE,
    sampler: AbstractSampler = SAMPLER,
    optimiser: Any = None,
    steps: int = 30,
    clip: float | None = None,
) -> Steered:
    """Lower a metric of generated samples by gradient steps through the sampler, as one compiled call.

    **Arguments:**

    - `metric(x, aim)`: a differentiable scalar of one sample.
    - `start`: x at `t_max`, shape (n, *shape).
    - `cond`, `aim`: the condition and what the metric is told, one for each sample: a leading axis n.
    - `variables`: `InitialNoise()` (default), `Condition()` or `Weights()`.
    - `sampler`: 20 Heun steps in the noise ratio; its `adjoint` says how it is differentiated.
    - `optimiser`: any optax transformation; Adam at 0.05. Each sample has its own, unless the unknowns are shared.
    - `clip`: how far an entry may move from where it was, None for any distance.

    **Returns:** `Steered`.

    **Raises:** `ValueError` or `TypeError` before compiling.
    """
    _check(denoiser, variables, start, cond, aim, steps, clip)
    optimiser = ADAM if optimiser is None else optimiser
    return _steer(denoiser, metric, start, key, cond, aim, variables, sampler, optimiser, steps, clip)


@eqx.filter_jit
def _steer(
    denoiser: AbstractDenoiser,
    metric: Callable,
    start: Array,
    key: PRNGKeyArray,
    cond: PyTree,
    aim: PyTree,
    variables: AbstractTarget,
    sampler: AbstractSampler,
    optimiser: Any,
    steps: int,
    clip: float | None,
) -> Steered:
    def make(inputs: Inputs, key: PRNGKeyArray) -> Array:
        return sampler.run(inputs.denoiser, inputs.start, key=key, cond=inputs.cond).x

    def run(inputs: Inputs, aim: PyTree, key: PRNGKeyArray, many: bool) -> tuple[PyTree, Array]:
        """The unknowns at the end, and the losses."""
        first = variables.take(inputs)

        def loss(unknowns: PyTree, batch: None, step_key: PRNGKeyArray) -> tuple[Array, dict]:
            def one(start: Array, cond: PyTree, aim: PyTree, key: PRNGKeyArray) -> Array:
                return metric(make(variables.put(Inputs(inputs.denoiser, start, cond), unknowns), key), aim)

            if not many:
                return one(inputs.start, inputs.cond, aim, step_key), {}
            keys = jr.split(step_key, inputs.start.shape[0])
            return jnp.mean(jax.vmap(one)(inputs.start, inputs.cond, aim, keys)), {}

        update = gradient(loss, optimiser, project=None if clip is None else lambda u: _near(u, first, clip))
        state, info = minimise(update, update.init(first, key), None, steps, key=key)
        return state.unknowns, info["loss"]

    inputs = Inputs(denoiser, start, cond)
    keys = jr.split(key, start.shape[0])
    if variables.shared:
        unknowns, losses = run(inputs, aim, key, True)
        moved = variables.put(inputs, unknowns)
    else:
        each = lambda s, c, a, k: run(Inputs(denoiser, s, c), a, k, False)  # noqa: E731
        unknowns, losses = jax.vmap(each)(start, cond, aim, keys)
        moved = variables.put(inputs, unknowns)
    x = jax.vmap(lambda s, c, k: make(Inputs(moved.denoiser, s, c), k))(moved.start, moved.cond, keys)
    return Steered(x, moved, losses)


def _near(unknowns: PyTree, first: PyTree, clip: Any) -> PyTree:
    """Every floating entry within `clip` of where it was."""
    pull = lambda u, f: jnp.clip(u, f - clip, f + clip) if eqx.is_inexact_array(u) else u  # noqa: E731
    return jax.tree.map(pull, unknowns, first)


def _check(denoiser: Any, variables: Any, start: Any, cond: Any, aim: Any, steps: Any, clip: Any) -> None:
    if not isinstance(denoiser, AbstractDenoiser):
        raise TypeError(f"steer: got a {type(denoiser).__name__}; expected a denoiser, e.g. `model_` of a Generator.")
    if not isinstance(variables, AbstractTarget):
        raise TypeError(f"steer: variables={variables!r}; expected InitialNoise(), Condition() or Weights().")
    if start.ndim < 1 or not jnp.issubdtype(start.dtype, jnp.inexact):
        raise ValueError(f"steer: start is {start.dtype}{start.shape}; expected floating noise (n, *shape).")
    for name, tree in (("cond", cond), ("aim", aim)):
        for leaf in jax.tree.leaves(tree):
            if jnp.shape(leaf)[:1] != start.shape[:1]:
                raise ValueError(f"steer: {name} holds shape {jnp.shape(leaf)}; expected {start.shape[0]} rows.")
    floating = any(eqx.is_inexact_array(x) for x in jax.tree.leaves(cond))
    if isinstance(variables, Condition) and not floating:
        raise ValueError("steer: Condition() needs a `cond` with floating entries; a class label has no gradient.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steer: steps={steps!r}; expected a positive integer.")
    if clip is not None and not clip > 0:
        raise ValueError(f"steer: clip={clip} must be positive, or None.")
