"""What is done to a record before learning: scaling, deleting observations, splitting, cutting windows."""

from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cadlag.data._fields import FieldDataset
from cadlag.data._samples import Samples
from cadlag.data._series import IrregularSeries

Record = TypeVar("Record", IrregularSeries, Samples, FieldDataset)


class Standardise(eqx.Module):
    """Per channel (x - mean) / std, with mean and std + 1e-5 of the observed values it was fitted on.

    `fit` on the training part only. A channel never observed there has mean 0 and std 1.
    """

    mean: np.ndarray | jax.Array
    std: np.ndarray | jax.Array

    @classmethod
    def fit(cls, series: IrregularSeries) -> "Standardise":
        """Mean and standard deviation (C,) over all observed values of each channel."""
        values, mask = np.asarray(series.values), np.asarray(series.mask)
        axes = tuple(range(values.ndim - 1))
        count = np.maximum(mask.sum(axes), 1)
        mean = np.where(mask, values, 0).sum(axes) / count
        spread = np.sqrt((np.where(mask, values - mean, 0) ** 2).sum(axes) / count) + 1e-5
        spread = np.where(mask.any(axes), spread, 1)
        return cls(mean.astype(values.dtype), spread.astype(values.dtype))

    def apply(self, series: IrregularSeries) -> IrregularSeries:
        """The scaled series; missing values stay 0."""
        return _with_values(series, (series.values - self._row(self.mean, series)) / self._row(self.std, series))

    def invert(self, series: Any) -> Any:
        """Back to the data's own unit: a series, or an array (..., C) such as a forecast."""
        if isinstance(series, IrregularSeries):
            return _with_values(series, self.invert(series.values))
        return series * self._row(self.std, series) + self._row(self.mean, series)

    def _row(self, x: Any, like: Any) -> Any:
        values = like.values if isinstance(like, IrregularSeries) else like
        if values.shape[-1] != len(x):
            raise ValueError(f"This scaling was fitted on {len(x)} channels, but got {values.shape[-1]}.")
        return x.reshape((1,) * (values.ndim - 1) + (-1,))


def rescale_time(
    series: IrregularSeries, *, to: tuple[float, float] = (0.0, 1.0), each: bool = False
) -> IrregularSeries:
    """Map times affinely so that the earliest is `to[0]` and the latest `to[1]`; with `each`, in every
    series.

    A series with one time only is put at `to[0]`.
    """
    times, dtype = np.asarray(series.times), series.times.dtype
    low = times.min(axis=-1, keepdims=True) if each else times.min()
    high = times.max(axis=-1, keepdims=True) if each else times.max()
    width = np.where(high > low, high - low, 1)
    times = (to[0] + (times - low) / width * (to[1] - to[0])).astype(dtype)
    return eqx.tree_at(lambda s: s.times, series, times)


def delete_observations(series: IrregularSeries, rate: float, *, seed: int) -> IrregularSeries:
    """Remove exactly int(L * rate) random time indices from each series and, independently, each channel.

    L is the series' own length. The protocol of Oh, Lim & Kim (2024); values already missing may be drawn
    again. The same seed gives the same mask; rate 0 changes nothing.
    """
    return _delete(series, rate, seed, independent=True)


def delete_time_points(series: IrregularSeries, rate: float, *, seed: int) -> IrregularSeries:
    """Remove exactly int(L * rate) random time indices from each series, all channels at once."""
    return _delete(series, rate, seed, independent=False)


def split(
    series: Record,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    *,
    seed: int,
    stratify: bool = True,
) -> tuple[Record, ...]:
    """Disjoint random parts of the given fractions; class by class where labels are classes and `stratify`.

    Each class is shuffled and cut at the rounded cumulative fractions, but the first part always gets at
    least one of it. Within a part they keep their order.
    `series` may be `Samples` or a `FieldDataset` too.

    **Raises:** ValueError if the fractions are not positive and of sum 1, or a part would be empty.
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"`fractions` must be positive with sum 1, but got {tuple(fractions)}.")
    rng = np.random.default_rng(seed)
    part = np.empty(len(series), int)
    for group in _groups(series, stratify):
        bounds = np.round(np.cumsum(fractions[:-1]) * len(group)).astype(int)
        part[rng.permutation(group)] = np.searchsorted(np.maximum(bounds, 1), np.arange(len(group)), side="right")
    parts = [np.flatnonzero(part == k) for k in range(len(fractions))]
    empty = [k for k, index in enumerate(parts) if index.size == 0]
    if empty:
        noun = {IrregularSeries: "series", Samples: "samples"}.get(type(series), "examples")
        raise ValueError(
            f"{len(series)} {noun} are too few for fractions {tuple(fractions)}: part {empty[0]} is empty. "
            "Use fewer parts, more data, or `stratify=False`."
        )
    return tuple(series.take(index) for index in parts)


def windows(array: Any, history: int, horizon: int, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Cut (N, T, C) or (T, C) into all pairs of `history` steps and the `horizon` steps after them.

    Returns inputs (M, history, C) and targets (M, horizon, C), series after series, in time order;
    each series gives (T - history - horizon) // stride + 1 of them.
    """
    array = np.asarray(array)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3:
        raise ValueError(f"`array` must have shape (series, steps, channels) or (steps, channels), got {array.shape}.")
    if min(history, horizon, stride) < 1:
        raise ValueError(f"`history`, `horizon`, `stride` must be at least 1, got {history}, {horizon}, {stride}.")
    if array.shape[1] < history + horizon:
        raise ValueError(f"history {history} + horizon {horizon} is longer than the {array.shape[1]} steps there are.")
    view = np.lib.stride_tricks.sliding_window_view(array, history + horizon, axis=1)[:, ::stride]
    cut = np.swapaxes(view, 2, 3).reshape(-1, history + horizon, array.shape[2])
    return cut[:, :history].copy(), cut[:, history:].copy()


def _delete(series: IrregularSeries, rate: float, seed: int, *, independent: bool) -> IrregularSeries:
    if not 0 <= rate <= 1:
        raise ValueError(f"`rate` must lie in [0, 1], but got {rate}.")
    if np.ndim(series.times) != 2:
        raise ValueError("`series` has lost its example axis; take it with `series[i : i + 1]` or `take([i])`.")
    mask, lengths = np.asarray(series.mask), np.asarray(series.lengths)
    draws = np.random.default_rng(seed).random(mask.shape if independent else (*mask.shape[:2], 1))
    real = np.arange(mask.shape[1])[None] < lengths[:, None]
    draws = np.where(real[:, :, None], draws, 2)  # padding comes last in the permutation
    rank = np.argsort(np.argsort(draws, axis=1), axis=1)
    count = np.array([int(length * rate) for length in lengths.tolist()])
    mask = mask & (rank >= count[:, None, None])
    return _with_values(eqx.tree_at(lambda s: s.mask, series, mask), series.values)


def _with_values(series: IrregularSeries, values: Any) -> IrregularSeries:
    where = np.where if isinstance(values, np.ndarray) and isinstance(series.mask, np.ndarray) else jnp.where
    values = where(series.mask, values, values.dtype.type(0))
    return eqx.tree_at(lambda s: s.values, series, values)


def _groups(series: IrregularSeries | Samples | FieldDataset, stratify: bool) -> list[np.ndarray]:
    known = None if isinstance(series, FieldDataset) else series.labels
    labels = None if known is None else np.asarray(known)
    if not stratify or labels is None or not np.issubdtype(labels.dtype, np.integer):
        return [np.arange(len(series))]
    return [np.flatnonzero(labels == k) for k in np.unique(labels)]
