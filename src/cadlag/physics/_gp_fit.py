"""How kernels, precisions and values are fitted: variable projection, or the published joint descent."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from cadlag.linalg import kronecker_apply
from cadlag.physics._gp_inner import ConjugateGradients, Direct
from cadlag.physics._gp_objective import GPState, LogJoint
from cadlag.train import gradient, minimise

Fitted = tuple[GPState, Float[Array, "..."]]
Watch = Callable[[int, GPState, Float[Array, "..."]], None]


class AbstractGPFit(eqx.Module):
    """How the log-joint is maximised.

    To write your own, declare `steps` (in all) and `stages`, and give `run`, from a start to the fitted state, its
    values and the history; it calls `watch(step, state, values)`, if there is one, after each stage.
    """

    steps: eqx.AbstractVar[int]
    stages: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        if not 1 <= self.stages <= self.steps:
            raise ValueError(f"steps={self.steps}, stages={self.stages}: expected 1 <= stages <= steps.")

    @abc.abstractmethod
    def run(
        self, joint: LogJoint, state: GPState, values: Float[Array, "..."], *, linear: bool, watch: Watch | None
    ) -> tuple[Fitted, dict[str, np.ndarray]]:
        """State, values, and one row of figures for each step."""


class VariableProjection(AbstractGPFit):
    """L-BFGS over the kernels, values being the best for them at every evaluation (Golub and Pereyra 1973), while the
    noise is lowered in stages.

    At the best values the derivative of the log-joint through them vanishes, so its gradient is that at fixed values.
    The precisions v and tau are not descended in: jointly, the density has no maximum (no noise at all) and poor ones
    (everything is noise). They begin at `noise[0]`, relative to the size of the residuals, and are multiplied in
    stages until `noise[1]`, but are never more than a hundred times what their closed forms N / |F|² and N_b / |B|²
    allow.

    **Arguments:**

    - `steps`: of the optimiser, over all stages.
    - `stages`: levels of noise.
    - `noise`: the first and the last level.
    - `optimiser`: any optax transformation; by default L-BFGS with a memory of 20 and its own line search.
    - `inner`: how the values are found; by default `Direct()` on one axis, `ConjugateGradients()` on several.
    """

    steps: int = eqx.field(static=True, default=60)
    stages: int = eqx.field(static=True, default=3)
    noise: tuple[float, float] = eqx.field(static=True, default=(1e-3, 1e-6))
    optimiser: Any = eqx.field(static=True, default=None)
    inner: Direct | ConjugateGradients | None = None

    def run(
        self, joint: LogJoint, state: GPState, values: Float[Array, "..."], *, linear: bool, watch: Watch | None
    ) -> tuple[Fitted, dict[str, np.ndarray]]:
        """Optimise from the kernels of `state`; the inner problem starts at `values` each time."""
        inner = (Direct() if values.ndim == 1 else ConjugateGradients()) if self.inner is None else self.inner
        optimiser = optax.lbfgs(memory_size=20) if self.optimiser is None else self.optimiser

        def loss(unknowns: tuple, batch: None, key: Any) -> tuple[Float[Array, ""], dict[str, Any]]:
            state = GPState(unknowns[0], *jax.lax.stop_gradient(unknowns[1]))
            return joint(state, jax.lax.stop_gradient(inner.solve(joint, state, values, linear=linear)))

        # The kernels alone are moved: the gradient in the precisions is zero.
        descend = _descent(loss, optimiser, -(-self.steps // self.stages))
        solve = eqx.filter_jit(lambda s: inner.solve(joint, s, values, linear=linear))
        sizes = scales(joint, state)
        rows, precisions = [], None
        for noise in np.geomspace(*self.noise, self.stages):
            precisions = _next_precisions(precisions, noise, sizes, rows)
            (kernels, _), row = descend((state.kernels, precisions))
            rows.append(row)
            state = GPState(kernels, *precisions)
            if watch is not None:
                watch(sum(len(r["loss"]) for r in rows), state, solve(state))
        return (state, solve(state)), _joined(rows)


class JointAdam(AbstractGPFit):
    """Adam on kernels, precisions and values together, the whole grid at once: the published way.

    Fang et al. take 1e5 to 3e6 steps at rate 0.01 from values of zero and precisions of one.

    **Arguments:**

    - `steps`, `learning_rate`: of Adam.
    - `stages`: how often a `watch` is called, at equal distances.
    """

    steps: int = eqx.field(static=True, default=10_000)
    stages: int = eqx.field(static=True, default=1)
    learning_rate: float = eqx.field(static=True, default=0.01)

    def run(
        self, joint: LogJoint, state: GPState, values: Float[Array, "..."], *, linear: bool, watch: Watch | None
    ) -> tuple[Fitted, dict[str, np.ndarray]]:
        """Descend from `state` and `values`."""

        def loss(unknowns: Fitted, batch: None, key: Any) -> tuple[Float[Array, ""], dict[str, Any]]:
            return joint(*unknowns)

        block = -(-self.steps // self.stages)
        update = gradient(loss, optax.adam(self.learning_rate))
        carried, rows = update.init((state, values), jax.random.key(0)), []
        advance = eqx.filter_jit(lambda c: minimise(update, c, None, block, key=jax.random.key(0)))
        for stage in range(self.stages):
            carried, infos = advance(carried)
            rows.append(_checked(infos))
            if watch is not None:
                watch((stage + 1) * block, *carried.unknowns)
        return carried.unknowns, _joined(rows)


def _descent(loss: Callable, optimiser: Any, steps: int) -> Callable:
    """unknowns → (unknowns, row of figures) by so many steps of a new optimiser."""
    update = gradient(loss, optimiser)

    def run(unknowns: Any) -> tuple[Any, dict[str, Array]]:
        state = update.init(unknowns, jax.random.key(0))
        state, infos = minimise(update, state, None, steps, key=jax.random.key(0))
        return state.unknowns, infos

    compiled = eqx.filter_jit(run)

    def checked(unknowns: Any) -> tuple[Any, dict[str, np.ndarray]]:
        unknowns, infos = compiled(unknowns)
        return unknowns, _checked(infos)

    return checked


def _next_precisions(
    before: tuple[Array, Array] | None, noise: float, sizes: tuple[float, float], rows: list[dict[str, np.ndarray]]
) -> tuple[Array, Array]:
    """(log tau, log v) at a level of noise, held back by the residuals reached so far."""
    wanted = [-2 * np.log(noise) - np.log(size) for size in sizes[::-1]]
    if before is not None:
        reached = [np.log(100.0) - 2 * np.log(max(rows[-1][name][-1], 1e-300)) for name in ("boundary", "residual")]
        wanted = [max(float(b), min(w, r)) for b, w, r in zip(before, wanted, reached, strict=True)]
    return jnp.asarray(wanted[0]), jnp.asarray(wanted[1])


def _checked(infos: dict[str, Array]) -> dict[str, np.ndarray]:
    rows = {name: np.asarray(values) for name, values in infos.items()}
    if not np.isfinite(rows["loss"][-1]):
        raise FloatingPointError(
            f"the log-joint became {rows['loss'][-1]}: is the source finite? Else give a larger nugget, or start from "
            "other frequencies and rates."
        )
    return rows


def _joined(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def scales(joint: LogJoint, state: GPState) -> tuple[float, float]:
    """Mean squares of F and of B that levels of noise refer to: those of zero values, or, where one vanishes (no
    source, zero boundary values), what a draw from the prior gives once it has the size that the other asks for.
    """
    shape, dtype = joint.problem.grid.shape, state.log_v.dtype

    @eqx.filter_jit
    def squares(state: GPState) -> list[tuple[Array, Array]]:
        scheme = joint.scheme(state)
        noise = jax.random.normal(jax.random.key(0), shape, dtype)
        drawn = kronecker_apply([c.factor for c in scheme.factors], noise)
        both = [joint.problem.residuals(u, scheme) for u in (jnp.zeros(shape, dtype), drawn)]
        return [(jnp.sum(f**2) / max(f.size, 1), jnp.sum(b**2) / max(b.size, 1)) for f, b in both]

    (f, b), (drawn_f, drawn_b) = ([float(x) for x in pair] for pair in squares(state))
    ratio = drawn_f / drawn_b if drawn_b > 0 else 1.0
    sizes = max(f, b * ratio), max(b, f / ratio)
    if not np.isfinite(sizes).all():
        raise FloatingPointError("the residual of zero values is not finite; look at the source and boundary values.")
    # Where all is zero so is the solution, whatever the noise.
    return sizes[0] or 1.0, sizes[1] or 1.0
