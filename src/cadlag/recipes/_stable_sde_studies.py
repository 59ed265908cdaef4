"""What `stable-sde` measures: the three studies, one arm under one seed."""

import functools
import pathlib
import time
from typing import Any

from cadlag.recipes._curve import thin


def model_of(arm: str, settings: dict[str, Any], **more: Any) -> Any:
    """Constructor of an arm's model."""
    from cadlag import series

    size = {"hidden_size": settings["hidden_size"]}
    deep = {**size, "depth": settings["depth"], **more}
    makers = {
        "lsde": functools.partial(series.LSDE, **deep),
        "lnsde": functools.partial(series.LNSDE, **deep),
        "gsde": functools.partial(series.GSDE, **deep),
        "lnsde-no-noise": functools.partial(series.LNSDE, noisy=False, **deep),
        "cde": functools.partial(series.NeuralCDE, **deep),
        "naive-sde": functools.partial(series.NeuralSDE, **deep),
        "ode": functools.partial(series.NeuralODE, **deep),
        "gru": functools.partial(series.GRU, **size),
        "gru-d": functools.partial(series.GRUD, **size),
    }
    return makers[arm]


def real_series(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Right or wrong for every test series of every set at every missing rate, and the mean accuracies."""
    cases: dict[str, dict[str, list[int]]] = {}
    curves: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    parameters = None
    for name in settings["sets"]:
        train, test = parts(name, settings["split"]["test"], settings["split"]["seed"])
        cases[name] = {}
        for rate in settings["rates"]:
            hits, fitted, spent = _classify(arm, settings, seed, train, test, rate)
            cases[name][str(rate)] = hits
            if fitted is not None:
                curves[name] = thin(fitted.history_["loss"])
                seconds[name], parameters = spent, _count(fitted.model_)
    mean = {
        str(round(100 * r)): sum(sum(c[str(r)]) / len(c[str(r)]) for c in cases.values()) / len(cases)
        for r in settings["rates"]
    }
    return {"cases": cases, "mean": mean, "curves": curves, "ms_per_step": seconds, "parameters": parameters}


@functools.cache
def parts(name: str, test: float, seed: int) -> tuple[Any, ...]:
    """Training and test part of a bundled set, read once for all seeds of an arm."""
    from cadlag.data import bundled, split

    return split(bundled(name), (1 - test, test), seed=seed)


def _classify(arm: str, settings: dict[str, Any], seed: int, train: Any, test: Any, rate: float) -> Any:
    from cadlag.data import delete_observations
    from cadlag.series import MiniRocket, SeriesClassifier
    from cadlag.series.classifier import class_names

    train = delete_observations(train, rate, seed=1000 + seed)
    test = delete_observations(test, rate, seed=2000 + seed)
    start = time.perf_counter()
    if arm == "minirocket":
        fitted = MiniRocket(seed=seed).fit(train)
    else:
        trained_on = int(len(train) * (1 - settings["split"]["validation"]))
        batch = 32 if trained_on >= 64 else 16
        fitted = SeriesClassifier(
            model_of(arm, settings),
            epochs=-(-settings["updates"] // max(1, trained_on // batch)),
            batch_size=batch,
            learning_rate=settings["learning_rate"]["real"][arm],
            validation_fraction=settings["split"]["validation"],
            patience=settings["patience"],
            n_paths=settings["n_paths"],
            seed=seed,
        ).fit(train)
    spent = time.perf_counter() - start
    hits = (fitted.predict(test) == class_names(test)).astype(int).tolist()
    if isinstance(fitted, MiniRocket):
        return hits, None, spent
    return hits, fitted, 1000 * spent / len(fitted.history_["loss"])


def ou_paths(count: int, seed: int) -> Any:
    """Paths of dX = -0.2 X dt + 0.1 dW, X_0 = 1, at 20 Euler points 0.5 apart; shape (count, 20)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    paths = np.ones((count, 20))
    for n in range(19):
        paths[:, n + 1] = 0.9 * paths[:, n] + 0.1 * np.sqrt(0.5) * rng.standard_normal(count)
    return paths


def ou_study(arm: str, settings: dict[str, Any], seed: int, paths: int) -> dict[str, Any]:
    """Test error of reproducing an OU path from itself as control, on a clock rescaled to [0, 1]."""
    import jax.random as jr
    import numpy as np

    from cadlag.data import IrregularSeries
    from cadlag.series._estimator import Training, average_paths, network_dtype, sample_paths, train_network
    from cadlag.series._network import build_network, read_rows

    values = ou_paths(paths, 3000 + seed)[:, :, None]
    series = IrregularSeries.from_arrays(np.linspace(0, 1, 20), values).astype(network_dtype())
    cut = int(0.8 * paths)
    train, test = series.take(np.arange(cut)), series.take(np.arange(cut, paths))
    model = model_of(arm, {**settings, "depth": 1}, steps=settings["ou_steps"])
    network = build_network(model, train, 1, key=jr.key(seed), plain=True)
    how = Training(
        settings["ou_epochs"], settings["batch_size"]["ou"], settings["learning_rate"]["ou"], 0.0, None, 0.0, seed,
        None, None,
    )  # fmt: skip
    data = (train.without_ids(), np.asarray(train.values))
    network, history = train_network(network, data, reproduction_error, how)
    key = jr.key(seed + 1)
    truth = np.asarray(test.values)[..., 0]
    mean = average_paths(network, test, read_rows, 1, key)[..., 0]
    few = sample_paths(network, test.take(np.arange(1)), read_rows, 5, key)[0, ..., 0]
    return {
        "mse": float(np.mean((mean - truth) ** 2)),
        "curve": thin(history["loss"]),
        "sample": {"truth": truth[0].tolist(), "model": few.tolist()},
        "parameters": _count(network),
    }


def reproduction_error(network: Any, batch: tuple, key: Any) -> tuple[Any, dict]:
    """Mean squared error at every row; batch is (series, targets)."""
    import jax
    import jax.numpy as jnp

    series, truth = batch
    keys = jax.random.split(key, truth.shape[0])
    predicted = jax.vmap(lambda s, k: network.rows(s, key=k, training=True))(series, keys)
    return jnp.mean((predicted - truth) ** 2), {}


def hopper_study(arm: str, settings: dict[str, Any], seed: int, data: pathlib.Path) -> dict[str, float]:
    """Mean squared error of 10 steps from 50, for each share of removed time points."""
    import numpy as np

    from cadlag.data import IrregularSeries, delete_time_points
    from cadlag.series import SeriesForecaster

    array = np.load(data)
    if array.ndim != 3:
        raise ValueError(f"{data} has shape {array.shape}; expected (trajectories, steps, channels).")
    series = IrregularSeries.from_arrays(np.arange(array.shape[1], dtype=float), array)
    last = int(0.85 * len(series))
    found = {}
    for rate in settings["rates"]:
        gappy = delete_time_points(series, rate, seed=56789)
        forecaster = SeriesForecaster(
            model_of(arm, settings),
            epochs=settings["hopper_epochs"],
            batch_size=settings["batch_size"]["hopper"],
            learning_rate=settings["learning_rate"]["hopper"],
            seed=seed,
        ).fit(gappy.take(np.arange(int(0.7 * len(series)))))
        found[str(round(100 * rate))] = -forecaster.score(gappy.take(np.arange(last, len(series))))
    return found


def _count(network: Any) -> int:
    import equinox as eqx
    import jax

    return sum(x.size for x in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array)))
