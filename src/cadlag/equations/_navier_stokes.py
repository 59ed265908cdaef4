"""Navier-Stokes in two dimensions: the vorticity's equation for grids, and velocity form for networks."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.equations._condition import Condition
from cadlag.equations._equation import AbstractEquation
from cadlag.equations._evolution import AbstractSemilinear
from cadlag.equations._shared import Interval, Number, check_periodic, first_wave, parameter, space_time, starts
from cadlag.fields import AbstractField, Box, GaussianRandomField, Grid, GridField, inverse_laplacian, stack

TORUS = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)}, periodic=("x", "y"))
TORUS_2PI = Box({"x": (0.0, 2 * np.pi), "y": (0.0, 2 * np.pi)}, periodic=("x", "y"))


class NavierStokes(AbstractSemilinear):
    """w_t + u · ∇w = nu Δw - drag w + f with the vorticity w = v_x - u_y, on a periodic box.

    The velocity is (u, v) = (psi_y, -psi_x), Δpsi = -w, of mean zero. That needs an inverse Laplacian, which fields
    on grids have; for networks use `VelocityNavierStokes`. The advection is computed in the form
    (u v)_xx - (u v)_yy + (v² - u²)_xy, which takes four transforms instead of five.

    By default the Taylor-Green vortices cos(k x) cos(k y), which decay as exp(-(|k|² nu + drag) t).

    **Arguments:**

    - `nu`, `drag`: viscosity and linear friction.
    - `space`, `time`: periodic axes x and y; first and last time.
    - `force`: f(x, y), the curl of the force on the velocity; None for decaying flow.
    - `u0`: the initial vorticity as a function (x, y).
    - `solution`: the exact vorticity (t, x, y), where a `force` or an `u0` has one.
    """

    domain: Box
    nu: Float[Array, ""]
    drag: Float[Array, ""]
    force: Callable | None
    start: Callable | None
    solution: Callable | None
    components: int = eqx.field(static=True, default=1)
    degree: int = eqx.field(static=True, default=2)

    def __init__(
        self,
        nu: Number = 1e-3,
        *,
        drag: Number = 0.0,
        space: Box = TORUS,
        time: Interval = (0.0, 1.0),
        force: Callable | None = None,
        u0: Callable | None = None,
        solution: Callable | None = None,
    ) -> None:
        check_periodic("NavierStokes", space, ("x", "y"))
        self.domain = space_time(space, time)
        self.nu, self.drag = parameter(nu), parameter(drag)
        self.force, self.start, self.solution = force, u0, solution
        self.components, self.degree = 1, 2

    @staticmethod
    def forced(nu: Number = 1e-3, *, time: Interval = (0.0, 50.0)) -> "NavierStokes":
        """FNO's data (Li et al. 2021): f = 0.1 (sin 2 pi (x + y) + cos 2 pi (x + y)) on the unit torus.

        u0 is rest, from which w = f / (8 pi² nu) (1 - exp(-8 pi² nu t)) exactly; data start from `random_state`.
        """
        return NavierStokes(nu, time=time, force=_diagonal, u0=_rest, solution=_FromRest(parameter(nu), time[0]))

    @staticmethod
    def kolmogorov(
        nu: Number = 1e-2,
        *,
        drag: Number = 0.1,
        wave: int = 4,
        amplitude: Number = 1.0,
        time: Interval = (0.0, 40.0),
    ) -> "NavierStokes":
        """The velocity is forced by amplitude sin(wave y) along x, on [0, 2 pi]².

        u0 is the laminar state w = -wave amplitude cos(wave y) / (nu wave² + drag), which stays (unstably).
        """
        force = _Shear(parameter(amplitude), wave)
        laminar = _Laminar(force, parameter(nu), parameter(drag))
        return NavierStokes(
            nu, drag=drag, space=TORUS_2PI, time=time, force=force, u0=laminar, solution=_Steady(laminar)
        )

    @property
    def u0(self) -> Callable:
        """The initial vorticity."""
        if self.start is not None:
            return self.start
        return lambda x, y: self._taylor_green(jnp.full_like(x, self.domain.bounds("t")[0]), x, y)

    @property
    def exact(self) -> Callable | None:
        """The vorticity of the Taylor-Green vortices, or as given."""
        return self._taylor_green if self.start is None and self.force is None else self.solution

    def linear(self, u: AbstractField) -> AbstractField:
        """nu Δw - drag w."""
        return self.nu * u.laplacian(("x", "y")) - self.drag * u

    def nonlinear(self, u: AbstractField) -> AbstractField:
        """-u · ∇w + f."""
        stream = -inverse_laplacian(u)
        vx, vy = stream.d("y"), -stream.d("x")
        shear, tension = vx * vy, vy**2 - vx**2
        advected = shear.d("x", 2) - shear.d("y", 2) + tension.d("x").d("y")
        return -advected if self.force is None else u.function(self.force) - advected

    def conditions(self) -> tuple[Condition, ...]:
        """The initial vorticity."""
        return (starts(self.domain, self.u0),)

    def random_state(self, grid: Grid, *, key: PRNGKeyArray) -> GridField:
        """The law of FNO's code in units of the box, N(0, 2 · 7³ (-Δ + 49)^-2.5); its paper says 7^1.5."""
        return GaussianRandomField(grid, alpha=2.5, tau=7.0, sigma=2**0.5 * 7.0**1.5).sample(key)

    def _taylor_green(self, t: Array, x: Array, y: Array) -> Array:
        kx, ky = (first_wave(self.space, name) for name in ("x", "y"))
        rate = (kx**2 + ky**2) * self.nu.astype(t.dtype) + self.drag.astype(t.dtype)
        x, y = x - self.space.lower[0], y - self.space.lower[1]
        return jnp.exp(-rate * (t - self.domain.bounds("t")[0])) * jnp.cos(kx * x) * jnp.cos(ky * y)


# Modules and functions with names, not closures: parameters stay leaves, and compiled code is found again.
class _Shear(eqx.Module):
    """The curl of amplitude sin(wave y) along x."""

    amplitude: Float[Array, ""]
    wave: int = eqx.field(static=True)

    def __call__(self, x: Array, y: Array) -> Array:
        return -self.amplitude.astype(x.dtype) * self.wave * jnp.cos(self.wave * y)


class _Laminar(eqx.Module):
    force: _Shear
    nu: Float[Array, ""]
    drag: Float[Array, ""]

    def __call__(self, x: Array, y: Array) -> Array:
        friction = self.nu * self.force.wave**2 + self.drag
        return self.force(x, y) / friction.astype(x.dtype)


class _Steady(eqx.Module):
    state: _Laminar

    def __call__(self, t: Array, x: Array, y: Array) -> Array:
        return self.state(x, y)


class _FromRest(eqx.Module):
    """f (1 - exp(-r t)) / r with r = 8 pi² nu."""

    nu: Float[Array, ""]
    start: float | int = eqx.field(static=True)

    def __call__(self, t: Array, x: Array, y: Array) -> Array:
        rate = 8 * np.pi**2 * self.nu.astype(t.dtype)
        return -jnp.expm1(-rate * (t - self.start)) / rate * _diagonal(x, y)


def _diagonal(x: Array, y: Array) -> Array:
    return 0.1 * (jnp.sin(2 * np.pi * (x + y)) + jnp.cos(2 * np.pi * (x + y)))


def _rest(x: Array, y: Array) -> Array:
    return jnp.zeros_like(x)


def velocity(vorticity: AbstractField) -> AbstractField:
    """(u, v) = (psi_y, -psi_x) with Δpsi = -w, of mean zero; for fields on periodic grids."""
    stream = -inverse_laplacian(vorticity)
    return stack([stream.d("y"), -stream.d("x")])


class VelocityNavierStokes(AbstractEquation):
    """The same equation for the unknowns (u, v), as physics-informed networks solve it (Wang et al. 2203.07404).

    Two residuals, the transport of the vorticity w = v_x - u_y and the divergence u_x + v_y; no pressure. By default
    the Taylor-Green vortices.

    **Arguments:**

    - `nu`, `drag`, `space`, `time`, `force`: as for `NavierStokes`.
    - `u0`: the initial velocity, a function (x, y) → (2, …), such as a field made by `velocity`.
    - `solution`: the exact velocity (t, x, y) → (2, …), where it is known.
    """

    domain: Box
    nu: Float[Array, ""]
    drag: Float[Array, ""]
    force: Callable | None
    start: Callable | None
    solution: Callable | None
    components: int = eqx.field(static=True, default=2)

    def __init__(
        self,
        nu: Number = 1e-2,
        *,
        drag: Number = 0.0,
        space: Box = TORUS_2PI,
        time: Interval = (0.0, 1.0),
        force: Callable | None = None,
        u0: Callable | None = None,
        solution: Callable | None = None,
    ) -> None:
        check_periodic("VelocityNavierStokes", space, ("x", "y"))
        self.domain = space_time(space, time)
        self.nu, self.drag = parameter(nu), parameter(drag)
        self.force, self.start, self.solution = force, u0, solution
        self.components = 2

    @property
    def u0(self) -> Callable:
        """The initial velocity."""
        if self.start is not None:
            return self.start
        return lambda x, y: self._taylor_green(jnp.full_like(x, self.domain.bounds("t")[0]), x, y)

    @property
    def exact(self) -> Callable | None:
        """The velocity of the Taylor-Green vortices, or as given."""
        return self._taylor_green if self.start is None and self.force is None else self.solution

    def residual(self, u: AbstractField) -> tuple[AbstractField, ...]:
        """Transport of vorticity, and divergence."""
        vx, vy = u[0], u[1]
        w = vy.d("x") - vx.d("y")
        transport = w.d("t") + vx * w.d("x") + vy * w.d("y") - self.nu * w.laplacian(("x", "y")) + self.drag * w
        if self.force is not None:
            force = self.force
            transport = transport - u.function(lambda t, x, y: force(x, y))
        return transport, vx.d("x") + vy.d("y")

    def conditions(self) -> tuple[Condition, ...]:
        """The initial velocity."""
        return (starts(self.domain, self.u0),)

    def _taylor_green(self, t: Array, x: Array, y: Array) -> Array:
        kx, ky = (first_wave(self.domain, name) for name in ("x", "y"))
        square = kx**2 + ky**2
        rate = square * self.nu.astype(t.dtype) + self.drag.astype(t.dtype)
        decay = jnp.exp(-rate * (t - self.domain.bounds("t")[0])) / square
        phase_x, phase_y = kx * (x - self.domain.lower[1]), ky * (y - self.domain.lower[2])
        vx = -ky * jnp.cos(phase_x) * jnp.sin(phase_y)
        return decay * jnp.stack([vx, kx * jnp.sin(phase_x) * jnp.cos(phase_y)])
