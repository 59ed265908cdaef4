"""What `causal-pinn` measures: an equation in time solved with plain, causal and misplaced weights."""

import functools
import warnings
from typing import Any

from cadlag.recipes._physics import solved


def solve(arm: str, problem: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one network; the error against a trusted solution."""
    import jax.numpy as jnp
    import numpy as np

    from cadlag.physics import PINN, Adam, FixedWeights, HardInitial, ResidualAdaptive, TimeSlices

    size = settings["problems"][problem]
    equation, reference, classical = trusted(problem, size)
    hard = problem == "lorenz"
    initial = {} if hard else {"initial": size["initial"] * (10.0 if arm == "heavier-start" else 1.0)}
    sampler: Any = TimeSlices(size["times"], size["each"], fixed=hard)
    if arm == "adaptive":
        sampler = ResidualAdaptive(size["times"] * size["each"])
    method = PINN(
        network(problem, size),
        sampler=sampler,
        weights=FixedWeights(initial),
        point_weights=point_weights(arm, size, seed),
        ansatz=HardInitial() if hard else (),
        phases=Adam(size["steps"], learning_rate=settings["learning_rate"], decay=0.9, decay_every=2000),
        block=250,
    )
    at = reference if not hard else lambda t: reference(jnp.stack([t]))
    solution, found = solved(equation, method, seed, at)
    least = solution.history.get("least_weight")
    found["least_weight"] = None if least is None else float(np.mean(least[-50:]))
    found["classical"] = classical
    if hard:
        times = np.linspace(*equation.time, 101)
        found["path"] = np.asarray(solution.predict(times[:, None]))[:, 0].round(4).tolist()
        found["truth"] = np.asarray(reference.values)[:: (len(reference.ts) - 1) // 100, 0].round(4).tolist()
    return found


@functools.cache
def _simulated(problem: str, size: tuple) -> tuple[Any, Any, dict[str, float]]:
    import time

    import numpy as np

    from cadlag.equations import Advection, AllenCahn, Lorenz, simulate
    from cadlag.fields import Box, Grid

    options = dict(size)
    if problem == "lorenz":
        equation = Lorenz(time=(0.0, options["end"]))
        grid, frames, step = None, 401, options["end"] / 4000
    elif problem == "allen-cahn":
        equation = AllenCahn()
        grid, frames, step = Grid(equation.space, 512), 101, 1e-3
    else:
        equation = Advection(30.0, space=Box({"x": (0.0, 2 * np.pi)}, periodic="x"))
        grid, frames, step = Grid(equation.space, 64), 101, 1e-3
    start = time.perf_counter()
    found = simulate(equation, grid, np.linspace(*equation.time, frames), step=step, estimate=True)
    error = float(np.max(np.asarray(found.error)))
    return equation, found, {"error": error, "seconds": time.perf_counter() - start}


def trusted(problem: str, size: dict[str, Any]) -> tuple[Any, Any, dict[str, float]]:
    """The equation, its solution by the library's simulator, and of that the seconds (compiling included, run twice)
    and the error, estimated by halving the step.
    """
    return _simulated(problem, (("end", size.get("end")),))


def network(problem: str, size: dict[str, Any]) -> Any:
    """Time scaled and the output of the solution's size for Lorenz; exact periodicity for the others."""
    from cadlag.nn import PeriodicEmbedding, ToUnit
    from cadlag.physics import mlp

    make = functools.partial(mlp, width=size["width"], depth=size["depth"])
    if problem == "lorenz":
        return functools.partial(make, encoder=functools.partial(ToUnit, reach=2.0), scale=20.0)
    return functools.partial(make, encoder=functools.partial(PeriodicEmbedding, harmonics=size["harmonics"]))


def point_weights(arm: str, size: dict[str, Any], seed: int) -> Any:
    """Causal weights, the same on shuffled time, or none."""
    if arm not in ("causal", "placebo"):
        return None
    from cadlag.physics.causal import CausalWeights, PatentNotice

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatentNotice)
        causal = CausalWeights(
            tuple(size["tolerances"]), slices=size["times"], patience=size["steps"] // len(size["tolerances"])
        )
    return causal if arm == "causal" else shuffled(causal, seed)


def shuffled(causal: Any, seed: int) -> Any:
    """Causal weights that take the slices in a random order, drawn once: the cost of the weights, without causality."""
    import equinox as eqx
    import jax.numpy as jnp
    import numpy as np

    from cadlag.physics import AbstractPointWeights

    order = np.random.default_rng(seed).permutation(causal.slices)

    class Shuffled(AbstractPointWeights):
        inner: Any
        order: Any = eqx.field(static=True)

        def init(self, problem: Any, count: int) -> Any:
            return self.inner.init(problem, count)

        def weigh(self, state: Any, points: Any, squared: Any, others: Any) -> Any:
            times = points[:, state.axis].reshape(len(self.order), -1)
            moved = points.at[:, state.axis].set(times[jnp.asarray(self.order)].reshape(-1))
            return self.inner.weigh(state, moved, squared, others)

    return Shuffled(causal, tuple(int(i) for i in order))
