"""What `pde-refiner` measures: one step and long roll-outs of the Kuramoto-Sivashinsky equation."""

import functools
import time
from typing import Any

THRESHOLDS = {"at-80": 0.8, "at-90": 0.9, "at-95": 0.95}
LOW = 1e-5


def study(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Figures of one arm."""
    import numpy as np

    from cadlag.metrics import high_correlation_time
    from cadlag.operators import evaluate

    frames = round(settings["horizon"] / settings["stored_step"]) + 1
    train = trajectories(settings, settings["trajectories"], settings["frames"], 2 * seed)
    test = trajectories(settings, settings["tests"], frames, 2 * seed + 1)
    start = time.perf_counter()
    model = fit(arm, settings, train, seed)
    seconds = time.perf_counter() - start
    found = evaluate(model, test)
    assert found.correlations is not None
    assert found.ts is not None
    energy, error = found.energy[0], found.error_energy[0]
    horizons = {
        name: high_correlation_time(found.correlations, found.ts, threshold=limit) for name, limit in THRESHOLDS.items()
    }
    return {
        # Without the mean, which the equation conserves and which is zero.
        "low_energy_error": float(error[1:][energy[1:] < LOW * energy.max()].sum()),
        "relative_l2": float(found.relative_l2[0]),
        "horizons": horizons,
        "rank": ranking(model, test, found, settings["samples"]) if arm == "refiner" else None,
        "energy": energy.tolist(),
        "error": error.tolist(),
        "ts": found.ts.tolist(),
        "correlation": np.nan_to_num(found.correlations).mean(0).tolist(),
        "seconds": seconds,
    }


def trajectories(settings: dict[str, Any], count: int, frames: int, seed: int) -> Any:
    """Chaotic trajectories (count, frames, 1, points) from random initial states, simulated in double precision."""
    import jax
    import numpy as np

    from cadlag.data import FieldDataset
    from cadlag.equations import KuramotoSivashinsky, simulate
    from cadlag.fields import Box, Grid
    from cadlag.train import enable_x64

    ts = settings["stored_step"] * np.arange(frames)
    with enable_x64():
        equation = KuramotoSivashinsky(space=Box({"x": (0.0, settings["length"])}, periodic="x"))
        grid = Grid(equation.space, settings["simulated_points"])
        keys = jax.random.split(jax.random.key(seed), count)
        states = jax.vmap(lambda k: equation.random_state(grid, key=k).values)(keys)
        run = lambda u: simulate(equation, grid, ts, u0=u, step=0.1, burn_in=settings["burn_in"]).values  # noqa: E731
        values = np.asarray(jax.vmap(run)(states))
    # Modes that the coarser grid cannot hold are dropped: taking every second point would alias them.
    fields = FieldDataset.from_arrays(values[:, :, None], ts=ts, axes="x", periodic="x", coordinates=[grid.points("x")])
    return fields.resample(settings["points"]).astype(np.float32)


def fit(arm: str, settings: dict[str, Any], train: Any, seed: int) -> Any:
    """One network under the arm's training."""
    from cadlag.operators import (
        DiffusionRefinement,
        DilatedResNet,
        Direct,
        MeanSquare,
        OperatorRegressor,
        Refined,
    )

    refinement = DiffusionRefinement(settings["refinements"], settings["variance_min"])
    refined = arm == "refiner"
    times = settings["refinements"] + 1 if arm == "mse-long" else 1
    return OperatorRegressor(
        functools.partial(DilatedResNet, width=settings["width"], blocks=settings["blocks"]),
        form=Refined(refinement) if refined else Direct(residual=True), loss=None if refined else MeanSquare(),
        stride=settings["stride"], steps=times * settings["steps"], batch_size=settings["batch"],
        learning_rate=settings["learning_rate"], average=settings["average"], validation_fraction=0.0, seed=seed,
    ).fit(train)  # fmt: skip


def ranking(model: Any, test: Any, found: Any, samples: int) -> float | None:
    """Rank correlation, over test trajectories, of the time samples part and that at which the truth is left."""
    import numpy as np
    from scipy.stats import spearmanr

    from cadlag.metrics import high_correlation_time
    from cadlag.operators import horizon_spread

    if not samples:
        return None
    drawn = model.rollout(test.times(slice(0, 1)), len(found.ts), samples=samples, seed=1)
    parted = horizon_spread(drawn, found.ts)
    left = np.array([high_correlation_time(row[None], found.ts) for row in found.correlations])
    if np.ptp(parted) == 0 or np.ptp(left) == 0:
        return 0.0  # nothing was ranked
    return float(spearmanr(parted, left)[0])  # pyright: ignore[reportArgumentType]
