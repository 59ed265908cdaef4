"""Collocation points: where the residual and the conditions are evaluated."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from cadlag.data import Source
from cadlag.fields import Box, Grid
from cadlag.physics._collocation import Collocation


class AbstractSampler(eqx.Module):
    """Points inside a domain.

    To write your own, declare `count` (how many points a draw has) and give `init(problem, key)`, the first state, and
    `draw(problem, state, train_state, key)`, the next state and points (count, d). Both are pure. The solution so
    far is `train_state.unknowns`; `problem.squared(unknowns, points)` is its squared residual. Draws may be held for
    several steps, see `PINN(resample_every=)`.
    """

    count: eqx.AbstractVar[int]

    @abstractmethod
    def init(self, problem: Collocation, key: PRNGKeyArray) -> PyTree:
        """The first state."""

    @abstractmethod
    def draw(
        self, problem: Collocation, state: PyTree, train_state: PyTree, key: PRNGKeyArray
    ) -> tuple[PyTree, Float[Array, "count d"]]:
        """The next state, and points."""


class Uniform(AbstractSampler):
    """Independent uniform points. **Arguments:** `count`."""

    count: int = eqx.field(static=True, default=1024)

    def __check_init__(self) -> None:
        check_count("Uniform", self.count)

    def init(self, problem: Collocation, key: PRNGKeyArray) -> None:
        """Nothing to remember."""
        return None

    def draw(
        self, problem: Collocation, state: None, train_state: PyTree, key: PRNGKeyArray
    ) -> tuple[None, Float[Array, "count d"]]:
        """Fresh points."""
        return None, uniform_points(problem, self.count, key)


class Sobol(AbstractSampler):
    """A Sobol sequence, shifted by a new random vector (modulo the box) at every draw.

    Means over it have the error of about 1/count instead of 1/sqrt(count) for smooth residuals (Owen 1998).

    **Arguments:** `count`, best a power of two.
    """

    count: int = eqx.field(static=True, default=1024)

    def __check_init__(self) -> None:
        check_count("Sobol", self.count)

    def init(self, problem: Collocation, key: PRNGKeyArray) -> Float[Array, "count d"]:
        """The unshifted sequence in the unit cube."""
        return jnp.asarray(sobol(problem.domain.dimension, self.count), problem.dtype)

    def draw(
        self, problem: Collocation, state: Float[Array, "count d"], train_state: PyTree, key: PRNGKeyArray
    ) -> tuple[Float[Array, "count d"], Float[Array, "count d"]]:
        """The shifted sequence."""
        shift = jr.uniform(key, (1, state.shape[1]), state.dtype)
        return state, into(problem.domain, jnp.mod(state + shift, 1))


class TensorGrid(AbstractSampler):
    """The points of a uniform grid, ends included on axes that are not periodic; the same at every draw.

    **Arguments:** `shape`, points of each axis.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    count: int = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...]):
        self.shape, self.count = tuple(shape), int(np.prod(shape))

    def init(self, problem: Collocation, key: PRNGKeyArray) -> Float[Array, "count d"]:
        """The points."""
        mesh = Grid(problem.domain, self.shape).mesh()
        return jnp.asarray(np.stack([x.ravel() for x in mesh], axis=-1), problem.dtype)

    def draw(
        self, problem: Collocation, state: Float[Array, "count d"], train_state: PyTree, key: PRNGKeyArray
    ) -> tuple[Float[Array, "count d"], Float[Array, "count d"]]:
        """The same points."""
        return state, state


class TimeSlices(AbstractSampler):
    """Times in rising order and uniform points of space at each: `points.reshape(times, each, d)` are the slices.

    **Arguments:**

    - `times`: how many. `each`: points at a time.
    - `fixed`: False draws one time uniformly from each of `times` equal intervals; True takes times equally spaced
      from the first to the last.
    """

    times: int = eqx.field(static=True, default=32)
    each: int = eqx.field(static=True, default=64)
    fixed: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        check_count("TimeSlices", self.times)
        check_count("TimeSlices", self.each)

    @property
    def count(self) -> int:  # type: ignore[override]
        """times x each."""
        return self.times * self.each

    def init(self, problem: Collocation, key: PRNGKeyArray) -> None:
        """Nothing to remember."""
        problem.domain.axis("t")
        return None

    def draw(
        self, problem: Collocation, state: None, train_state: PyTree, key: PRNGKeyArray
    ) -> tuple[None, Float[Array, "count d"]]:
        """Fresh points, slice after slice."""
        first, second = jr.split(key)
        if self.fixed:
            unit = jnp.linspace(0, 1, self.times, dtype=problem.dtype)
        else:
            jitter = jr.uniform(first, (self.times,), problem.dtype)
            unit = (jnp.arange(self.times, dtype=problem.dtype) + jitter) / self.times
        low, high = problem.domain.bounds("t")
        points = uniform_points(problem, self.count, second)
        return None, points.at[:, problem.domain.axis("t")].set(jnp.repeat(low + (high - low) * unit, self.each))


class ResidualAdaptive(AbstractSampler):
    """Points where the residual is large, drawn without replacement from uniform candidates with probability

        p(x) ∝ |r(x)|^power / mean |r|^power + floor.

    Wu, Zhu, Tan, Kartha, Lu, A comprehensive study of non-adaptive and residual-based adaptive sampling
    (arXiv 2207.10289), algorithm RAD. Large powers with floor 0 take the largest residuals, as RAR does.

    **Arguments:** `count`, `candidates` (at least as many), `power`, `floor`. Each draw evaluates the residual at all
    candidates: hold draws for some hundred steps, `PINN(resample_every=100)`.
    """

    count: int = eqx.field(static=True, default=1024)
    candidates: int = eqx.field(static=True, default=8192)
    power: float | int = eqx.field(static=True, default=1.0)
    floor: float | int = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        check_count("ResidualAdaptive", self.count)
        if self.candidates < self.count or self.power < 0 or self.floor < 0:
            raise ValueError(
                f"ResidualAdaptive: got count={self.count}, candidates={self.candidates}, power={self.power}, "
                f"floor={self.floor}; expected candidates >= count, power >= 0 and floor >= 0."
            )

    def init(self, problem: Collocation, key: PRNGKeyArray) -> None:
        """Nothing to remember."""
        return None

    def draw(
        self, problem: Collocation, state: None, train_state: PyTree, key: PRNGKeyArray
    ) -> tuple[None, Float[Array, "count d"]]:
        """Candidates with the largest log p + Gumbel noise: a draw without replacement."""
        first, second = jr.split(key)
        points = uniform_points(problem, self.candidates, first)
        size = problem.squared(train_state.unknowns, points) ** (self.power / 2)
        odds = size / jnp.mean(size) + self.floor
        noisy = jnp.log(odds) + jr.gumbel(second, odds.shape, odds.dtype)
        return None, points[jax.lax.top_k(noisy, self.count)[1]]


class Batch(eqx.Module):
    """Points of one step: inside, and on the faces of each group of conditions."""

    interior: Float[Array, "n d"]
    faces: tuple[Float[Array, "m d"], ...]


class _Held(eqx.Module):
    sampler: PyTree
    batch: Batch
    draws: Int[Array, ""]


class CollocationSource(Source):
    """Batches for a loss: interior points by a sampler, uniform points on faces, held for `every` steps.

    **Arguments:** `problem`, `sampler`, `on_faces` (points for each group of conditions), `every` (None: for ever),
    `faces` (of the problem).
    """

    problem: Collocation
    sampler: AbstractSampler
    faces: tuple[Any, ...]
    on_faces: int = eqx.field(static=True)
    every: int | None = eqx.field(static=True)

    def init(self, key: PRNGKeyArray) -> _Held:
        """No points yet: the first draw is fresh."""
        d, dtype = self.problem.domain.dimension, self.problem.dtype
        sizes = [face_count(self.problem.domain, face, self.on_faces) for face in self.faces]
        empty = Batch(jnp.zeros((self.sampler.count, d), dtype), tuple(jnp.zeros((m, d), dtype) for m in sizes))
        return _Held(self.sampler.init(self.problem, key), empty, jnp.zeros((), jnp.int32))

    def draw(self, state: _Held, train_state: PyTree, key: PRNGKeyArray) -> tuple[_Held, Batch]:
        """The batch of this step."""
        due = state.draws == 0 if self.every is None else state.draws % self.every == 0

        def fresh() -> tuple[PyTree, Batch]:
            inside, *walls = jr.split(key, 1 + len(self.faces))
            sampler, points = self.sampler.draw(self.problem, state.sampler, train_state, inside)
            on_faces = tuple(
                face_points(self.problem, face, self.on_faces, k) for face, k in zip(self.faces, walls, strict=True)
            )
            return sampler, Batch(points, on_faces)

        if self.every == 1:
            sampler, batch = fresh()
        else:
            sampler, batch = jax.lax.cond(due, fresh, lambda: (state.sampler, state.batch))
        return _Held(sampler, batch, state.draws + 1), batch


def face_count(domain: Box, face: Any, wanted: int) -> int:
    """How many points a group of conditions gets: as wanted, spread over its faces; one for each that is a point."""
    each = -(-wanted // len(face.at))
    return sum(1 if len(at) == domain.dimension else each for at in face.at)


def face_points(problem: Collocation, face: Any, wanted: int, key: PRNGKeyArray) -> Float[Array, "m d"]:
    """Uniform points on the faces of one group."""
    each, domain = -(-wanted // len(face.at)), problem.domain
    parts = []
    for at, k in zip(face.at, jr.split(key, len(face.at)), strict=True):
        points = uniform_points(problem, 1 if len(at) == domain.dimension else each, k)
        for name, value in at:
            points = points.at[:, domain.axis(name)].set(value)
        parts.append(points)
    return jnp.concatenate(parts)


def uniform_points(problem: Collocation, n: int, key: PRNGKeyArray) -> Float[Array, "n d"]:
    """Independent uniform points of the problem's box."""
    return into(problem.domain, jr.uniform(key, (n, problem.domain.dimension), problem.dtype))


def into(domain: Box, unit: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """From the unit cube to the box."""
    low, length = (jnp.asarray(v, unit.dtype)[None] for v in (domain.lower, domain.lengths))
    return low + length * unit


def sobol(dimension: int, count: int) -> np.ndarray:
    """The first points of Sobol's sequence in the unit cube, in float64, moved off its corner by half a cell."""
    from scipy.stats import qmc

    bits = max(1, int(np.ceil(np.log2(count))))
    return qmc.Sobol(dimension, scramble=False).random_base2(bits)[:count] + 0.5 / 2**bits


def check_count(owner: str, count: int) -> None:
    """Refuse counts below one."""
    if count < 1:
        raise ValueError(f"count={count} of {owner}: too few collocation points, at least 1 is needed.")
