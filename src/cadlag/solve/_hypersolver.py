"""Hypersolvers: a low-order step plus a learnt estimate of what it leaves out.

    y_{n+1} = y_n + h Ψ(t_n, y_n) + h^{p+1} g(t_n, y_n, f_n)
    R_n = (y(t_{n+1}) - y(t_n) - h Ψ(t_n, y(t_n))) / h^{p+1}

g is fitted to the residuals R_n along accurate trajectories; with fit error δ the local error is O(δ h^{p+1}) instead
of O(h^{p+1}) (Poli et al., Hypersolvers, NeurIPS 2020).
"""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from cadlag.solve._process import AbstractProcess, NoiseKind
from cadlag.solve._reversible_heun import ReversibleHeun
from cadlag.solve._runge_kutta import RungeKutta
from cadlag.solve._stepper import AbstractStepper, Field, Step, add, scale


class Hypersolver(AbstractStepper):
    """A stepper of order p for ODEs with a correction h^{p+1} g(t, y, f), of order p + 1 where g is exact.

    **Arguments:**

    - `base`: a one-step method of ours, e.g. `EulerMaruyama()` or `Heun()`, or an explicit Runge-Kutta method of
      Diffrax.
    - `correction`: `g(t, y, f)`, like y, with f the drift at (t, y); any PyTree whose arrays can be learnt.
    - `order`: p of the base.

    Learn the correction by one call of `train.fit` on the residuals of accurate trajectories:

        data = hypersolver_residuals(process, ts, ys, base=EulerMaruyama(), order=1)

        def loss(g, batch, key):
            t, y, f, wanted = batch
            return jnp.mean((jax.vmap(g)(t, y, f) - wanted) ** 2), {}

        g = fit(gradient(loss, optax.adam(1e-3)), g, Batches(data, 256), steps=2000, key=key).state.unknowns
        solve(process, y0, ts, stepper=Hypersolver(EulerMaruyama(), g, order=1))

    Differentiate by `Direct()` or `Checkpointed()`: the continuous adjoints know no correction and are refused.
    """

    base: AbstractStepper
    correction: Callable
    order: int = eqx.field(static=True)
    noises: ClassVar = frozenset({NoiseKind.none})
    calculus: ClassVar = None
    estimates_error: ClassVar = False
    takes_paths: ClassVar = False

    def __init__(self, base: Any, correction: Callable, *, order: int):
        self.base = _one_step_method(base, order)
        self.correction, self.order = correction, order

    @property
    def nodes(self) -> tuple[float, ...]:
        """Those of the base."""
        return self.base.nodes

    @property
    def evaluations(self) -> int:
        """Those of the base, and one more where it would have been handed its first."""
        handed_on = isinstance(self.base, RungeKutta) and bool(self.base.tableau.fsal)
        return self.base.evaluations + int(handed_on)

    def init(self, field: Field, t0: Array, y0: PyTree[Array]) -> None:
        """No memory: the correction moves the state the base would remember."""
        return None

    def step(self, field: Field, y: PyTree[Array], state: Any, step: Step) -> tuple[Any, Any, Any]:
        """The base's step, and the correction. The compiler merges their two evaluations at (t0, y)."""
        y1, _, _ = self.base.step(field, y, self.base.init(field, step.t0, y), step)
        correction = self.correction(step.t0, y, field.f(step.t0, y))
        return add(y1, scale(step.h ** (self.order + 1), correction)), None, None


def hypersolver_residuals(
    process: AbstractProcess,
    ts: Any,
    ys: PyTree[Array],
    *,
    base: Any,
    order: int,
    args: Any = None,
) -> tuple[Array, PyTree[Array], PyTree[Array], PyTree[Array]]:
    """What a stepper leaves out at each step between points of an accurate trajectory, per h^{order + 1}.

    **Arguments:** `process`, an ODE; `ts` (n + 1,) and states `ys` with that leading axis, solved to a tighter
    tolerance than the step that is to be corrected; `base` and `order` as for `Hypersolver`.

    **Returns:** `(t, y, f, residual)` with n rows each: where a step starts, the drift there, and the target of g.

    Example: see `Hypersolver`; for many trajectories `jax.vmap` it and flatten the first two axes.
    """
    base = _one_step_method(base, order)
    if process.noise is not NoiseKind.none:
        raise ValueError("hypersolver_residuals takes an ODE: with a driver one step has no single residual.")
    rows = {jnp.shape(leaf)[0] for leaf in jax.tree.leaves(ys)}
    ts = jnp.asarray(ts)
    if ts.ndim != 1 or ts.shape[0] < 2 or rows != {ts.shape[0]}:
        raise ValueError(
            f"ts has shape {ts.shape} and ys has {sorted(rows)} rows; expected (n + 1,) times, n >= 1, and one state "
            "for each. Use `jax.vmap` for several trajectories."
        )
    field = Field(process, args)

    def one(t0: Array, t1: Array, y0: PyTree[Array], y1: PyTree[Array]) -> Any:
        step = Step(t0, t1, t1 - t0, None, None)
        made, _, _ = base.step(field, y0, base.init(field, t0, y0), step)
        missing = jax.tree.map(lambda a, b: (a - b) / step.h.astype(a.dtype) ** (order + 1), y1, made)
        return t0, y0, field.f(t0, y0), missing

    start, end = (jax.tree.map(lambda y, at=at: y[at], ys) for at in (slice(None, -1), slice(1, None)))
    return jax.vmap(one)(ts[:-1], ts[1:], start, end)


def _one_step_method(base: Any, order: int) -> AbstractStepper:
    base = RungeKutta(base) if isinstance(base, diffrax.AbstractERK) else base
    if not isinstance(base, AbstractStepper):
        raise TypeError(
            f"base is a {type(base).__name__}; expected a stepper of cadlag.solve, or an explicit Runge-Kutta method "
            "of Diffrax."
        )
    special = base.processes is not AbstractProcess or isinstance(base, ReversibleHeun | Hypersolver)
    if special or NoiseKind.none not in base.noises:
        raise ValueError(
            f"base={type(base).__name__} is not a one-step method for ordinary equations; use EulerMaruyama(), Heun() "
            "or an explicit Runge-Kutta method."
        )
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order={order!r} must be the base's order, an integer of at least 1 (Euler 1, Heun 2).")
    return base
