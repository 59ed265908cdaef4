"""What the estimators of this wing share: inputs checked and scaled, targets in their own unit and back."""

import os
import warnings
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cadlag.data import Affine
from cadlag.train import Estimator, enable_x64

T = TypeVar("T", bound="KernelEstimator")


class _Box:
    """An array of JAX on its way through pickle."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def open(self) -> Array:
        """The array, in its own precision within `enable_x64`."""
        return jnp.asarray(self.values)


def _is_array(a: Any) -> bool:
    return isinstance(a, jax.Array) and not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)


class KernelEstimator(Estimator):
    """Inputs (n, features), or images (n, channels, *space), in double precision wherever the process runs."""

    standardise: bool
    model_: Any

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copies: arrays of JAX as boxes, since a process of single precision would halve them."""
        return jax.tree.map(lambda a: _Box(np.asarray(a)) if _is_array(a) else a, vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        with enable_x64():
            opened = jax.tree.map(lambda a: a.open() if isinstance(a, _Box) else a, state)
        vars(self).update(opened)

    @classmethod
    def load(cls: type[T], path: str | os.PathLike, parts: Mapping[str, Any] | None = None) -> T:
        """As `Estimator.load`, in double precision."""
        with enable_x64():
            return super().load(path, parts)  # pyright: ignore[reportAttributeAccessIssue]

    def _fit_inputs(self, X: Any, count: int) -> Array:
        """Remember the scaling of the inputs and return them scaled."""
        values = _numbers("X", X)
        if values.ndim < 2 or len(values) != count:
            raise ValueError(
                f"X of {type(self).__name__} has shape {values.shape} for {count} targets; expected (n, features) or "
                "(n, channels, *space) with one target for each row. A single column is X[:, None]."
            )
        if 0 in values.shape[1:]:
            raise ValueError(f"X: 0 feature(s) (shape={values.shape}) while a minimum of 1 is required.")
        if len(values) < 2:
            raise ValueError(f"{type(self).__name__}.fit: {len(values)} sample(s); expected at least 2.")
        self.n_features_in_ = int(np.prod(values.shape[1:]))
        self.shape_ = tuple(values.shape[1:])
        identity = Affine(jnp.zeros(values.shape[1:], float), jnp.ones(values.shape[1:], float))
        # Images keep their geometry: one scale for all pixels.
        self.scaling_ = Affine.fit(values, shared=values.ndim > 2) if self.standardise else identity
        return self.scaling_.apply(values)

    def _inputs(self, X: Any) -> Array:
        self.check_is_fitted()
        values = _numbers("X", X)
        if values.ndim == 1:
            raise ValueError(
                f"X has shape {values.shape}. Reshape your data: X.reshape(1, -1) for one example, X[:, None] for one "
                "feature."
            )
        if values.shape[1:] != self.shape_:
            count = int(np.prod(values.shape[1:]))
            raise ValueError(
                f"X has {count} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                f"input: it was fitted on (n, {', '.join(map(str, self.shape_))}) and got {values.shape}."
            )
        return self.scaling_.apply(values)

    def _fit_targets(self, y: Any) -> Array:
        """Remember mean and deviation of the targets and return them scaled, (n, outputs)."""
        if y is None:
            raise ValueError(f"{type(self).__name__}.fit requires y to be passed, but the target y is None.")
        values = _numbers("y", y)
        if values.ndim not in (1, 2) or len(values) == 0:
            raise ValueError(f"y has shape {values.shape}; expected (n,) or (n, outputs).")
        self.flat_ = values.ndim == 1
        values = values.reshape(len(values), -1)
        spread = values.std(0)
        self.center_, self.scale_ = values.mean(0), np.where(spread > 0, spread, 1.0)
        return jnp.asarray((values - self.center_) / self.scale_)

    def _fit_classes(self, y: Any) -> np.ndarray:
        """Remember the classes and return centred indicators, (n, classes)."""
        if y is None:
            raise ValueError(f"{type(self).__name__}.fit requires y to be passed, but the target y is None.")
        labels = np.asarray(y)
        if labels.dtype.kind == "f" and not np.all(np.isfinite(labels)):
            raise ValueError("y holds NaN or infinite values; leave those rows out.")
        if labels.dtype.kind == "f" and np.any(labels != np.round(labels)):
            raise ValueError("Unknown label type: continuous. y holds real targets; use a regressor.")
        if labels.ndim == 2 and labels.shape[1] == 1:
            from sklearn.exceptions import DataConversionWarning

            text = "A column-vector y was passed when a 1d array was expected; y.ravel() is taken."
            warnings.warn(text, DataConversionWarning, 2)
        elif labels.ndim != 1:
            raise ValueError(f"y has shape {labels.shape}; expected one class for each row, (n,).")
        self.classes_, codes = np.unique(labels.reshape(-1), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds one class only, {self.classes_.tolist()}; a classifier needs at least two.")
        return np.eye(len(self.classes_))[codes] - 1 / len(self.classes_)

    def _unscaled(self, mean: Any) -> np.ndarray:
        values = np.asarray(mean) * self.scale_ + self.center_
        return values[..., 0] if self.flat_ else values

    def _deviation(self, variance: Any) -> np.ndarray:
        """Standard deviations (m,) or (m, outputs) from the variance (m,) of a scaled target."""
        values = np.sqrt(np.asarray(variance))[:, None] * self.scale_
        return values[:, 0] if self.flat_ else values


def _numbers(name: str, values: Any) -> np.ndarray:
    if hasattr(values, "toarray"):
        raise TypeError(
            f"{name} is sparse, but dense data is required; sparse input is not supported. {name}.toarray()."
        )
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise ValueError(f"{name}: Complex data not supported.")
    array = array.astype(float)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} holds NaN or infinite values; leave those rows out or fill them in.")
    return array
