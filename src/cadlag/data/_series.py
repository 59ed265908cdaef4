"""The record of irregular time series: ragged times, missing values, labels, in padded arrays."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from cadlag.data._checks import check_finite, check_times, encode_labels, floats

ArrayOrNone = jax.Array | np.ndarray | None
Names = Sequence | np.ndarray | None


class IrregularSeries(eqx.Module):
    """N series of up to T steps and C channels; each with its own times, gaps and length. A frozen PyTree.

    Make it with `from_arrays` or `from_ragged`, which check everything; the plain constructor checks nothing.

    - `times` (N, T): time stamps in the data's own unit; padding repeats the last time of the series.
    - `values` (N, T, C): 0 where missing and on padding.
    - `mask` (N, T, C): True where observed.
    - `lengths` (N,): number of steps that are not padding.
    - `static` (N, S) or None: features that do not change in time, NaN where missing.
    - `labels` None, (N,) integer codes into `classes`, or (N, K) real targets.
    - `channels`, `classes`, `ids`: names; `ids` are dropped when indexing with traced indices.

    `len(series)` is N; `series[i]` is one example without the leading axis; slices, index arrays and boolean
    arrays keep it, as does `take`.
    """

    times: jax.Array | np.ndarray
    values: jax.Array | np.ndarray
    mask: jax.Array | np.ndarray
    lengths: jax.Array | np.ndarray
    static: ArrayOrNone = None
    labels: ArrayOrNone = None
    channels: tuple[str, ...] = eqx.field(static=True, default=())
    classes: tuple | None = eqx.field(static=True, default=None)
    ids: tuple | None = eqx.field(static=True, default=None)

    @classmethod
    def from_arrays(
        cls,
        times: Any,
        values: Any,
        *,
        mask: Any = None,
        lengths: Any = None,
        static: Any = None,
        labels: Any = None,
        channels: Names = None,
        classes: Names = None,
        ids: Names = None,
    ) -> "IrregularSeries":
        """Check padded arrays and make a record of them (on the host, as NumPy arrays).

        **Arguments:** `times` (N, T) or (T,) shared by all, strictly increasing within each length; `values`
        (N, T, C) with NaN (or `mask` False) where missing; `lengths` (N,), default T for all; what lies
        beyond a length is ignored. `labels` (N,) of text or integers are classes, (N,) or (N, K) floats are
        targets; with `classes` given, integer labels are codes into it. The dtype is that of `values`.

        **Raises:** ValueError for wrong ranks or lengths, times that do not increase, infinite values, labels
        outside `classes`; TypeError for text where numbers belong.
        """
        values = floats("values", values)
        if values.ndim != 3 or 0 in values.shape:
            raise ValueError(
                f"`values` must have shape (series, steps, channels), none 0, but got {values.shape}. "
                "Add a channel axis with `values[..., None]`, a series axis with `values[None]`."
            )
        n, steps, n_channels = values.shape
        lengths = _check_lengths(lengths, n, steps)
        times = _check_grid(times, values, lengths)
        real = np.arange(steps)[None] < lengths[:, None]
        mask = _check_mask(mask, values) & real[:, :, None]
        check_finite("values", np.where(mask, values, 0))
        labels, classes = encode_labels(labels, n, classes)
        return cls(
            times=times,
            values=np.where(mask, values, 0).astype(values.dtype),
            mask=mask,
            lengths=lengths,
            static=_check_static(static, n, values.dtype),
            labels=labels,
            channels=_check_names("channels", channels, n_channels) or tuple(f"x{c}" for c in range(n_channels)),
            classes=classes,
            ids=_check_names("ids", ids, n),
        )

    @classmethod
    def from_ragged(cls, series: Sequence[tuple[Any, Any]], **kwargs: Any) -> "IrregularSeries":
        """Collate a list of (times (T_i,), values (T_i, C) or (T_i,)) into padded arrays.

        Keyword arguments as for `from_arrays`, without `mask` and `lengths`.
        """
        if len(series) == 0:
            raise ValueError("`series` is empty; at least one (times, values) pair is needed.")
        pairs = [_check_pair(i, *pair) for i, pair in enumerate(series)]
        widths = sorted({values.shape[1] for _, values in pairs})
        if len(widths) > 1:
            raise ValueError(f"All series must have the same number of channels, but they have {widths}.")
        lengths = np.array([len(times) for times, _ in pairs])
        longest = lengths.max()
        dtype = np.result_type(*(values for _, values in pairs))
        padded_times = np.stack([np.pad(t, (0, longest - len(t)), mode="edge") for t, _ in pairs])
        padded = np.full((len(pairs), longest, widths[0]), np.nan, dtype)
        for row, (_, values) in zip(padded, pairs, strict=True):
            row[: len(values)] = values
        return cls.from_arrays(padded_times, padded, lengths=lengths, **kwargs)

    def __len__(self) -> int:
        if self.times.ndim != 2:
            raise TypeError("This is one series without an example axis, so it has no len(); use `lengths`.")
        return self.times.shape[0]

    def __getitem__(self, index: Any) -> "IrregularSeries":
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for {len(self)} series")
            return self._index(int(index), None if self.ids is None else (self.ids[index],))
        if isinstance(index, slice):
            index = np.arange(len(self))[index]
        return self.take(index)

    def take(self, index: Any) -> "IrregularSeries":
        """The series at an array of indices (or a boolean array), with the example axis; works under jit."""
        if isinstance(index, Tracer):
            return self._index(index, None)
        index = np.asarray(index)
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise ValueError(f"A boolean index must have shape ({len(self)},), but got {index.shape}.")
            index = np.flatnonzero(index)
        index = np.atleast_1d(index)
        return self._index(index, None if self.ids is None else tuple(self.ids[i] for i in index))

    def astype(self, dtype: Any) -> "IrregularSeries":
        """All floating-point arrays in another precision."""
        return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, self)

    def without_ids(self) -> "IrregularSeries":
        """The same series without their names, so that compiled code does not depend on them."""
        return self._index(slice(None), None)

    def _index(self, index: Any, ids: tuple | None) -> "IrregularSeries":
        names = ("times", "values", "mask", "lengths", "static", "labels")
        traced = isinstance(index, Tracer)

        def pick(x: Any) -> Any:
            if x is None:
                return None
            x = (jnp.asarray(x) if traced else x)[index]
            return np.asarray(x) if isinstance(x, np.generic) else x

        picked = {name: pick(getattr(self, name)) for name in names}
        return IrregularSeries(**picked, channels=self.channels, classes=self.classes, ids=ids)


def _check_lengths(lengths: Any, n: int, steps: int) -> np.ndarray:
    if lengths is None:
        return np.full(n, steps, np.int32)
    lengths = np.asarray(lengths)
    if lengths.shape != (n,) or not np.issubdtype(lengths.dtype, np.integer):
        raise ValueError(f"`lengths` must be {n} integers, one a series, but got {lengths.dtype} {lengths.shape}.")
    bad = np.flatnonzero((lengths < 1) | (lengths > steps))
    if bad.size:
        raise ValueError(f"`lengths` must lie in 1..{steps}, but series {bad[0]} has length {lengths[bad[0]]}.")
    return lengths.astype(np.int32)


def _check_grid(times: Any, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    times = floats("times", times)
    if times.ndim == 1:
        times = np.broadcast_to(times, (len(values), *times.shape))
    if times.shape != values.shape[:2]:
        raise ValueError(
            f"`times` must have shape {values.shape[:2]} or {values.shape[1:2]} to go with `values` of shape "
            f"{values.shape}, but got {times.shape}."
        )
    check_times(times, lengths)
    exact, times = times, times.astype(values.dtype)
    times = np.take_along_axis(times, np.minimum(np.arange(times.shape[1])[None], lengths[:, None] - 1), axis=1)
    if times.dtype.itemsize < exact.dtype.itemsize:
        check_times(times, lengths, f" in {times.dtype}, the dtype of `values`; subtract a common origin first")
    return times


def _check_mask(mask: Any, values: np.ndarray) -> np.ndarray:
    observed = ~np.isnan(values)
    if mask is None:
        return observed
    mask = np.asarray(mask)
    if mask.shape != values.shape or mask.dtype != bool:
        raise ValueError(
            f"`mask` must be boolean of shape {values.shape} (True = observed), but got {mask.dtype} {mask.shape}."
        )
    return mask & observed


def _check_static(static: Any, n: int, dtype: Any) -> np.ndarray | None:
    if static is None:
        return None
    static = floats("static", static)
    if static.ndim != 2 or len(static) != n:
        raise ValueError(f"`static` must have shape ({n}, features), but got {static.shape}.")
    check_finite("static", static)
    return static.astype(dtype)


def _check_names(name: str, names: Names, n: int) -> tuple | None:
    if names is None:
        return None
    names = tuple(x.item() if isinstance(x, np.generic) else x for x in names)
    if len(names) != n:
        raise ValueError(f"`{name}` must have {n} entries, but got {len(names)}.")
    if len(set(names)) != n:
        twice = next(x for i, x in enumerate(names) if x in names[:i])
        raise ValueError(f"`{name}` must be different from each other, but {twice!r} comes twice.")
    return names


def _check_pair(i: int, times: Any, values: Any) -> tuple[np.ndarray, np.ndarray]:
    times, values = floats(f"times of series {i}", times), floats(f"values of series {i}", values)
    values = values[:, None] if values.ndim == 1 else values
    if times.ndim != 1 or values.ndim != 2 or len(times) != len(values) or len(times) == 0:
        raise ValueError(
            f"Series {i} must be (times (T,), values (T, channels)) with T >= 1, "
            f"but got shapes {times.shape} and {values.shape}."
        )
    return times, values
