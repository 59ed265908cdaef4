"""Figures of a fitted operator on data it has not seen: one step, the roll-out, by frequency, by resolution."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from cadlag.metrics import (
    correlation,
    error_spectrum,
    high_correlation_time,
    relative_l2,
    relative_sobolev,
    vrmse,
)
from cadlag.operators._windows import sample
from cadlag.operators.regressor import OperatorRegressor


class Evaluation(NamedTuple):
    """Errors of an operator; those of a roll-out are None for a steady map.

    - `relative_l2`, `relative_h1`, `vrmse`: of one call from true frames, each (channels,), means over windows.
    - `wavenumbers` (mode numbers), `error_energy`, `energy`: spectra of the error of one call and of the truth, each
      (channels, shells), means over windows; as if the grid were periodic.
    - `ts`: of the roll-out from the first frames. `rollout_l2` (steps, channels): mean relative L2 at each step.
    - `correlations` (examples, steps): Pearson's with the truth, mean over channels. `horizon`: the time from the
      start until their mean over examples falls below 0.8.
    """

    relative_l2: np.ndarray
    relative_h1: np.ndarray
    vrmse: np.ndarray
    wavenumbers: np.ndarray
    error_energy: np.ndarray
    energy: np.ndarray
    ts: np.ndarray | None = None
    rollout_l2: np.ndarray | None = None
    correlations: np.ndarray | None = None
    horizon: float | None = None

    @property
    def per_frequency(self) -> np.ndarray:
        """Relative error of the modes in each shell, (channels, shells)."""
        return np.sqrt(self.error_energy / self.energy)


def evaluate(
    estimator: OperatorRegressor, X: Any, y: Any = None, *, steps: int | None = None, seed: int = 0
) -> Evaluation:
    """Errors on a `FieldDataset` or arrays as `fit` takes them; roll-outs go to the end of the data, or `steps`."""
    truth, found = (jnp.asarray(u) for u in estimator.teacher_forced(X, y, seed=seed))
    d = truth.ndim - 3
    mean = lambda values: np.asarray(jnp.mean(values, axis=(0, 1)))  # noqa: E731
    spectrum = error_spectrum(found, truth, spatial_axes=d)
    one = Evaluation(
        mean(relative_l2(found, truth, spatial_axes=d)), mean(relative_sobolev(found, truth, spatial_axes=d)),
        mean(vrmse(found, truth, spatial_axes=d)), spectrum.wavenumbers, mean(spectrum.error), mean(spectrum.truth),
    )  # fmt: skip
    return one if estimator.steady_ else one._replace(**_rolled(estimator, X, steps, seed))


def resolution_report(
    estimator: OperatorRegressor, data: Mapping[str, Any], *, steps: int | None = None
) -> dict[str, Evaluation]:
    """The same figures on the same fields at several resolutions, by name: what an operator is sold for.

    A network tied to one resolution raises its own `ValueError` at another.
    """
    return {name: evaluate(estimator, X, steps=steps) for name, X in data.items()}


def _rolled(estimator: OperatorRegressor, X: Any, steps: int | None, seed: int) -> dict[str, Any]:
    fields = sample(estimator.fields_of(X))
    stride, first = estimator.stride, (estimator.history - 1) * estimator.stride
    values, ts = fields.select(estimator.channels_).values, np.asarray(fields.ts)
    longest = (len(ts) - 1 - first) // stride
    steps = longest if steps is None else steps
    if not 1 <= steps <= longest:
        raise ValueError(f"evaluate: steps={steps}, but the data go on for {longest} steps after the first frames.")
    after = slice(first + stride, first + stride * steps + 1, stride)
    out = len(estimator.outputs_)
    start = fields.times(slice(0, first + 1))
    given = values[:, after, out:] if values.shape[2] > out else None
    found = jnp.asarray(estimator.rollout(start, steps, inputs=given, seed=seed))
    truth = jnp.asarray(values[:, after, :out], found.dtype)
    d = truth.ndim - 3
    errors = relative_l2(found, truth, spatial_axes=d)
    alike = np.asarray(jnp.mean(correlation(found, truth, spatial_axes=d), axis=2))
    passed = ts[after] - ts[first]
    return {
        "ts": passed,
        "rollout_l2": np.asarray(jnp.mean(errors, axis=0)),
        "correlations": alike,
        "horizon": high_correlation_time(alike, passed),
    }
