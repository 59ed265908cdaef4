"""The data sets that have a name: settings of the papers where there are some, each solved to more than its dtype."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from cadlag.equations._allen_cahn import AllenCahn
from cadlag.equations._burgers import Burgers
from cadlag.equations._darcy_coefficients import MultiscaleField, ThresholdedField
from cadlag.equations._datasets import AbstractGenerator, DarcyGenerator, EvolutionGenerator, ScalarGenerator
from cadlag.equations._heat import Heat
from cadlag.equations._kdv import KortewegDeVries
from cadlag.equations._kuramoto_sivashinsky import KuramotoSivashinsky
from cadlag.equations._navier_stokes import NavierStokes
from cadlag.equations._passive_scalar import PassiveScalar
from cadlag.equations._shallow_water import ShallowWater
from cadlag.equations._shared import periodic_line
from cadlag.fields import GaussianRandomField, Grid

Times = tuple[float, ...]


def dataset_generator(
    name: str, *, frames: int | None = None, every: float | None = None, nu: float | None = None
) -> AbstractGenerator:
    """The generator of a named data set.

    **Arguments:** `frames`, how many; `every`, the time between them; `nu`, viscosity or diffusivity. Defaults are the
    set's own.

    **Raises:** ValueError for a name that is not in `DATASETS`, and for a setting that the set does not have.
    """
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}.")
    make, usual = DATASETS[name]
    given = {"frames": frames, "every": every, "nu": nu}
    known = {key for key, value in given.items() if value is not None}
    if known - usual.keys():
        raise ValueError(
            f"{name} has no {', '.join(sorted(known - usual.keys()))}; it has {', '.join(usual) or 'none'}."
        )
    settings = usual | {key: value for key, value in given.items() if value is not None}
    if settings.get("frames", 2) < 2 or settings.get("every", 1.0) <= 0 or settings.get("nu", 1.0) < 0:
        raise ValueError(f"{name}: {settings}; expected two frames or more, a positive time between, nu >= 0.")
    if "frames" in settings:
        count = settings.pop("frames")
        settings["ts"] = tuple(float(t) for t in settings.pop("every") * np.arange(count))
    return make(**settings)


def _forced(ts: Times, nu: float) -> AbstractGenerator:
    """FNO's (Li et al. 2021): the unit torus, u0 ~ N(0, 2 · 7³ (-Δ + 49)^-2.5)."""
    equation = NavierStokes.forced(nu, time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("w",), ts=ts, step=0.02, least=64)


def _decaying(ts: Times, nu: float) -> AbstractGenerator:
    """The same from the same states without the force."""
    equation = NavierStokes(nu, time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("w",), ts=ts, step=0.05, least=64)


def _kolmogorov(ts: Times, nu: float) -> AbstractGenerator:
    """Four waves of force on [0, 2 pi]², drag 0.1, after the transient."""
    equation = NavierStokes.kolmogorov(nu, time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("w",), ts=ts, step=0.02, least=64, burn_in=20.0)


def _burgers(ts: Times, nu: float) -> AbstractGenerator:
    """FNO's (Li et al. 2021): the unit interval, u0 ~ N(0, 625 (-Δ + 25)^-2)."""
    equation = Burgers(nu, space=periodic_line(1.0), time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("u",), ts=ts, step=1e-3, least=256)


def _ks(ts: Times) -> AbstractGenerator:
    """On the attractor of a line of length 64."""
    equation = KuramotoSivashinsky(time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("u",), ts=ts, step=0.05, least=256, burn_in=80.0)


def _kdv(ts: Times) -> AbstractGenerator:
    """LPSDA's (Brandstetter et al. 2022): a line of length 128."""
    equation = KortewegDeVries(1.0, space=periodic_line(128.0), time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("u",), ts=ts, step=0.05, least=256)


def _heat(ts: Times, nu: float) -> AbstractGenerator:
    """Exact in time, whatever the step."""
    equation = Heat(nu, space=periodic_line(1.0), time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("u",), ts=ts, step=ts[1] - ts[0], least=32)


def _allen_cahn(ts: Times, nu: float) -> AbstractGenerator:
    """A periodic line of length 2, reaction 5."""
    equation = AllenCahn(nu, time=_span(ts))
    return EvolutionGenerator(equation=equation, channels=("u",), ts=ts, step=0.01, least=256)


def _advection(ts: Times, nu: float) -> AbstractGenerator:
    """On the unit torus, by eight waves of random numbers up to 2."""
    return ScalarGenerator(equation=PassiveScalar(nu=nu, time=_span(ts)), ts=ts, step=5e-3, least=64)


def _shallow_water(ts: Times, nu: float) -> AbstractGenerator:
    """Waves of water 1 deep on the unit torus, g = 1, from rest."""
    return EvolutionGenerator(
        equation=ShallowWater(nu=nu, time=_span(ts)),
        channels=("h", "u", "v"),
        ts=ts,
        step=4e-3,
        least=64,
        start=_still_water,
        finish=_to_points,
    )


def _still_water(grid: Grid, key: PRNGKeyArray) -> Array:
    """Water at rest, 1 deep, with a smooth random surface of standard deviation 0.1 or so."""
    surface = (
        GaussianRandomField(grid, alpha=4.0, tau=9.0, sigma=0.1 * (4 * np.pi * 3) ** 0.5 * 9.0**3).sample(key).values
    )
    return jnp.stack([1 + surface, jnp.zeros_like(surface), jnp.zeros_like(surface)])


def _to_points(values: Array) -> Array:
    """The velocities of the C-grid, half a spacing to the right and above, in the middle of the points."""
    h, u, v = values[:, 0], values[:, 1], values[:, 2]
    return jnp.stack([h, (u + jnp.roll(u, 1, -2)) / 2, (v + jnp.roll(v, 1, -1)) / 2], axis=1)


def _darcy() -> AbstractGenerator:
    """12 and 3 (Li et al. 2021)."""
    return DarcyGenerator(law=ThresholdedField)


def _multiscale() -> AbstractGenerator:
    """As many of six factors as the grid carries (He et al. 2024)."""
    return DarcyGenerator(law=_resolved)


def _resolved(grid: Grid) -> MultiscaleField:
    return MultiscaleField(grid, factors=MultiscaleField.most(grid))


def _span(ts: Times) -> tuple[float, float]:
    return ts[0], ts[-1]


DATASETS: dict[str, tuple[Callable[..., AbstractGenerator], dict[str, Any]]] = {
    "navier-stokes": (_forced, {"frames": 21, "every": 1.0, "nu": 1e-3}),
    "navier-stokes-decaying": (_decaying, {"frames": 21, "every": 1.0, "nu": 1e-3}),
    "navier-stokes-kolmogorov": (_kolmogorov, {"frames": 21, "every": 0.5, "nu": 1e-2}),
    "burgers": (_burgers, {"frames": 11, "every": 0.1, "nu": 0.1}),
    "kuramoto-sivashinsky": (_ks, {"frames": 101, "every": 0.8}),
    "kdv": (_kdv, {"frames": 101, "every": 1.0}),
    "heat": (_heat, {"frames": 11, "every": 0.1, "nu": 1e-3}),
    "advection": (_advection, {"frames": 11, "every": 0.1, "nu": 5e-4}),
    "allen-cahn": (_allen_cahn, {"frames": 11, "every": 0.1, "nu": 1e-3}),
    "shallow-water": (_shallow_water, {"frames": 21, "every": 0.05, "nu": 1e-3}),
    "darcy": (_darcy, {}),
    "darcy-multiscale": (_multiscale, {}),
}
"""Name → its generator and its own settings."""
