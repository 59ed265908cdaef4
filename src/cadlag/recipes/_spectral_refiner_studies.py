"""What `spectral-refiner` measures: decaying turbulence predicted, refined, and solved."""

import functools
import time
from typing import Any

HISTORY, HORIZON = 10, 10


@functools.cache
def _frames(resolution: int, least: int, train: int, test: int, every: float, nu: float, rms: float) -> Any:
    """A record of decaying vorticity on [0, 2 pi]², solved on at least twice as fine a grid; the test cases last."""
    import jax.numpy as jnp
    import jax.random as jr

    from cadlag.equations import EvolutionGenerator, make_dataset
    from cadlag.fields import GaussianRandomField

    def start(grid: Any, key: Any) -> Any:
        w = GaussianRandomField(grid, alpha=2.5, tau=3.0, sigma=1.0).sample(key).values
        return rms * w / jnp.sqrt(jnp.mean(jnp.square(w)))

    ts = tuple(every * i for i in range(HISTORY + 2 * HORIZON + 1))
    generator = EvolutionGenerator(
        equation=turbulence(nu), channels=("w",), ts=ts, step=every / 5, least=least, burn_in=1.0, start=start
    )
    return make_dataset(generator, train + test, resolution=resolution, key=jr.key(2024))


def turbulence(nu: float) -> Any:
    """The equation."""
    import math

    from cadlag.equations import NavierStokes
    from cadlag.fields import Box

    return NavierStokes(
        nu, space=Box({"x": (0.0, 2 * math.pi), "y": (0.0, 2 * math.pi)}, periodic=("x", "y")), time=(0.0, 100.0)
    )


def data(settings: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Training fields; of the test cases the frames in and those to come, in NumPy."""
    import numpy as np

    names = ("resolution", "least", "train", "test", "every", "nu", "rms")
    fields = _frames(*(settings[name] for name in names))
    held = fields.take(np.arange(settings["train"], settings["train"] + settings["test"])).values
    return fields.take(np.arange(settings["train"])), held[:, :HISTORY], held[:, HISTORY : HISTORY + HORIZON]


def trained(network: Any, horizon: int, steps: int, settings: dict[str, Any], seed: int) -> tuple[Any, dict[str, Any]]:
    """An estimator fitted on the training fields; seconds of it, parameters."""
    import equinox as eqx
    import jax

    from cadlag.operators import OperatorRegressor

    fields, _, _ = data(settings)
    start = time.perf_counter()
    regressor = OperatorRegressor(
        network, history=HISTORY, horizon=horizon, steps=steps, batch_size=settings["batch"],
        learning_rate=settings["learning_rate"], validation_fraction=0.0, seed=seed,
    ).fit(fields)  # fmt: skip
    arrays = jax.tree.leaves(eqx.filter(regressor.model_.operator, eqx.is_inexact_array))
    return regressor, {"train_seconds": time.perf_counter() - start, "parameters": sum(a.size for a in arrays)}


def errors(found: Any, truth: Any) -> list[float]:
    """Relative L2 error of each case over all frames."""
    import numpy as np

    found, truth = (np.asarray(a).reshape(len(truth), -1) for a in (found, truth))
    return (np.linalg.norm(found - truth, axis=1) / np.linalg.norm(truth, axis=1)).tolist()


def spatiotemporal(settings: dict[str, Any]) -> Any:
    """The constructor of the spatiotemporal FNO."""
    from cadlag.operators import SpatiotemporalFNO

    names = ("modes", "width", "layers", "hidden")
    return functools.partial(SpatiotemporalFNO, **{name: settings[name] for name in names})


def longer(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same operator trained for twice as many steps, which is more time than training and refining take."""
    _, past, truth = data(settings)
    regressor, found = trained(spatiotemporal(settings), HORIZON, 2 * settings["steps"], settings, seed)
    each = errors(regressor.predict(past), truth)
    return {**found, "error": _mean(each), "errors": each}


def autoregressive(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """A plane FNO of as many parameters, frame by frame."""
    from cadlag.operators import FNO

    _, past, truth = data(settings)
    network = functools.partial(FNO, modes=settings["modes"][0], width=settings["fno_width"])
    regressor, found = trained(network, 1, settings["steps"], settings, seed)
    each = errors(regressor.rollout(past, HORIZON), truth)
    return {**found, "error": _mean(each), "errors": each}


def solver(settings: dict[str, Any]) -> dict[str, Any]:
    """The classical solver on the grid of the operator, from the last frame that it sees."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.equations import simulate
    from cadlag.fields import Grid

    _, past, truth = data(settings)
    equation = turbulence(settings["nu"])
    grid = Grid(equation.space, settings["resolution"])
    ts = np.arange(HORIZON + 1) * settings["every"]
    run = jax.jit(lambda w: simulate(equation, grid, ts, u0=w, step=settings["every"] / 5).values[1:])
    starts = [jnp.asarray(w[-1, 0]) for w in past]
    jax.block_until_ready(run(starts[0]))
    start = time.perf_counter()
    found = np.stack([np.asarray(run(w)) for w in starts])
    each = errors(found, truth)
    seconds = (time.perf_counter() - start) / len(starts)
    return {"error": _mean(each), "errors": each, "case_seconds": seconds, "train_seconds": 0.0, "parameters": 0}


def refined(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trained once; every test case refined by three residuals; errors before and after."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    from scipy.stats import spearmanr

    from cadlag.operators import SolverIncrement, SpectralRefiner
    from cadlag.train import enable_x64

    _, past, truth = data(settings)
    regressor, found = trained(spatiotemporal(settings), HORIZON, settings["steps"], settings, seed)
    before = errors(regressor.predict(past), truth)
    found |= {"before": _mean(before), "errors_before": before}
    ways: dict[str, dict[str, Any]] = {
        "negative": {"rates": tuple(settings["rates"])},
        "l2": {"order": 0, "rates": tuple(settings["rates_l2"])},
        "increment": {"derivative": SolverIncrement(), "rates": tuple(settings["rates"])},
    }
    with enable_x64():
        model = jax.tree.map(lambda x: jnp.asarray(x, float) if eqx.is_inexact_array(x) else x, regressor.model_)
        inputs = [jnp.asarray(w, float) for w in past]
        for name, options in ways.items():
            refiner = SpectralRefiner(
                turbulence(settings["nu"]), modes=settings["refined_modes"], steps=settings["refine_steps"], **options
            )
            jax.block_until_ready(refiner(model, inputs[0], settings["every"]).frames)
            start = time.perf_counter()
            out = [refiner(model, w, settings["every"]) for w in inputs]
            frames = np.stack([np.asarray(o.frames) for o in out])
            seconds = (time.perf_counter() - start) / len(inputs)
            each, estimates = errors(frames, truth), [float(o.estimates[-1]) for o in out]
            found[name] = {
                "error": _mean(each), "errors": each, "estimates": estimates, "case_seconds": seconds,
                "ratio": _mean(before) / _mean(each),
                "curve": np.mean([np.asarray(o.estimates) for o in out], axis=0).round(6).tolist(),
            }  # fmt: skip
            if name == "negative":
                found["case"] = _panels(
                    past[0][-1, 0], truth[0][-1, 0], regressor.predict(past)[0, -1, 0], frames[0, -1, 0]
                )
    found["correlation"] = float(spearmanr(found["negative"]["estimates"], found["negative"]["errors"]).statistic)
    return found


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _panels(*fields: Any) -> list[list[list[float]]]:
    """Last frame in, truth, prediction, refined prediction, and the two errors."""
    import numpy as np

    last, truth, before, after = (np.asarray(f, float) for f in fields)
    shown = (last, truth, before, after, before - truth, after - truth)
    return [f.round(3).tolist() for f in shown]
