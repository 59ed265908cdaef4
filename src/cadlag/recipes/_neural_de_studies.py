"""What `neural-de` measures in its quick parts: spirals with gaps, a law of diffusions with a known noise."""

import functools
import time
from typing import Any


def spirals_with_gaps(settings: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """Training and test spirals, half of their points gone at random."""
    import jax

    from cadlag.data import delete_time_points
    from cadlag.data.simulate import spirals

    made = []
    for i, count in enumerate((settings["train"], settings["test"])):
        key = jax.random.fold_in(jax.random.key(seed), i)
        made.append(delete_time_points(spirals(count, key=key, steps=settings["rows"]), 0.5, seed=10 * seed + i))
    return made[0], made[1]


def classify(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Accuracy on held-out spirals."""
    from cadlag import series

    build = {"cde": series.NeuralCDE, "gru": series.GRU}[arm.removesuffix("-classifier")]
    train, test = spirals_with_gaps(settings["spirals"], seed)
    start = time.perf_counter()
    model = series.SeriesClassifier(
        functools.partial(build, hidden_size=16), epochs=settings["spirals"]["epochs"], batch_size=32,
        learning_rate=settings["rates"][arm], seed=seed,
    ).fit(train)  # fmt: skip
    return {"accuracy": model.score(test), "seconds": time.perf_counter() - start}


def oscillators(count: int, rows: int, seed: int) -> tuple[Any, Any]:
    """Decaying oscillators with times of their own on [0, 6]: (times, values), sorted."""
    import numpy as np

    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 6, (count, rows)), axis=1)
    times[:, 0] = 0.0
    rates, modes = np.linalg.eig(np.array([[-0.1, 1.3], [-1.0, -0.1]]))
    start = rng.normal(size=(count, 2)) @ np.linalg.inv(modes).T
    return times, np.einsum("ij,ntj,nj->nti", modes, np.exp(times[:, :, None] * rates), start).real


def extrapolate(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Root mean square error of the second half of held-out oscillators from the first."""
    import numpy as np

    from cadlag import series
    from cadlag.data import IrregularSeries

    sizes = settings["oscillators"]
    half, rows = sizes["rows"] // 2, sizes["rows"]
    times, values = oscillators(sizes["train"] + sizes["test"], rows, seed)
    train = IrregularSeries.from_arrays(times[: sizes["train"]], values[: sizes["train"]])
    later, truth = times[sizes["train"] :], values[sizes["train"] :]
    history = IrregularSeries.from_arrays(later[:, :half], truth[:, :half])
    start = time.perf_counter()
    rate, steps = settings["rates"][arm], sizes["steps"]
    if arm == "latent-ode":
        build = functools.partial(series.LatentODE, hidden_size=8, latent_size=8, width=32, steps=2)
        made = series.SeriesGenerator(build, steps=steps, batch_size=64, learning_rate=rate, seed=seed).fit(train)
    else:
        epochs = -(-steps // max(sizes["train"] // 64, 1))
        made = series.SeriesForecaster(
            functools.partial(series.GRU, hidden_size=32), history=half, horizon=rows - half, epochs=epochs,
            batch_size=64, learning_rate=rate, seed=seed,
        ).fit(train)  # fmt: skip
    found = made.forecast(history, times=later[:, half:])
    error = float(np.sqrt(np.mean((found - truth[:, half:]) ** 2)))
    return {"error": error, "seconds": time.perf_counter() - start}


def diffusions(settings: dict[str, Any], seed: int) -> Any:
    """Ornstein-Uhlenbeck paths from a uniform start, exactly."""
    import numpy as np

    from cadlag.data import IrregularSeries

    ou = settings["ou"]
    rng = np.random.default_rng(seed)
    times = np.linspace(0, ou["end"], ou["rows"])
    keep = np.exp(-ou["pull"] * times[1])
    deviation = ou["noise"] * np.sqrt((1 - keep**2) / (2 * ou["pull"]))
    path = [rng.uniform(-1, 1, ou["train"])]
    for _ in times[1:]:
        path.append(keep * path[-1] + deviation * rng.normal(size=ou["train"]))
    return IrregularSeries.from_arrays(times, np.stack(path, axis=1)[:, :, None])


def law(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Noise by quadratic variation, over the data's; deviations of the marginals; of a law learnt in one way."""
    import numpy as np

    from cadlag import series

    how = settings["laws"][arm]
    ways = {
        "signature": (series.SDEGenerator, lambda: series.SignatureScore(depth=how.get("depth", 3))),
        "gan": (series.SDEGenerator, lambda: series.Adversarial(critic_steps=how.get("critic_steps", 1))),
        "latent-sde": (series.LatentSDE, series.Variational),
        "untrained": (series.SDEGenerator, lambda: series.SignatureScore(depth=2)),
    }
    build, objective = ways[arm]
    data = diffusions(settings, seed)
    start = time.perf_counter()
    made = series.SeriesGenerator(
        functools.partial(build, **how.get("model", {})), objective=objective(), steps=how["steps"],
        batch_size=how["batch"], learning_rate=settings["rates"].get(arm, 1e-9), seed=seed,
    ).fit(data)  # fmt: skip
    seconds = time.perf_counter() - start
    drawn, truth = made.sample(len(data), seed=1)[:, :, 0], np.asarray(data.values)[:, :, 0]
    deviations = drawn.std(axis=0), truth.std(axis=0)
    return {
        "noise_ratio": _variation(drawn) / _variation(truth),
        "log_noise_ratio": abs(float(np.log(_variation(drawn) / _variation(truth)))),
        "marginal": float(np.mean(np.abs(np.log(deviations[0] / deviations[1])))),
        "mean": float(np.mean(np.abs(drawn.mean(axis=0) - truth.mean(axis=0))) / truth.std()),
        "paths": {"drawn": drawn[:20].tolist(), "data": truth[:20].tolist()},
        "deviations": {"drawn": deviations[0].tolist(), "data": deviations[1].tolist()},
        "seconds": seconds,
    }


def _variation(paths: Any) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.sum(np.diff(paths, axis=1) ** 2, axis=1))))
