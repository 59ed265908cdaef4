"""The neural rough differential equation: a controlled equation on windows of many observations.

    dz/dt = F(z) LogSig^N_{[r_k, r_{k+1}]}(X) / (r_{k+1} - r_k)      on the window [r_k, r_{k+1}]

The log-signature says what a window did up to order N, areas and beyond, so that one step covers it: a series of
length T costs T / window steps (Morrill, Salvi, Kidger and Foster, ICML 2021). Its columns of F are free, where
`solve.log_ode` makes them Lie brackets of given fields.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.paths import logsignature_path, logsignature_size
from cadlag.series._model import AbstractSeriesModel, InitialState, control_at_knots
from cadlag.series.neural_cde import MatrixField
from cadlag.solve import CDE, AbstractStepper, FixedSteps, Heun, solve


class NeuralRDE(AbstractSeriesModel):
    """A neural RDE as a model of a series, for long ones; arguments as for `StableSDE`.

    **Further arguments:**

    - `window`: intervals between observations that one window holds.
    - `order`: N, letters of the longest words; 1 is a neural CDE that skips, 2 sees areas. A field of order N has
      `logsignature_size(channels + 1, N)` columns, so keep it at 2 or 3.
    - `steps`: of the stepper in a window; `stepper`: any that takes paths, `Heun()` by default.

    States between the ends of windows lie on a straight line, and look ahead to the end of their window: for labels
    of whole series, not for forecasts along the way.

    Example: `SeriesClassifier(partial(NeuralRDE, window=32, order=2))`.
    """

    initial: InitialState
    field: MatrixField
    stepper: AbstractStepper
    hidden_size: int = eqx.field(static=True)
    window_steps: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    order: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True, default=False)
    blind: bool = eqx.field(static=True, default=False)

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 32,
        depth: int = 1,
        window: int = 8,
        order: int = 2,
        steps: int = 1,
        stepper: AbstractStepper | None = None,
        static_size: int = 0,
        key: PRNGKeyArray,
    ):
        for name, value in (("window", window), ("order", order), ("steps", steps)):
            if value < 1:
                raise ValueError(f"{name}={value} of a NeuralRDE must be at least 1.")
        k1, k2 = jr.split(key)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        columns = logsignature_size(channels + 1, order)
        net = MLP(hidden_size, hidden_size * columns, hidden_size, depth, final_activation=jnp.tanh, key=k2)
        self.field = MatrixField(net, columns)
        self.stepper = Heun() if stepper is None else stepper
        self.hidden_size, self.window_steps, self.window, self.order = hidden_size, steps, window, order
        self.stochastic, self.blind = False, False

    def __call__(
        self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False
    ) -> Float[Array, "..."]:
        """States at all times, or at the last."""
        times, values = jnp.asarray(series.times), control_at_knots(series)
        path = logsignature_path(times, values, self.window, self.order)
        z0 = self.initial(values[0], series.static)
        grid = _finer(path.times, self.window_steps)
        # Two output times: the states between are not kept.
        ts = jnp.stack([times[0], times[-1]]) if final else times
        solution = solve(
            CDE(self.field), z0, ts, driver=path, steps=FixedSteps(grid), stepper=self.stepper, throw=False
        )
        return solution.y1 if final else solution.ys


def _finer(ends: Float[Array, " ends"], steps: int) -> Float[Array, " points"]:
    """Each window cut into equal steps, its own ends to the last bit."""
    parts = jnp.arange(steps, dtype=ends.dtype) / steps
    inner = ends[:-1, None] + parts[None] * jnp.diff(ends)[:, None]
    return jnp.concatenate([inner.reshape(-1), ends[-1:]])
