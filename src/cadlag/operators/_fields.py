"""What an operator's estimator is given: a record of fields, or arrays that are made one."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from cadlag.data import FieldDataset, FieldNormaliser
from cadlag.nn import Boundary


def as_fields(X: Any, y: Any = None, *, names: Sequence[tuple[str, ...]] = (), steady: bool = False) -> FieldDataset:
    """A record as it is; one of an array (example, time, channel, *space), or of arrays of a steady map.

    For the latter X is (example, channel, *space), as is y where it is given. `names`: what the channels of an array
    may be; the first with as many counts, and where none is known they are u0, u1, ….
    """
    if isinstance(X, FieldDataset):
        if y is not None:
            raise ValueError("y is for arrays; of a FieldDataset name the channels to predict, outputs=(…).")
        return X
    values = np.asarray(X)
    if steady or y is not None:
        values = values[:, None]
        if y is not None:
            values = np.concatenate([values, _like(np.asarray(y), values)], axis=2)
    if values.ndim < 4 or len(values) == 0:
        raise ValueError(
            f"X has shape {np.shape(X)}; expected a FieldDataset, an array (example, time, channel, *space), or for a "
            "steady map X (example, channel, *space) and y. A single channel is X[:, :, None]."
        )
    ts = None if steady or y is not None else np.arange(values.shape[1], dtype=float)
    return FieldDataset.from_arrays(values, channels=_names(values.shape[2], names), ts=ts)


def with_boundary(network: Callable, fields: FieldDataset) -> Callable:
    """The constructor with the boundary that the fields have, where it takes one, was not told, and all axes agree."""
    told = isinstance(network, functools.partial) and "boundary" in network.keywords
    every = {name in fields.periodic for name in fields.axes}
    if told or len(every) > 1 or "boundary" not in inspect.signature(network).parameters:
        return network
    return functools.partial(network, boundary=Boundary.circular if every.pop() else Boundary.zero)


def fit_parameters(fields: FieldDataset) -> FieldNormaliser:
    """The scaling of the examples' parameters."""
    numbers = np.asarray(fields.parameters, np.float64)
    mean, sd = numbers.mean(0), numbers.std(0)
    sd = np.where(sd > 8 * np.finfo(sd.dtype).eps * abs(mean), sd, 1)
    return FieldNormaliser(jnp.asarray(mean), jnp.asarray(sd), fields.parameter_names)


def _names(count: int, names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    known = next((n for n in names if len(n) == count), None)
    if known is None and names:
        raise ValueError(f"X has {count} channels, but the model was fitted on {list(names[0])}, in this order.")
    return known or tuple(f"u{i}" for i in range(count))


def _like(y: np.ndarray, values: np.ndarray) -> np.ndarray:
    if y.ndim != values.ndim - 1 or len(y) != len(values) or y.shape[2:] != values.shape[3:]:
        raise ValueError(
            f"X has shape {values[:, 0].shape} and y {y.shape}; expected (example, channel, *space) for both, the same "
            "examples on the same points."
        )
    return y[:, None].astype(values.dtype)
