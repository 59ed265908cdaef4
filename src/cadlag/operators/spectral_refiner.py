"""Spectral-Refiner (Cao, Brarda, Li and Xi, ICLR 2025): the last layer of a spatiotemporal operator, refined for one
case by the equation alone.

    w(t) = w_0 + Q_θ(features)(t),    θ: coefficients of the last spectral layer, features frozen
    minimise  ν₀ |w(0) - w_0|² / T²  +  1/T ∫ ‖ rate(w) - ∂_t w ‖²_{H^s} dt,    s = -1

The residual in H^-1 bounds the error of the linearised equation, so what is minimised is also an estimate of the
error: no reference is needed. ∂_t w is that of the trajectory; the jump at the first frame is counted, for a residual
cannot see an offset.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from cadlag.equations import AbstractEvolution, AbstractSemilinear, fourier_state, fourier_values
from cadlag.fields import Grid, GridField, Spectral, sobolev_inner
from cadlag.operators._operator import AbstractOperator, check_frames
from cadlag.operators._scaling import Normalised
from cadlag.operators._time_derivative import AbstractTimeDerivative, FourierSlopes
from cadlag.operators.spatiotemporal import SpatiotemporalFNO
from cadlag.train import gradient, minimise


class Refinement(NamedTuple):
    """`frames` (steps, channels, *space) after refinement; `before`, as the operator gave them; `estimates` (steps of
    the optimiser + 1,), the square root of what is minimised, in units of the solution a unit of time: the last is the
    error estimate of `frames`; `operator`, which gives `frames` for this input."""

    frames: Float[Array, "steps channels *space"]
    before: Float[Array, "steps channels *space"]
    estimates: Float[Array, " evaluations"]
    operator: AbstractOperator


class SpectralRefiner(eqx.Module):
    """Refine what a `SpatiotemporalFNO` predicts: `refiner(operator, u, dt)` for one example.

    **Arguments:**

    - `equation`: an evolution equation on a periodic space, whose unknown the operator predicts.
    - `modes`: of the widened last layer, on each spatial axis and in time; None: those of the operator.
    - `order`, `alpha`: of the norm, Σ (alpha + |k|²)^order |r̂_k|²: -1 by default, 0 is the mean square.
    - `start_weight`: ν₀, how much the jump at the first frame counts.
    - `steps`: of the optimiser.
    - `rates`: of Adam for the biases, which are free coefficients of the trajectory, and for the weights, relative to
        the size of the last frame; `optimiser`: any optax transformation in its place, such as `optax.lbfgs()`.
    - `derivative`: `FourierSlopes()`, exact in time; `TimeDifferences(order)`.

    Use float64 (`cadlag.train.enable_x64`) where more than four digits are wanted.
    """

    equation: AbstractEvolution
    modes: tuple[int, ...] | None = eqx.field(static=True)
    order: float = eqx.field(static=True)
    alpha: float = eqx.field(static=True)
    start_weight: float = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    rates: tuple[float, float] = eqx.field(static=True)
    optimiser: Any = eqx.field(static=True)
    derivative: AbstractTimeDerivative

    def __init__(
        self,
        equation: AbstractEvolution,
        *,
        modes: Sequence[int] | None = None,
        order: float | int = -1,
        alpha: float | int = 10**-1.5,
        start_weight: float | int = 1.0,
        steps: int = 60,
        rates: tuple[float, float] = (1e-3, 1e-4),
        optimiser: Any = None,
        derivative: AbstractTimeDerivative = FourierSlopes(),
    ) -> None:
        if not isinstance(equation, AbstractEvolution) or equation.domain.names == ("t",):
            raise TypeError(f"equation: got {type(equation).__name__}; expected an evolution equation in space.")
        if equation.space.periodic != equation.space.names:
            raise ValueError("equation: the residual is computed by Fourier coefficients, on a periodic space only.")
        for name, value, least in (("alpha", alpha, 0), ("start_weight", start_weight, 0), ("steps", steps, 1)):
            if value < least:
                raise ValueError(f"{name}={value} of SpectralRefiner; expected at least {least}.")
        self.equation, self.modes = equation, None if modes is None else tuple(modes)
        self.order, self.alpha, self.start_weight = float(order), float(alpha), float(start_weight)
        self.steps, self.rates, self.optimiser, self.derivative = steps, rates, optimiser, derivative

    def __call__(
        self,
        operator: AbstractOperator,
        u: Float[Array, "history channels *space"],
        dt: float | int,
        *,
        cond: Any = None,
        horizon: int | None = None,
    ) -> Refinement:
        """Refine the prediction from `u`, in the equation's units; frames are `dt` apart.

        **Arguments:** `operator`: a `SpatiotemporalFNO`, or one in the data's units (`OperatorRegressor(…).model_`);
        `horizon`: frames to predict, the operator's by default.

        **Raises:** TypeError for other operators; ValueError for shapes, times and modes that do not fit.
        """
        inner = _inner(operator)
        grid = self._grid(inner, u, dt)
        check_frames(operator, u, cond)
        frames = inner.horizon if horizon is None else horizon
        wide = widened(inner, self.modes)
        return self._refine(operator, wide, u, dt, cond, frames, _Rate(self.equation, grid))

    @eqx.filter_jit
    def _refine(
        self, operator: Any, wide: SpatiotemporalFNO, u: Array, dt: Any, cond: Any, frames: int, rate: "_Rate"
    ) -> Refinement:
        scaled, told, scale, mean = _scaled(operator, u, cond)
        features = jax.lax.stop_gradient(wide.features(scaled, cond=told))

        def trajectory(last: Any) -> tuple[Array, Array]:
            """Frames 0 (the last of the input) to `frames`, and their slopes."""
            at = eqx.tree_at(lambda o: o.last, wide, last)
            values, slopes = at.decode_with_slopes(features, scaled[-1], steps=frames)
            return values * scale + mean, slopes * scale / dt

        def loss(last: Any, batch: None, key: Any) -> tuple[Array, dict[str, Any]]:
            values, slopes = trajectory(last)
            return self._loss(values, slopes, u[-1, : wide.channels], dt, rate), {}

        update = gradient(
            loss, self._optimiser(u, wide.bias_scale), groups=None if self.optimiser is not None else _groups
        )
        state = update.init(wide.last, jax.random.key(0))
        before = trajectory(wide.last)[0][1:]
        state, infos = minimise(update, state, None, self.steps, key=jax.random.key(0))
        after, slopes = trajectory(state.unknowns)
        final = self._loss(after, slopes, u[-1, : wide.channels], dt, rate)
        refined = eqx.tree_at(lambda o: o.last, wide, state.unknowns)
        if isinstance(operator, Normalised):
            refined = eqx.tree_at(lambda o: o.operator, operator, refined)
        return Refinement(after[1:], before, jnp.sqrt(jnp.append(infos["loss"], final)), refined)

    def loss(
        self,
        values: Float[Array, "frames channels *space"],
        slopes: Float[Array, "frames channels *space"],
        start: Float[Array, "channels *space"],
        dt: float | int | Array,
        grid: Grid,
    ) -> Float[Array, ""]:
        """What is minimised, of frames 0 to n of a trajectory that should begin at `start`."""
        return self._loss(values, slopes, start, dt, _Rate(self.equation, grid))

    def _loss(self, values: Array, slopes: Array, start: Array, dt: Any, rate: "_Rate") -> Array:
        squares = self._squared(values, slopes, dt, rate)
        jump = jnp.mean(jnp.square(values[0] - start)) * values.shape[1]
        duration = (values.shape[0] - 1) * dt
        return jnp.mean(squares) + self.start_weight * jump / duration**2

    def squared_residuals(
        self,
        values: Float[Array, "frames channels *space"],
        slopes: Float[Array, "frames channels *space"],
        dt: float | int | Array,
        grid: Grid,
    ) -> Float[Array, " frames"]:
        """‖rate(w) - ∂_t w‖² in H^order, a mean over space, at every frame."""
        return self._squared(values, slopes, dt, _Rate(self.equation, grid))

    def _squared(self, values: Array, slopes: Array, dt: Any, rate: "_Rate") -> Array:
        grid, every = rate.grid, jax.vmap(rate)
        drift = self.derivative(values, slopes, every, dt) - every(values)

        def square(r: Array) -> Array:
            field = GridField(grid, r, Spectral())
            return jnp.sum(sobolev_inner(field, field, self.order, alpha=self.alpha)) / grid.domain.volume

        return jax.vmap(square)(drift)

    def _optimiser(self, u: Array, delta: float | int) -> Any:
        if self.optimiser is not None:
            return self.optimiser
        size = jnp.sqrt(jnp.mean(jnp.square(u[-1])))
        # The bias is multiplied by δ in the layer.
        return {"bias": optax.adam(self.rates[0] * size / delta), "weight": optax.adam(self.rates[1] * size)}

    def _grid(self, operator: SpatiotemporalFNO, u: Array, dt: Any) -> Grid:
        space = self.equation.space
        if not dt > 0:
            raise ValueError(f"dt={dt}; expected the time between two frames, positive.")
        if operator.spatial_axes != space.dimension or operator.channels != self.equation.components:
            raise ValueError(
                f"operator: it predicts {operator.channels} channels on {operator.spatial_axes} axes; the equation has "
                f"{self.equation.components} on {space.dimension}."
            )
        return Grid(space, tuple(u.shape[2:]))


def widened(operator: SpatiotemporalFNO, modes: Sequence[int] | None) -> SpatiotemporalFNO:
    """The same operator with room for more modes in its last layer: they are zero, so it predicts the same."""
    return operator if modes is None else eqx.tree_at(lambda o: o.last, operator, operator.last.widen(modes))


def _inner(operator: AbstractOperator) -> SpatiotemporalFNO:
    inner = operator.operator if isinstance(operator, Normalised) else operator
    if not isinstance(inner, SpatiotemporalFNO):
        raise TypeError(
            f"operator: got {type(inner).__name__}; only a SpatiotemporalFNO has a last layer that is linear in time "
            "and space."
        )
    return inner


def _scaled(operator: Any, u: Array, cond: Any) -> tuple[Array, Any, Any, Any]:
    """Input and conditions as the inner operator takes them; what its output is multiplied with and added to."""
    if not isinstance(operator, Normalised):
        return u, cond, 1.0, 0.0
    told = operator.parameters.normalise(cond) if cond is not None and operator.parameters is not None else cond
    ones = jnp.ones((1, operator.out_channels, *(1,) * operator.spatial_axes), u.dtype)
    mean = operator.outputs.denormalise(0 * ones)
    return operator.inputs.normalise(u), told, operator.outputs.denormalise(ones) - mean, mean


def _groups(last: Any) -> Any:
    return eqx.tree_at(lambda l: (l.weight, l.bias), last, ("weight", "bias"))


class _Rate(eqx.Module):
    """rate(w) (channels, *space) of one frame; products dealiased where the equation's degree is known."""

    equation: AbstractEvolution
    grid: Grid
    process: Any

    def __init__(self, equation: AbstractEvolution, grid: Grid) -> None:
        self.equation, self.grid = equation, grid
        self.process = equation.on(grid) if isinstance(equation, AbstractSemilinear) else None

    def __call__(self, frame: Array) -> Array:
        values = frame[0] if self.equation.components == 1 else frame
        if isinstance(self.equation, AbstractSemilinear):
            state = fourier_state(self.equation, self.grid, values)
            rate = fourier_values(self.grid, self.process.drift(jnp.zeros((), values.dtype), state, None))
        else:
            field = self.equation.rate(GridField(self.grid, values, Spectral()))
            rate = field.values  # pyright: ignore[reportAttributeAccessIssue]
        return rate[None] if self.equation.components == 1 else rate
