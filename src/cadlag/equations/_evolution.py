"""Evolution equations: rates in time, and what becomes of them on a grid."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.equations._equation import AbstractEquation
from cadlag.fields import AbstractField, AbstractScheme, Box, FourierField, Grid, GridField, Spectral, mode_mask
from cadlag.solve import ODE, AbstractProcess, Semilinear


class AbstractEvolution(AbstractEquation):
    """u_t = rate(u) in space-time.

    To write your own, declare what `AbstractEquation` asks for, with `domain` the box of SPACE-TIME whose first axis
    is "t", and `u0` (the initial state as a function of the coordinates of space), and give `rate` and `conditions`.
    A rate must not use derivatives in t.
    """

    u0: eqx.AbstractVar[Callable]

    @abc.abstractmethod
    def rate(self, u: AbstractField) -> AbstractField:
        """The time derivative, from a field on space or on space-time."""

    def residual(self, u: AbstractField) -> AbstractField:
        """u_t - rate(u)."""
        return u.d("t") - self.rate(u)

    def on(self, grid: Grid, *, scheme: AbstractScheme | None = None) -> AbstractProcess:
        """The equation on a grid of its space, for `solve`.

        An `AbstractSemilinear` on a grid periodic in every axis becomes a `Semilinear` process whose state is the
        coefficients `rfftn(values)`; `fourier_state` and `fourier_values` go to and fro. With a `scheme`, and for other
        equations, the state is the values, shape (*components, *grid.shape), differentiated by the scheme (`Spectral()`
        by default): the method of lines, in which boundary conditions are the scheme's business.
        """
        check_space(self, grid)
        periodic = grid.domain.periodic == grid.domain.names
        if isinstance(self, AbstractSemilinear) and periodic and scheme is None:
            return Semilinear(_symbol(self, grid), None if self.degree == 1 else _Products(self, grid))
        return ODE(_Lines(self, grid, Spectral() if scheme is None else scheme))

    @property
    def time(self) -> tuple[float, float]:
        """First and last time."""
        return self.domain.bounds("t")

    @property
    def space(self) -> Box:
        """The domain without t; raises `ValueError` for an ordinary equation, which has nothing else."""
        return self.domain.without("t")


class AbstractSemilinear(AbstractEvolution):
    """u_t = linear(u) + nonlinear(u), the linear part with constant coefficients.

    On a periodic grid such an equation is y' = L y + N(y) in Fourier space with a diagonal L, which exponential
    steppers solve. To write your own, declare what `AbstractEvolution` asks for and `degree` (of the polynomial
    `nonlinear`, which decides how many modes are free of aliasing; 1 where `nonlinear` gives None), and give `linear`,
    `nonlinear`, `conditions` and `random_state`.
    """

    degree: eqx.AbstractVar[int]

    @abc.abstractmethod
    def linear(self, u: AbstractField) -> AbstractField:
        """The part with constant coefficients, from derivatives of u, sums and multiples only."""

    @abc.abstractmethod
    def nonlinear(self, u: AbstractField) -> AbstractField | None:
        """The rest, forcing included; None where there is none."""

    @abc.abstractmethod
    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """A random initial state for making data."""

    def rate(self, u: AbstractField) -> AbstractField:
        """linear(u) + nonlinear(u)."""
        linear, rest = self.linear(u), self.nonlinear(u)
        return linear if rest is None else linear + rest


def check_space(equation: AbstractEvolution, grid: Grid) -> None:
    """Raise `ValueError` where a grid does not lie on an equation's space."""
    if equation.domain.names == ("t",):
        raise ValueError(f"{type(equation).__name__} is an ordinary equation, without a grid; `simulate` it with None.")
    space = equation.space
    if grid.domain != space:
        raise ValueError(
            f"the grid is on {grid.domain}, the space of {type(equation).__name__} is {space}; make the grid by "
            "Grid(equation.space, shape)."
        )


def kept_share(equation: AbstractSemilinear) -> float:
    """The share of modes that products of the equation's degree do not alias."""
    return 1.0 if equation.degree == 1 else 2 / (equation.degree + 1)


def fourier_state(equation: AbstractSemilinear, grid: Grid, values: Array) -> Array:
    """The state of `equation.on(grid)` from values, less the modes that products would alias."""
    hat = FourierField(grid, values=values).coefficients()
    keep = kept_share(equation)
    if keep == 1:
        return hat
    mask = mode_mask(grid, keep)
    return hat * jnp.asarray(mask.reshape((1,) * (hat.ndim - mask.ndim) + mask.shape), hat.dtype)


def fourier_values(grid: Grid, state: Array) -> Array:
    """Values from a state of `equation.on(grid)`; leading axes, such as time, stay."""
    return FourierField(grid, hat=state).at_points()


class _Products(eqx.Module):
    """N(t, y) in coefficients: products at the points, dealiased on the way back."""

    equation: AbstractSemilinear
    grid: Grid

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        rest = self.equation.nonlinear(FourierField(self.grid, hat=y, keep=kept_share(self.equation)))
        assert isinstance(rest, FourierField)
        return rest.coefficients()


class _Lines(eqx.Module):
    """The rate at the points of a grid."""

    equation: AbstractEvolution
    grid: Grid
    scheme: AbstractScheme

    def __call__(self, t: Any, y: Array, args: Any) -> Array:
        rate = self.equation.rate(GridField(self.grid, y, self.scheme))
        assert isinstance(rate, GridField)
        return rate.values


def _symbol(equation: AbstractSemilinear, grid: Grid) -> Any:
    """L: what the linear part makes of each mode, in float64 where the parameters are known."""
    modes = (*grid.shape[:-1], grid.shape[-1] // 2 + 1)
    shape = modes if equation.components == 1 else (equation.components, *modes)
    with jax.ensure_compile_time_eval():
        known = jax.tree.map(_number, equation)
        one, other = (_apply(known, grid, v) for v in (np.ones(shape), np.arange(np.prod(shape)).reshape(shape)))
    if isinstance(one, jax.core.Tracer):
        return one
    one = np.asarray(one)
    if not np.allclose(one * np.arange(np.prod(shape)).reshape(shape), other):
        raise ValueError(
            f"{type(equation).__name__}: linear(u) mixes Fourier modes or components; move terms whose coefficients "
            "are not constant, and couplings, to nonlinear(u)."
        )
    return one


def _apply(equation: AbstractSemilinear, grid: Grid, hat: np.ndarray) -> Any:
    result = equation.linear(FourierField(grid, hat=hat.astype(complex)))
    assert isinstance(result, FourierField)
    return result.hat if result.values is None else result.coefficients()


def _number(leaf: Any) -> Any:
    """A scalar as a Python number where it is known, which keeps NumPy's arrays what they are."""
    scalar = isinstance(leaf, jax.Array | np.ndarray) and jnp.ndim(leaf) == 0
    return leaf if not scalar or isinstance(leaf, jax.core.Tracer) else float(leaf)
