"""From a table to a fitted model and from there to predictions: what the command line calls."""

import json
import pathlib
from typing import Any

import numpy as np

from cadlag.data import IrregularSeries, read_series, write_predictions
from cadlag.series._law import AbstractLatentLaw
from cadlag.series._objectives import Adversarial, SignatureScore, Variational
from cadlag.series.classifier import SeriesClassifier
from cadlag.series.forecaster import SeriesForecaster, future_times
from cadlag.series.fractional_sde import FractionalSDE
from cadlag.series.generator import SeriesGenerator
from cadlag.series.interpolator import SeriesInterpolator
from cadlag.series.latent_ode import LatentODE
from cadlag.series.latent_sde import LatentSDE
from cadlag.series.neural_cde import NeuralCDE
from cadlag.series.neural_ode import NeuralODE
from cadlag.series.neural_rde import NeuralRDE
from cadlag.series.neural_sde import NeuralSDE
from cadlag.series.recurrent import GRU, GRUD
from cadlag.series.regressor import SeriesRegressor
from cadlag.series.sde_gan import SDEGenerator
from cadlag.series.stable_sde import GSDE, LNSDE, LSDE
from cadlag.series.state_space import LSSL
from cadlag.train import progress

MODELS = {
    "lsde": LSDE,
    "lnsde": LNSDE,
    "gsde": GSDE,
    "neural-cde": NeuralCDE,
    "neural-sde": NeuralSDE,
    "neural-rde": NeuralRDE,
    "neural-ode": NeuralODE,
    "gru": GRU,
    "gru-d": GRUD,
    "lssl": LSSL,
}
# Laws of series, and how each is learnt.
LAWS = {
    "latent-sde": (LatentSDE, Variational()),
    "latent-ode": (LatentODE, Variational()),
    "fractional-sde": (FractionalSDE, Variational()),
    "sde": (SDEGenerator, SignatureScore()),
    "sde-gan": (SDEGenerator, Adversarial()),
}
TASKS = {
    "classify": SeriesClassifier,
    "regress": SeriesRegressor,
    "forecast": SeriesForecaster,
    "interpolate": SeriesInterpolator,
    "generate": SeriesGenerator,
}
DEFAULT_STEPS = 2000
BATCH = 32


def fit_file(
    *,
    data: pathlib.Path,
    label: str | None = None,
    id: str | None = None,
    time: str | None = None,
    sort: bool = False,
    duplicates: str = "refuse",
    task: str = "classify",
    model: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    out: pathlib.Path | None = None,
) -> str:
    """Fit a model to a file and save it to a folder; returns what to tell the user.

    A fifth of the series is held out to choose the state of the best validation loss and to report a score that
    training did not see; with fewer than ten series nothing is held out.
    """
    known: Any = LAWS if task == "generate" else MODELS
    model = ("sde" if task == "generate" else "lnsde") if model is None else model
    if model not in known:
        raise ValueError(f"--model {model} is not one of {', '.join(known)}, those for --task {task}.")
    needs_label = task in ("classify", "regress")
    if needs_label and label is None and pathlib.Path(data).suffix.lower() not in (".ts", ".npz"):
        raise ValueError(f"--task {task} needs --label COLUMN: what to predict.")
    name = "label" if task == "classify" else "target"
    reading = {"id": id, "time": time, name: label if needs_label else None}
    if time is not None:
        reading |= {"sort": sort, "duplicates": duplicates}
    series = _read(data, reading)
    out = pathlib.Path("runs") / f"fit-{pathlib.Path(data).stem}" if out is None else pathlib.Path(out)
    estimator = _estimator(task, model, series, steps, seed, out)
    estimator.progress = progress()
    estimator.fit(series)
    estimator.run = estimator.progress = None
    estimator.save(out / "model")
    command = {"task": task, "reading": {k: v for k, v in reading.items() if v}, "label": label}
    (out / "fit.json").write_text(json.dumps(command, indent=2))
    return _summary(estimator, task, series, data, out)


def predict_file(*, run: pathlib.Path, data: pathlib.Path, out: pathlib.Path = pathlib.Path("predictions.csv")) -> str:
    """Predict every series of a file with the model in a run folder; returns what to tell the user."""
    note = pathlib.Path(run) / "fit.json"
    if not note.is_file():
        raise ValueError(f"{run} is not a folder that `cadlag fit` wrote (no fit.json).")
    command = json.loads(note.read_text())
    reading = {k: v for k, v in command["reading"].items() if k not in ("label", "target")}
    estimator = TASKS[command["task"]].load(pathlib.Path(run) / "model")
    if "time" in reading:
        # By name: the order of the columns, and others beside them, do not matter.
        series = _read(data, reading | {"columns": list(estimator.channels_)})
    else:
        series = _read(data, reading, drop=command["label"])
    ids, columns = _predictions(estimator, command["task"], series)
    write_predictions(out, columns, ids=ids, id=command["reading"].get("id", "id"))
    return f"{len(series)} series: {out}"


def is_law(run: pathlib.Path) -> bool:
    """Whether a folder holds a law of series, to draw from."""
    note = pathlib.Path(run) / "fit.json"
    return note.is_file() and json.loads(note.read_text()).get("task") == "generate"


def sample_file(*, run: pathlib.Path, n: int = 1000, out: pathlib.Path = pathlib.Path("samples.npz"), seed: int = 0,
                condition: str | None = None, guidance: float = 1.0) -> str:  # fmt: skip
    """Draw series from the law in a run folder, to a table in long form or an .npz; returns what to tell the user."""
    if condition is not None or guidance != 1:
        raise ValueError("A law of series takes no --condition and no --guidance.")
    if n < 1:
        raise ValueError(f"-n {n} must be at least 1.")
    command = json.loads((pathlib.Path(run) / "fit.json").read_text())
    made = SeriesGenerator.load(pathlib.Path(run) / "model")
    values, id = made.sample(n, seed=seed), command["reading"].get("id", "id")
    time = command["reading"].get("time", "time")
    if pathlib.Path(out).suffix.lower() == ".npz":
        write_predictions(out, {time: np.broadcast_to(made.times_, values.shape[:2]), "values": values}, id=id)
    else:
        rows = np.repeat(np.arange(n), values.shape[1]).tolist()
        columns = {time: np.tile(made.times_, n)}
        columns |= {name: values[:, :, i].ravel() for i, name in enumerate(made.channels_)}
        write_predictions(out, columns, ids=rows, id=id)
    return f"{n} series of {values.shape[1]} rows, {len(made.channels_)} channels: {out}"


def _read(path: pathlib.Path, options: dict[str, Any], drop: str | None = None) -> IrregularSeries:
    options = {k: v for k, v in options.items() if v is not None}
    if drop is not None and pathlib.Path(path).suffix.lower() in (".csv", ".tsv", ".parquet"):
        # One row a series: the label column, which new data may carry, is no step of it.
        columns = _columns(path)
        if drop in columns:
            options["columns"] = [c for c in columns if c not in (options.get("id"), drop)]
    return read_series(path, **options)


def _columns(path: pathlib.Path) -> list[str]:
    import pandas as pd
    import pyarrow.parquet

    if pathlib.Path(path).suffix.lower() == ".parquet":
        return list(pyarrow.parquet.read_schema(path).names)
    sep = "\t" if pathlib.Path(path).suffix.lower() == ".tsv" else ","
    return list(pd.read_csv(path, nrows=0, sep=sep).columns)


def _estimator(task: str, model: str, series: IrregularSeries, steps: int | None, seed: int, out: pathlib.Path) -> Any:
    if steps is not None and steps < 1:
        raise ValueError(f"--steps {steps} must be at least 1.")
    hold_out = 0.2 if len(series) >= 10 else 0.0
    per_epoch = max(1, int(len(series) * (1 - hold_out)) // BATCH)
    epochs = max(1, (DEFAULT_STEPS if steps is None else steps) // per_epoch)
    shared = {
        "epochs": epochs, "batch_size": BATCH, "seed": seed, "learning_rate": 3e-3, "validation_fraction": hold_out,
        "run": out / "training",
    }  # fmt: skip
    if task == "generate":
        law, objective = LAWS[model]
        steps = DEFAULT_STEPS if steps is None else steps
        return SeriesGenerator(law, objective=objective, steps=steps, seed=seed, run=out / "training")
    if task != "forecast":
        return TASKS[task](MODELS[model], **shared)
    longest = int(np.max(series.lengths))
    horizon = max(1, longest // 6)
    return SeriesForecaster(MODELS[model], history=max(1, longest - 2 * horizon), horizon=horizon, **shared)


def _summary(estimator: Any, task: str, series: IrregularSeries, data: pathlib.Path, out: pathlib.Path) -> str:
    best = estimator.history_.get("validation")
    held = "" if best is None else f" Best validation loss {np.nanmin(best):.4g} on a fifth of the series."
    return (
        f"{task}: {len(series)} series, {len(series.channels)} channels ({', '.join(series.channels[:6])}"
        f"{', …' if len(series.channels) > 6 else ''}).{held}\nModel: {out / 'model'}\n"
        f"Next: {_next(estimator, task, data, out)}"
    )


def _next(estimator: Any, task: str, data: pathlib.Path, out: pathlib.Path) -> str:
    if task != "generate":
        return f"cadlag predict {out} NEW{pathlib.Path(data).suffix}"
    drawing = f"cadlag sample {out} -n 100 -o new.csv"
    if not isinstance(estimator.model_, AbstractLatentLaw):
        return drawing
    return f"{drawing}, or to fill gaps: cadlag predict {out} GAPS{pathlib.Path(data).suffix}"


def _predictions(estimator: Any, task: str, series: IrregularSeries) -> tuple[list, dict[str, np.ndarray]]:
    """Identities and columns: one row a series for labels, one row a time for values."""
    ids = list(range(len(series))) if series.ids is None else list(series.ids)
    if task == "classify":
        shares = estimator.predict_proba(series)
        predicted = {"predicted": estimator.classes_[np.argmax(shares, axis=1)]}
        return ids, predicted | {f"p_{c}": shares[:, i] for i, c in enumerate(estimator.classes_)}
    if task == "regress":
        return ids, {"predicted": np.squeeze(estimator.predict(series))}
    if task == "generate":
        values, times = estimator.impute(series), np.asarray(series.times)
        valid = np.arange(times.shape[1])[None] < np.asarray(series.lengths)[:, None]
    elif task == "forecast":
        values, times = estimator.forecast(series), future_times(series, estimator.horizon)
        valid = np.ones(times.shape, bool)
    else:
        values, times = estimator.predict(series), np.asarray(series.times)
        valid = np.arange(times.shape[1])[None] < np.asarray(series.lengths)[:, None]
    rows = np.repeat(np.asarray(ids, dtype=object)[:, None], times.shape[1], axis=1)
    columns = {"time": times[valid]} | {name: values[valid][:, i] for i, name in enumerate(estimator.channels_)}
    return rows[valid].tolist(), columns
