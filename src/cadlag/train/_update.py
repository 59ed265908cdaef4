"""Updates: one pure step of learning, `step(state, batch, key) -> (state, info)`.

The state is one PyTree holding the unknowns, the optimiser's memory, the state of stateful layers, an average
and the step count, so that scanning, vmapping, saving and resuming need to know nothing else.
"""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from ._average import AbstractAverage, averaged

Info = dict[str, Any]


class UpdateState(eqx.Module):
    """What an update carries: unknowns, optimiser memory, layer state, average, number of steps taken."""

    unknowns: PyTree
    opt_state: PyTree
    model_state: PyTree
    average: PyTree
    step: Int[Array, ""]

    @property
    def averaged(self) -> PyTree:
        """The unknowns with their averaged arrays; the unknowns themselves without `average=`."""
        return averaged(self.average, self.unknowns)


class AbstractUpdate(eqx.Module):
    """One pure step of learning.

    To write your own, give `init(unknowns, key)`, which returns a PyTree with attributes `unknowns` and
    `step` (a scalar int32 array, 0 at first), and `step(state, batch, key)`, which returns the next state
    (`step` one larger) and a dict of scalars that holds at least `loss`.
    """

    @abstractmethod
    def init(self, unknowns: PyTree, key: PRNGKeyArray, *, model_state: PyTree = None) -> Any:
        """Return the state before the first step."""

    @abstractmethod
    def step(self, state: Any, batch: PyTree, key: PRNGKeyArray) -> tuple[Any, Info]:
        """Take one step on one batch."""


def split_trainable(unknowns: PyTree) -> tuple[PyTree, PyTree]:
    """Split the unknowns into floating or complex arrays and everything else."""
    return eqx.partition(unknowns, eqx.is_inexact_array)


def check_unknowns(unknowns: PyTree) -> None:
    """Raise `ValueError` when there is nothing to learn."""
    if not jax.tree.leaves(split_trainable(unknowns)[0]):
        raise ValueError(
            "unknowns: no floating array among the leaves, so there is nothing to learn. "
            "Python floats are constants; wrap what is to be learnt in jnp.asarray."
        )


class _Gradient(AbstractUpdate):
    loss: Callable
    optimiser: Any
    groups: Callable | None
    project: Callable | None
    average: AbstractAverage | None
    stateful: bool = eqx.field(static=True)

    def init(self, unknowns: PyTree, key: PRNGKeyArray, *, model_state: PyTree = None) -> UpdateState:
        check_unknowns(unknowns)
        params, _ = split_trainable(unknowns)
        opt_state = self._transformation(unknowns).init(params)
        average = None if self.average is None else params
        return UpdateState(unknowns, opt_state, model_state, average, jnp.zeros((), jnp.int32))

    def step(self, state: UpdateState, batch: PyTree, key: PRNGKeyArray) -> tuple[UpdateState, Info]:
        params, static = split_trainable(state.unknowns)

        def objective(p: PyTree) -> tuple[Array, tuple[PyTree, Info]]:
            return self._evaluate(eqx.combine(p, static), state.model_state, batch, key)

        (value, (model_state, aux)), grads = jax.value_and_grad(objective, has_aux=True)(params)
        # JAX returns the conjugate of the direction of ascent for complex arrays.
        grads = jax.tree.map(lambda g: jnp.conj(g) if jnp.iscomplexobj(g) else g, grads)
        extra = {"value": value, "grad": grads, "value_fn": lambda p: objective(p)[0]}
        transformation = optax.with_extra_args_support(self._transformation(state.unknowns))
        with jax.numpy_dtype_promotion("standard"):  # optax mixes Python floats and integer counts
            updates, opt_state = transformation.update(grads, state.opt_state, params, **extra)
        unknowns = eqx.combine(optax.apply_updates(params, updates), static)
        unknowns = unknowns if self.project is None else self.project(unknowns)
        average = self._fold(state, unknowns)
        info = {**aux, "loss": value, "grad_norm": optax.tree.norm(grads)}
        return UpdateState(unknowns, opt_state, model_state, average, state.step + 1), info

    def _fold(self, state: UpdateState, unknowns: PyTree) -> PyTree:
        if self.average is None:
            return None
        return self.average.fold(state.average, split_trainable(unknowns)[0], state.step)

    def _transformation(self, unknowns: PyTree) -> Any:
        if self.groups is None:
            return self.optimiser
        transforms = {k: optax.set_to_zero() if v is None else v for k, v in self.optimiser.items()}
        labels = _labels(self.groups, unknowns, transforms)
        return optax.partition(transforms, lambda _: labels)  # a module of labels may itself be callable

    def _evaluate(
        self, unknowns: PyTree, model_state: PyTree, batch: PyTree, key: PRNGKeyArray
    ) -> tuple[Array, tuple[PyTree, Info]]:
        if self.stateful:
            value, (model_state, aux) = self.loss(unknowns, model_state, batch, key)
        else:
            value, aux = check_loss(self.loss(unknowns, batch, key))
        return value, (model_state, aux)


def check_loss(output: Any) -> tuple[Array, Info]:
    """Check that a loss returned `(scalar, dict of scalars)`; raised while tracing, before compiling."""
    if not (isinstance(output, tuple) and len(output) == 2 and isinstance(output[1], Mapping)):
        raise TypeError(
            f"loss: returned {type(output).__name__}, expected a pair (scalar, dict of scalars); "
            "return `value, {}` when there is nothing else to log."
        )
    value, aux = output
    if jnp.shape(value) != ():
        raise ValueError(f"loss: its first output has shape {jnp.shape(value)}, expected a scalar; take a mean.")
    taken = {"loss", "grad_norm"} & set(aux)
    if taken:
        raise ValueError(f"loss: the dict holds {sorted(taken)}, names that the update writes; rename them.")
    return value, dict(aux)


def _labels(groups: Callable, unknowns: PyTree, transforms: Mapping) -> PyTree:
    labels = groups(unknowns)
    # A label may stand for a whole subtree.
    full = jax.tree.map(
        lambda label, sub: jax.tree.map(lambda x: label if eqx.is_inexact_array(x) else None, sub),
        labels,
        unknowns,
        is_leaf=lambda x: isinstance(x, str),
    )
    missing = set(jax.tree.leaves(full)) - set(transforms)
    if missing:
        raise ValueError(
            f"groups: labels {sorted(missing)} have no optimiser; the optimisers given are "
            f"{sorted(map(str, transforms))}. Use None as the optimiser of a frozen group."
        )
    return full


def gradient(
    loss: Callable,
    optimiser: optax.GradientTransformation | Mapping[Hashable, optax.GradientTransformation | None],
    *,
    groups: Callable[[PyTree], PyTree] | None = None,
    project: Callable[[PyTree], PyTree] | None = None,
    average: AbstractAverage | None = None,
    stateful: bool = False,
) -> AbstractUpdate:
    """Gradient descent by any optax optimiser, L-BFGS with its line search included.

    **Arguments:**

    - `loss`: `loss(unknowns, batch, key) -> (scalar, dict of scalars)`. With `stateful=True`, for layers with
        a state such as batch normalisation, `loss(unknowns, model_state, batch, key) ->
        (scalar, (model_state, dict))`; hand the first `model_state` to `init`.
    - `optimiser`: an optax transformation, or with `groups` a dict label → transformation (None: frozen).
        Make it once and reuse it: a new one compiles anew.
    - `groups`: `unknowns -> PyTree of labels` of the same structure, where one label may stand for a subtree.
        A line search needs all unknowns, so L-BFGS goes without groups.
    - `project`: `unknowns -> unknowns`, applied after the step (clipping, normalising).
    - `average`: `EMA(decay)` or `SWA(start)`; read it as `state.averaged`.

    **Returns:** an update whose info holds `loss` and `grad_norm` of the unknowns before the step, and
    whatever the loss adds. Floating and complex arrays are learnt, all other leaves are constants.
    """
    if not callable(loss):
        raise TypeError(f"loss: got {type(loss).__name__}, expected a function (unknowns, batch, key).")
    if (groups is None) == isinstance(optimiser, Mapping):
        raise TypeError(
            "optimiser: a dict of optimisers goes with groups=, a single optimiser without; "
            f"got {type(optimiser).__name__} and groups={'None' if groups is None else 'a function'}."
        )
    optimiser = dict(optimiser) if isinstance(optimiser, Mapping) else optimiser
    return _Gradient(loss, optimiser, groups, project, average, stateful)
