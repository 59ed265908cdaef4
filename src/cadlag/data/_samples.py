"""The record of independent samples: vectors, images or series of one shape, with labels and conditions."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from cadlag.data._checks import encode_labels, floats

Names = Sequence | np.ndarray | None


class Samples(eqx.Module):
    """n samples of one shape, all values known. A frozen PyTree.

    Make it with `from_arrays`, which checks everything; the plain constructor checks nothing.

    - `values` (n, *shape): vectors (n, D), images (n, C, H, W), series (n, T, C).
    - `labels` None, (n,) integer codes into `classes`, or (n, K) real targets.
    - `conditions` None or (n, *condition_shape): what a conditional model is told.
    - `columns`: the names of the D entries of vectors; () for other shapes. `classes`: names of the labels.

    `len(samples)` is n; `samples[i]` is one sample without the leading axis; slices, index arrays and boolean arrays
    keep it, as does `take`.
    """

    values: jax.Array | np.ndarray
    labels: jax.Array | np.ndarray | None = None
    conditions: jax.Array | np.ndarray | None = None
    columns: tuple[str, ...] = eqx.field(static=True, default=())
    classes: tuple | None = eqx.field(static=True, default=None)

    @classmethod
    def from_arrays(
        cls,
        values: Any,
        *,
        labels: Any = None,
        conditions: Any = None,
        columns: Names = None,
        classes: Names = None,
    ) -> "Samples":
        """Check arrays and make a record of them (on the host, as NumPy arrays).

        **Arguments:** `values` (n, ...), n ≥ 1; `labels` (n,) of text or integers are classes, (n,) or (n, K) floats
        are targets; with `classes` given, integer labels are codes into it; `conditions` (n, ...); `columns`, names of
        the entries of vectors (default x0, x1, ...). Floats keep their precision, the rest becomes float64.

        **Raises:** ValueError for wrong ranks and lengths, NaN and infinite values (with sample and column), labels
        outside `classes`; TypeError for text where numbers belong.
        """
        values = floats("values", values)
        if values.ndim < 2 or 0 in values.shape:
            raise ValueError(
                f"`values` must have shape (samples, ...), none 0, but got {values.shape}. Numbers are samples of "
                "length one: `values[:, None]`; a single sample needs an axis: `values[None]`."
            )
        names = _check_columns(columns, values)
        check_known("values", values, names)
        if conditions is not None:
            conditions = floats("conditions", conditions)
            if conditions.ndim == 0 or len(conditions) != len(values):
                raise ValueError(f"`conditions` must have one entry for each of {len(values)} samples, first axis.")
            check_known("conditions", conditions.reshape(len(values), -1), ())
        codes, known = encode_labels(labels, len(values), classes)
        return cls(values, codes, conditions, names, known)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.values.shape[1:]

    def require(self, least: int, what: str) -> None:
        """Refuse with ValueError fewer than `least` samples, naming `what` needs them."""
        if len(self) < least:
            raise ValueError(f"{what} needs at least {least} samples, but got {len(self)}.")

    def constant_columns(self) -> tuple[str, ...]:
        """The names of entries that are the same in all samples: `columns`, or indices such as "0,2,5"."""
        values = np.asarray(self.values)
        constant = np.argwhere(np.all(values == values[:1], axis=0))
        return tuple(name_of(self.columns, index) for index in constant)

    def __len__(self) -> int:
        return self.values.shape[0]

    def __getitem__(self, index: Any) -> "Samples":
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} is out of range for {len(self)} samples")
            return self._index(int(index))
        if isinstance(index, slice):
            return self._index(index)
        return self.take(index)

    def take(self, index: Any) -> "Samples":
        """The samples at an array of indices (or a boolean array), with the sample axis; works under jit."""
        if isinstance(index, Tracer):
            return self._index(index)
        index = np.atleast_1d(np.asarray(index))
        if index.dtype == bool and index.shape != (len(self),):
            raise ValueError(f"A boolean index must have shape ({len(self)},), but got {index.shape}.")
        return self._index(index)

    def astype(self, dtype: Any) -> "Samples":
        """All floating-point arrays in another precision."""
        return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, self)

    def _index(self, index: Any) -> "Samples":
        traced = isinstance(index, Tracer)
        return jax.tree.map(lambda x: (jnp.asarray(x) if traced else x)[index], self)


def name_of(columns: Sequence[str], index: Any) -> str:
    """The name of an entry of a sample: that of its column, or its indices."""
    return str(columns[index[0]]) if columns and len(index) else ",".join(map(str, index))


def check_known(name: str, values: np.ndarray, columns: Sequence[str]) -> None:
    """Refuse NaN and infinite values, naming the first sample and column."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        sample, *index = bad[0].tolist()
        what = values[tuple(bad[0])]
        raise ValueError(
            f"`{name}` holds {len(bad)} NaN or infinite value(s), the first ({what}) in sample {sample}, column "
            f"{name_of(columns, index)!r}. Leave those samples out, or fill them in first."
        )


def _check_columns(columns: Names, values: np.ndarray) -> tuple[str, ...]:
    if columns is None:
        return tuple(f"x{d}" for d in range(values.shape[1])) if values.ndim == 2 else ()
    names = tuple(str(name) for name in columns)
    if names and (values.ndim != 2 or len(names) != values.shape[1] or len(set(names)) < len(names)):
        raise ValueError(
            f"`columns` must be different names for the last axis of `values` (samples, columns), but got {len(names)} "
            f"({', '.join(names)}) for shape {values.shape}."
        )
    return names
