"""What recipes about operators share: training at equal steps and in equal time, parameters, errors, tables."""

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from cadlag.recipes._claim import Claim, Paper, below
from cadlag.recipes._curve import thin
from cadlag.recipes._picture import Curves, Images, Line, Picture, Table
from cadlag.recipes._recipe import Arm, Figures, value_per_seed


def drawn(data: Any, settings: dict[str, Any], seed: int) -> tuple[Any, Any]:
    """Training examples, which the seed draws from the pool, and test examples, the same for all seeds."""
    import numpy as np

    pool = settings["pool"]
    return data.take(np.random.default_rng(seed).permutation(pool)[: settings["train"]]), data[pool:]


def at_equal_steps_and_time(
    learn: Callable[[int], dict[str, Any]], steps: int, ratio: Callable[[], float] | None
) -> dict[str, Any]:
    """Figures after `steps` and, where there is a `ratio`, after that many times as many."""
    found = {"steps": learn(steps)}
    return found if ratio is None else found | {"time": learn(max(1, round(steps * ratio())))}


def fitted(network: Any, data: Any, seed: int, *, steps: int, **options: Any) -> tuple[Any, dict[str, Any]]:
    """An `OperatorRegressor` after training, and its parameters, seconds (compiling included), steps and loss."""
    from cadlag.operators import OperatorRegressor

    start = time.perf_counter()
    model = OperatorRegressor(network, steps=steps, seed=seed, validation_fraction=0.0, **options).fit(data)
    seconds = time.perf_counter() - start
    found = {"parameters": parameters(model.model_), "seconds": seconds, "steps": steps}
    return model, found | {"curve": thin(model.history_["loss"])}


def parameters(model: Any) -> int:
    """How many numbers are trained."""
    import equinox as eqx
    import jax

    operator = getattr(model, "operator", model)
    return sum(x.size for x in jax.tree.leaves(eqx.filter(operator, eqx.is_inexact_array)))


def initial_parameters(network: Any, channels: int, out_channels: int) -> int:
    """How many a constructor's network would have in two dimensions, without making it."""
    import equinox as eqx
    import jax

    make = lambda key: network(channels, out_channels, spatial_axes=2, conditions=0, key=key)  # noqa: E731
    shapes = jax.tree.leaves(eqx.filter_eval_shape(make, jax.random.key(0)))
    return sum(x.size for x in shapes if eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct))


def inference_ms(model: Any, data: Any) -> float:
    """Milliseconds of one prediction, of many at once, after compiling."""
    model.predict(data)
    start = time.perf_counter()
    model.predict(data)
    return 1000 * (time.perf_counter() - start) / len(data)


@functools.lru_cache(maxsize=8)
def time_ratio(network: Any, other: Any, channels: tuple[int, int], shape: tuple[int, ...], batch: int) -> float:
    """How much longer a gradient of `other` takes than one of `network`; measured in turn, once a process.

    The least of ten times of each, which a busy machine disturbs least.
    """
    calls = [_gradient(n, channels, shape, batch) for n in (network, other)]
    for call in calls:
        call()
    times: list[list[float]] = [[], []]
    for _ in range(10):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return min(times[1]) / min(times[0])


def _gradient(network: Any, channels: tuple[int, int], shape: tuple[int, ...], batch: int) -> Any:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    made = network(*channels, spatial_axes=len(shape), conditions=0, key=jr.key(0))
    u = jr.normal(jr.key(1), (batch, channels[0], *shape))
    take = eqx.filter_jit(eqx.filter_value_and_grad(lambda net, u: jnp.mean(jnp.square(jax.vmap(net)(u)))))
    return lambda: jax.block_until_ready(take(made, u)[0])


def log_ratio(figures: Figures, ours: tuple[str, str], other: tuple[str, str]) -> dict[int, float]:
    """log(our figure / the other), seed by seed, each named by its arm and key; a zero or NaN gives NaN."""
    a, b = (value_per_seed(figures, *of) for of in (ours, other))
    return {s: math.log(a[s] / b[s]) if a[s] > 0 and b[s] > 0 else math.nan for s in a if s in b}


def smaller(
    figures: Figures, name: str, statement: str, criterion: str, ours: tuple[str, str], other: tuple[str, str],
    paper: Paper | None = None,
) -> Claim:  # fmt: skip
    """That the log of our figure over the other's, seed by seed, is below 0; each is named by its arm and key."""
    found = below(log_ratio(figures, ours, other), 0.0)
    return Claim(name, statement, criterion, 0.0, found, (ours[0], other[0]), paper)


def operator_tables(
    figures: Figures, arms: Sequence[Arm], problems: dict[str, str], ours: str, columns: dict[str, str]
) -> list[Table]:
    """Two tables a problem (name → title): at equal steps, and trained as long as `ours` take."""
    made = []
    for problem, title in problems.items():
        for key, how in (("steps", "at equal steps"), ("time", f"trained as long as {ours} take")):
            made += operator_table(figures, arms, f"{title}: {how}", f"{problem}.{key}", columns)
    return made


def operator_table(figures: Figures, arms: Sequence[Arm], title: str, key: str, columns: dict[str, str]) -> list[Table]:
    """One row an arm that has the figures named `key`: parameters, errors, seconds. `columns`: key → heading."""
    rows = []
    for arm in arms:
        found = [_at(f, key) for f in figures.get(arm.name, {}).values()]
        found = [f for f in found if f]
        if found:
            same = [found[0]["parameters"], [f["steps"] for f in found]]
            errors = [[f[name] for f in found] for name in columns]
            rows.append([arm.description, *same, *errors, *([f[n] for f in found] for n in ("seconds", "ms"))])
    head = ("network", "parameters", "steps", *columns.values(), "seconds of training", "ms of a prediction")
    note = "Seconds include compiling, which the first seed of an arm pays for."
    return [Table(title, head, rows, note)] if rows else []


def loss_curves(figures: Figures, arms: Sequence[Arm], key: str) -> list[Picture]:
    """Training loss of the first seed of each arm."""
    lines = []
    for arm in arms:
        found = _at(first(figures, arm.name), key)
        if found:
            y = found["curve"]
            x = [found["steps"] * (i + 0.5) / len(y) for i in range(len(y))]
            lines.append(Line(arm.description, x, y, role="ours" if arm.kind == "ours" else "baseline"))
    caption = "Training loss, first seed."
    return [Curves("loss", caption, lines, "step", "loss", log_y=True)] if lines else []


def spectra(figures: Figures, arms: Sequence[Arm], key: str) -> list[Picture]:
    """Energy of the error by mode number, first seed, with the truth's."""
    lines = []
    for arm in arms:
        found = _at(first(figures, arm.name), key)
        if found:
            k, error, truth = (found["spectrum"][name] for name in ("k", "error", "truth"))
            if not lines:
                lines.append(Line("truth", k, truth, role="baseline"))
            lines.append(Line(arm.description, k, error, role="ours" if arm.kind == "ours" else "baseline"))
    caption = "Energy of the error on the test part by mode number, as if the grid were periodic; first seed."
    return [Curves("spectra", caption, lines, "mode number", "energy", log_x=True, log_y=True)] if lines else []


def panels(figures: Figures, arms: Sequence[Arm], key: str, name: str, caption: str) -> list[Picture]:
    """Truth, and each arm's prediction and error of one test case; values between -1 and 1."""
    rows: dict[str, Any] = {}
    for arm in arms:
        found = _at(first(figures, arm.name), key)
        if found:
            rows.setdefault("truth", found["case"]["truth"])
            rows[arm.description] = found["case"]["prediction"]
            rows[f"{arm.description}: error"] = found["case"]["error"]
    return [Images(name, caption, rows)] if rows else []


def case(truth: Any, prediction: Any, magnify: float) -> dict[str, Any]:
    """Images (n, height, width) for `panels`, in units of the truth's largest value; the error is magnified."""
    import numpy as np

    scale = float(np.max(np.abs(truth)))
    pictures = {"truth": truth, "prediction": prediction, "error": magnify * (prediction - truth)}
    return {k: np.clip(np.asarray(v, float) / scale, -1, 1).round(2).tolist() for k, v in pictures.items()}


def spectrum(found: Any) -> dict[str, Any]:
    """The error's and the truth's energy of the first channel of an `Evaluation`, without mode 0."""
    parts = {"k": found.wavenumbers, "error": found.error_energy[0], "truth": found.energy[0]}
    return {name: [float(x) for x in values[1:]] for name, values in parts.items()}


def first(figures: Figures, arm: str) -> Any:
    """The figures of the first seed of an arm; empty if there is none."""
    return next(iter(figures.get(arm, {}).values()), {})


def _at(figure: Any, key: str) -> Any:
    for part in key.split("."):
        figure = figure.get(part) if isinstance(figure, dict) else None
    return figure
