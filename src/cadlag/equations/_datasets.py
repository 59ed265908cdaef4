"""Data sets of fields made by the library's own simulators."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag import __version__
from cadlag.data import FieldDataset
from cadlag.equations._darcy import solve_darcy
from cadlag.equations._darcy_coefficients import MultiscaleField, ThresholdedField
from cadlag.equations._elliptic import SQUARE
from cadlag.equations._evolution import AbstractEvolution
from cadlag.equations._passive_scalar import PassiveScalar, RandomStream
from cadlag.equations._simulate import Simulation, simulate
from cadlag.fields import Grid, GridField, Spectral, resample


class AbstractGenerator(eqx.Module):
    """One example of a data set from a key.

    To write your own, declare `channels` and `ts` (None for a steady map), and give `grid(resolution)`, where the
    values are kept, `example(grid, key)`, values (frames, channels, *grid.shape) with NaN where the simulation fails,
    and `about(grid)`, what to write down of it.
    """

    channels: eqx.AbstractVar[tuple[str, ...]]
    ts: eqx.AbstractVar[tuple[float, ...] | None]

    @abc.abstractmethod
    def grid(self, resolution: int) -> Grid:
        """Where the values are kept: `resolution` points an axis."""

    @abc.abstractmethod
    def example(self, grid: Grid, key: PRNGKeyArray) -> Float[Array, "frames channels ..."]:
        """One example, traced."""

    @abc.abstractmethod
    def about(self, grid: Grid) -> dict[str, Any]:
        """Texts and numbers for the record's attributes."""


class EvolutionGenerator(AbstractGenerator):
    """Frames of an evolution equation from random initial states.

    **Arguments:**

    - `equation`: as for `simulate`; draws its own `random_state` unless `start` gives another.
    - `channels`: names of its components.
    - `ts`: times of the frames, the first that of the initial state.
    - `step`: the step in time on a grid of `least` points an axis, smaller on finer ones in proportion.
    - `least`: solve on so many points an axis or more; the modes that the kept grid cannot hold are cut off.
    - `burn_in`: time before the first frame.
    - `start`: (grid, key) → initial values.
    - `finish`: values (frames, *components, *grid.shape) → the same, after the simulation.
    """

    equation: AbstractEvolution
    channels: tuple[str, ...] = eqx.field(static=True)
    ts: tuple[float, ...] = eqx.field(static=True)
    step: float = eqx.field(static=True)
    least: int = eqx.field(static=True)
    burn_in: float = eqx.field(static=True, default=0.0)
    start: Callable | None = eqx.field(static=True, default=None)
    finish: Callable | None = eqx.field(static=True, default=None)

    def grid(self, resolution: int) -> Grid:
        """On the equation's space."""
        return Grid(self.equation.space, resolution)

    def example(self, grid: Grid, key: PRNGKeyArray) -> Float[Array, "frames channels ..."]:
        """Simulated, then cut to the modes of the grid."""
        fine = self._fine(grid)
        return _kept(self._frames(fine, key, np.asarray(self.ts)).values, self, fine, grid)

    def about(self, grid: Grid) -> dict[str, Any]:
        """The equation and how it is solved."""
        fine = self._fine(grid)
        about = {"equation": type(self.equation).__name__, **_numbers(self.equation)}
        return about | {"step": self._step(fine), "points solved on": fine.shape[0], "burn-in": self.burn_in}

    def time_error(self, grid: Grid, key: PRNGKeyArray) -> float:
        """How far the second frame of an example is from that at half the step, relative: from one first frame on."""
        fine, ts = self._fine(grid), np.asarray(self.ts[:2])
        first = self._frames(fine, key, ts).values[0]
        error = simulate(self.equation, fine, ts, u0=first, step=self._step(fine), estimate=True).error
        assert error is not None
        return float(error[-1])

    def _frames(self, fine: Grid, key: PRNGKeyArray, ts: np.ndarray) -> Simulation:
        u0, key_or_none = (None, key) if self.start is None else (self.start(fine, key), None)
        return simulate(
            self.equation,
            fine,
            ts,
            u0=u0,
            key=key_or_none,
            step=self._step(fine),
            burn_in=self.burn_in,
            throw=False,
        )

    def _fine(self, grid: Grid) -> Grid:
        return Grid(grid.domain, tuple(max(n, self.least) for n in grid.shape), nodes=grid.nodes)

    def _step(self, fine: Grid) -> float:
        return self.step * self.least / max(fine.shape)


class ScalarGenerator(AbstractGenerator):
    """A scalar carried by a random steady flow: channels u and, the same in all frames, the velocity.

    **Arguments:** `equation`, a `PassiveScalar`, whose velocity is replaced; `ts`, `step`, `least` as for
    `EvolutionGenerator`; `speed`, the root mean square of the velocity.
    """

    equation: PassiveScalar
    ts: tuple[float, ...] = eqx.field(static=True)
    step: float = eqx.field(static=True)
    least: int = eqx.field(static=True)
    speed: float = eqx.field(static=True, default=1.0)
    channels: tuple[str, ...] = eqx.field(static=True, default=("u", "vx", "vy"))

    def grid(self, resolution: int) -> Grid:
        """On the equation's space."""
        return Grid(self.equation.space, resolution)

    def example(self, grid: Grid, key: PRNGKeyArray) -> Float[Array, "frames channels ..."]:
        """A flow, an initial state, and the frames."""
        flow_key, key = jr.split(key)
        flow = RandomStream.draw(grid.domain, flow_key, speed=self.speed)
        frames = self.carried(flow).example(grid, key)
        velocity = flow(*(jnp.asarray(x, frames.dtype) for x in grid.mesh()))
        return jnp.concatenate([frames, jnp.broadcast_to(velocity, (len(self.ts), *velocity.shape))], axis=1)

    def about(self, grid: Grid) -> dict[str, Any]:
        """The equation and how it is solved."""
        return self.carried(None).about(grid) | {"speed": self.speed}

    def carried(self, flow: Callable | None) -> EvolutionGenerator:
        """The frames of u alone in a given flow."""
        equation = eqx.tree_at(lambda e: e.velocity, self.equation, flow, is_leaf=lambda x: x is None)
        return EvolutionGenerator(equation=equation, channels=("u",), ts=self.ts, step=self.step, least=self.least)


class DarcyGenerator(AbstractGenerator):
    """Permeability a and pressure u of Darcy's flow with f = 1 on the unit square, walls among the points.

    **Arguments:** `law`, a grid → `ThresholdedField` or `MultiscaleField` on it.
    """

    law: Callable[[Grid], ThresholdedField | MultiscaleField] = eqx.field(static=True)
    channels: tuple[str, ...] = eqx.field(static=True, default=("a", "u"))
    ts: None = None

    def grid(self, resolution: int) -> Grid:
        """With points on the walls."""
        return Grid(SQUARE, resolution)

    def example(self, grid: Grid, key: PRNGKeyArray) -> Float[Array, "frames channels ..."]:
        """Coefficient and solution."""
        a = self.law(grid).sample(key).values
        return jnp.stack([a, solve_darcy(a, grid, max_steps=2000, throw=False)])[None]

    def about(self, grid: Grid) -> dict[str, Any]:
        """The law of the coefficient."""
        law = self.law(grid)
        names = [name for name in law.__dataclass_fields__ if name != "grid"]
        settings = {f"coefficient {name}": _plain(getattr(law, name)) for name in names}
        return {"equation": "Darcy", "source": 1.0, "coefficient": type(law).__name__, **settings}


def make_dataset(
    generator: AbstractGenerator,
    n: int,
    *,
    resolution: int,
    key: PRNGKeyArray,
    shard: int = 16,
    dtype: Any = np.float32,
    progress: Callable[[int, int], None] | None = None,
) -> FieldDataset:
    """n examples, simulated `shard` at a time in one compiled program, in JAX's default precision.

    Example i comes from `fold_in(key, i)` alone, so more examples begin with the same ones. Runs that fail, ending in
    NaN or in zeros everywhere, are left out and replaced; the attribute `dropped` says how many.

    **Arguments:** `dtype`, what values are kept in; `progress`, called with the number of examples made and n.

    **Raises:** ValueError for n or a resolution out of range, and where more runs fail than succeed.
    """
    if n < 1 or resolution < 4:
        raise ValueError(f"make_dataset: n={n}, resolution={resolution}; expected at least 1 example and 4 points.")
    grid = generator.grid(resolution)
    batch = eqx.filter_jit(jax.vmap(lambda k: generator.example(grid, jr.fold_in(key, k))))
    made, tried, dropped = [], 0, 0
    while sum(map(len, made)) < n:
        # The last shard is as long as all others, so that one program serves them all.
        count = min(shard, n)
        values = np.asarray(batch(jnp.arange(tried, tried + count)))
        flat = values.reshape(count, -1)
        good = np.isfinite(flat).all(1) & (flat != 0).any(1)
        made.append(values[good].astype(dtype))
        tried, dropped = tried + count, dropped + int((~good).sum())
        if dropped > max(n, 2 * shard):
            raise ValueError(
                f"make_dataset: {dropped} of {tried} runs failed; take a smaller step, a finer grid or more viscosity."
            )
        if progress is not None:
            progress(min(n, tried - dropped), n)
    about = generator.about(grid) | {"key": str(np.asarray(jr.key_data(key)).tolist()), "dropped": dropped}
    return FieldDataset.from_arrays(
        np.concatenate(made)[:n],
        channels=generator.channels,
        axes=grid.domain.names,
        coordinates=[grid.points(name) for name in grid.domain.names],
        ts=generator.ts,
        periodic=grid.domain.periodic,
        boundary={name: "periodic" if name in grid.domain.periodic else "dirichlet" for name in grid.domain.names},
        attributes={**about, "made by": f"cadlag {__version__}"},
    )


def _kept(values: Array, generator: EvolutionGenerator, fine: Grid, grid: Grid) -> Array:
    """(frames, channels, *grid.shape)."""
    values = values if generator.finish is None else generator.finish(values)
    values = values.reshape(len(generator.ts), len(generator.channels), *fine.shape)
    return values if fine.shape == grid.shape else resample(GridField(fine, values, Spectral()), grid.shape).values


def _numbers(equation: Any) -> dict[str, float]:
    """Parameters of an equation by name."""
    fields = {name: getattr(equation, name) for name in equation.__dataclass_fields__}
    arrays = {name: x for name, x in fields.items() if eqx.is_array(x) and jnp.ndim(x) == 0}
    return {name: float(x) for name, x in arrays.items()}


def _plain(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, tuple) else value
