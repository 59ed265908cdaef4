"""The neural CDE dz = F(z) dX (Kidger et al., NeurIPS 2020), X the observed series with time as a channel."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import MLP
from cadlag.series._control import AbstractControl, HermiteControl
from cadlag.series._model import AbstractSeriesModel, InitialState, check_steps, integrate
from cadlag.series._solving import times_pieces
from cadlag.solve import CDE, AbstractStepper, AdaptiveSteps, EulerMaruyama


class MatrixField(eqx.Module):
    """A network of z with values in matrices (hidden, channels), bounded by tanh."""

    net: MLP
    channels: int = eqx.field(static=True)

    def __call__(self, t: Array, y: Array, args: None) -> Array:
        """The matrix field F(z), shape (hidden, channels)."""
        return self.net(y).reshape(y.shape[0], self.channels)


class NeuralCDE(AbstractSeriesModel):
    """A neural CDE as a model of a series, stepped by Euler on the increments of X; arguments as for `StableSDE`.

    **Further arguments:**

    - `control`: how observations become a path; `RectilinearControl()` looks at nothing ahead. Interpolations that
      agree at the rows differ only with more steps than one between them.
    - `stepper`: any that takes paths, such as `Heun()`.

    Example: `SeriesClassifier(partial(NeuralCDE, control=RectilinearControl(), stepper=Heun()))`.
    """

    initial: InitialState
    field: MatrixField
    hidden_size: int = eqx.field(static=True)
    steps: int | AdaptiveSteps
    stochastic: bool = eqx.field(static=True, default=False)
    blind: bool = eqx.field(static=True, default=False)
    control: AbstractControl = HermiteControl()
    stepper: AbstractStepper = EulerMaruyama()

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 32,
        depth: int = 1,
        steps: int | AdaptiveSteps = 1,
        control: AbstractControl | None = None,
        stepper: AbstractStepper | None = None,
        static_size: int = 0,
        key: PRNGKeyArray,
    ):
        check_steps(steps)
        k1, k2 = jr.split(key)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        out = hidden_size * (channels + 1)
        self.field = MatrixField(
            MLP(hidden_size, out, hidden_size, depth, final_activation=jnp.tanh, key=k2), channels + 1
        )
        self.hidden_size, self.steps, self.stochastic, self.blind = hidden_size, steps, False, False
        self.control = HermiteControl() if control is None else control
        self.stepper = EulerMaruyama() if stepper is None else stepper

    def __call__(self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False) -> Any:
        """States at all times, or at the last."""
        path, times = self.control(series)
        z0 = self.initial(path.evaluate(times[0]), series.static)
        steps = times_pieces(self.steps, self.control.pieces)
        return integrate(CDE(self.field), z0, times, steps, None, final, path, self.stepper)
