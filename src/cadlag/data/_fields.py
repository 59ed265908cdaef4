"""The record of fields: functions on one grid, in time or steady, with the names of everything."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from cadlag.data._checks import floats
from cadlag.data._field_checks import (
    check_axes,
    check_channels,
    check_coordinates,
    check_pairs,
    check_parameters,
    check_ts,
    check_values,
    is_uniform,
    names_of,
)
from cadlag.data._stored_fields import StoredValues, check_fields
from cadlag.fields import Box, Grid

Names = Sequence[str] | str | None


class FieldDataset(eqx.Module):
    """n examples of fields on one grid. A frozen PyTree.

    Make it with `from_arrays` or `read_fields`, which check everything; the plain constructor checks nothing.

    - `values` (example, time, channel, *space), in the data's own units: an array, or `StoredValues`, which are read
      when they are needed.
    - `coordinates`: one float64 vector for each axis of space.
    - `ts` (time,), the times of the frames; None where there is no time, and then `values` has time length 1. A steady
      map, from a coefficient to a solution, say, is such a set whose channels hold both.
    - `parameters` None or (example, p): numbers that belong to an example, such as a viscosity.
    - `channels`, `axes` (of space), `parameter_names`: names. `periodic`: the axes whose ends are one point.
    - `boundary`: (axis, kind) where the boundary is known; `units`: (name of a channel, axis, parameter or "t", unit);
      `attributes`: (name, text or number), how the data came about.

    `len(dataset)` is n; `dataset[2:5]` and `dataset.take(index)` choose examples and keep their axis.
    """

    values: Any
    coordinates: tuple[np.ndarray, ...]
    ts: np.ndarray | None = None
    parameters: np.ndarray | jax.Array | None = None
    channels: tuple[str, ...] = eqx.field(static=True, default=("u",))
    axes: tuple[str, ...] = eqx.field(static=True, default=("x",))
    periodic: tuple[str, ...] = eqx.field(static=True, default=())
    parameter_names: tuple[str, ...] = eqx.field(static=True, default=())
    boundary: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    units: tuple[tuple[str, str], ...] = eqx.field(static=True, default=())
    attributes: tuple[tuple[str, Any], ...] = eqx.field(static=True, default=())

    @classmethod
    def from_arrays(
        cls,
        values: Any,
        *,
        channels: Names = None,
        axes: Names = None,
        coordinates: Sequence[Any] | None = None,
        ts: Any = None,
        periodic: Names = (),
        parameters: Any = None,
        parameter_names: Names = None,
        boundary: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> "FieldDataset":
        """Check arrays and make a record of them (on the host, as NumPy arrays).

        **Arguments:** `values` (example, time, channel, *space); `channels`, names (one channel is called u by
        default); `axes`, names of space (default x, y, z); `coordinates`, ascending, one vector for each axis (default:
        the numbers 0, 1, …); `ts`, ascending, needed where there are two frames or more; the rest as for the class.

        **Raises:** ValueError for wrong ranks and lengths, NaN and infinite values (saying where), names missing or
        used twice, coordinates or times that do not ascend, examples of different resolutions.
        """
        values = check_values(values)
        names = check_axes(axes, values.shape[3:])
        known = check_channels(channels, values.shape[2])
        if not isinstance(values, StoredValues):
            check_fields(values)
        numbers, called = check_parameters(parameters, parameter_names, len(values))
        return cls(
            values,
            check_coordinates(coordinates, names, values.shape[3:]),
            check_ts(ts, values.shape[1]),
            numbers,
            known,
            names,
            tuple(check_pairs("periodic", dict.fromkeys(names_of(periodic), ""), names)),
            called,
            tuple(check_pairs("boundary", boundary or {}, names).items()),
            tuple(check_pairs("units", units or {}, (*known, *names, *called, "t")).items()),
            tuple((attributes or {}).items()),
        )

    @property
    def lazy(self) -> bool:
        """Whether the values are still in files."""
        return isinstance(self.values, StoredValues)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points of each axis of space."""
        return tuple(self.values.shape[3:])

    @property
    def frames(self) -> int:
        """Frames of an example; 1 for a steady map."""
        return self.values.shape[1]

    @property
    def metadata(self) -> dict[str, Any]:
        """The attributes as a dictionary."""
        return dict(self.attributes)

    def load(self) -> "FieldDataset":
        """The same with all values in memory."""
        return self._with(values=self.values.read()) if self.lazy else self

    def astype(self, dtype: Any) -> "FieldDataset":
        """Values and parameters in another precision; coordinates and times stay float64."""
        dtype = np.dtype(dtype)
        values = self.values.select(dtype=dtype) if self.lazy else self.values.astype(dtype)
        return self._with(values=values, parameters=None if self.parameters is None else self.parameters.astype(dtype))

    def take(self, examples: Any) -> "FieldDataset":
        """The examples at an array of indices, or where a boolean array is true; their axis stays."""
        index = np.atleast_1d(np.asarray(examples))
        if index.dtype == bool and index.shape != (len(self),):
            raise ValueError(f"A boolean index must have shape ({len(self)},), but got {index.shape}.")
        return self._examples(np.arange(len(self))[index])

    def select(self, channels: Names) -> "FieldDataset":
        """Some channels, in the order of their names."""
        wanted = names_of(channels)
        unknown = [name for name in wanted if name not in self.channels]
        if unknown or not wanted:
            raise ValueError(f"`channels`: {unknown or 'none'} asked for; the channels are {', '.join(self.channels)}.")
        places = [self.channels.index(name) for name in wanted]
        if isinstance(self.values, StoredValues):
            values: Any = self.values.select(channels=tuple(self.values.channels[k] for k in places))
        else:
            values = self.values[:, :, places]
        return self._with(values=values, channels=wanted)

    def times(self, chosen: slice) -> "FieldDataset":
        """Some frames: `dataset.times(slice(10, None, 2))`."""
        kept = range(self.frames)[chosen]
        if self.ts is None or not len(kept) or kept.step < 0:
            raise ValueError(f"`times`: {chosen} of {self.frames} frames (ts: {self.ts is not None}) leaves none.")
        stored = isinstance(self.values, StoredValues)
        values = self.values.select(times=self.values.times[chosen]) if stored else self.values[:, chosen]
        return self._with(values=values, ts=self.ts[chosen])

    def stride(self, step: int | Mapping[str, int]) -> "FieldDataset":
        """Every `step`-th point of all axes of space, or of those named: aliases what is finer; see `resample`."""
        steps = step if isinstance(step, Mapping) else dict.fromkeys(self.axes, step)
        check_pairs("stride", steps, self.axes)
        slices = tuple(slice(None, None, steps.get(name, 1)) for name in self.axes)
        bad = [
            n for n, axis in zip(self.shape, self.axes, strict=True) if axis in self.periodic and n % steps.get(axis, 1)
        ]
        if min(steps.values(), default=1) < 1 or bad:
            raise ValueError(
                f"`stride`: {dict(steps)} of shape {self.shape}; expected >= 1, divisors on periodic axes."
            )
        if isinstance(self.values, StoredValues):
            points = tuple(r[s] for r, s in zip(self.values.points, slices, strict=True))
            values: Any = self.values.select(points=points)
        else:
            values = self.values[(slice(None),) * 3 + slices]
        return self._with(values=values, coordinates=tuple(x[s] for x, s in zip(self.coordinates, slices, strict=True)))

    def resample(self, shape: int | Sequence[int]) -> "FieldDataset":
        """The trigonometric polynomial of each field on another number of points, on periodic axes.

        Fewer points drop the modes that they cannot hold, instead of aliasing them. Loads the values.

        **Raises:** ValueError for an axis that is not periodic (unless it keeps its points) or not uniform.
        """
        from scipy.signal import resample

        target = (shape,) * len(self.axes) if isinstance(shape, int) else tuple(shape)
        if len(target) != len(self.axes) or min(target) < 2:
            raise ValueError(f"`shape`: got {shape}, expected two points or more for each of the axes {self.axes}.")
        values, coordinates = np.asarray(self.values), list(self.coordinates)
        for k, (name, n) in enumerate(zip(self.axes, target, strict=True)):
            if n == self.shape[k]:
                continue
            if name not in self.periodic:
                raise ValueError(f"`resample`: axis {name!r} is not periodic; keep its points, or use `stride`.")
            start, length = coordinates[k][0], self.spacing(name) * self.shape[k]
            values = np.asarray(resample(values, n, axis=3 + k))
            coordinates[k] = start + length / n * np.arange(n)
        return self._with(values=values, coordinates=tuple(coordinates))

    def spacing(self, axis: str) -> float:
        """Distance of neighbouring points; raises ValueError where it varies."""
        x = self.coordinates[self.axes.index(axis)]
        if not is_uniform(x):
            raise ValueError(
                f"axis {axis!r} is not uniform: its spacings go from {np.diff(x).min():g} to {np.diff(x).max():g}. "
                "Interpolate the fields to evenly spaced points first, or use a model for point sets."
            )
        return float((x[-1] - x[0]) / (len(x) - 1))

    @property
    def grid(self) -> Grid:
        """The points as a `Grid`; raises ValueError where they are not evenly spaced.

        Periodic axes end one spacing after their last point, others at their first and last.
        """
        bounds = {}
        for name, x in zip(self.axes, self.coordinates, strict=True):
            step = self.spacing(name)
            last = x[0] + step * len(x) if name in self.periodic else x[-1]
            bounds[name] = (float(x[0]), float(last))
        return Grid(Box(bounds, periodic=self.periodic), self.shape)

    def __len__(self) -> int:
        return self.values.shape[0]

    def __getitem__(self, examples: Any) -> "FieldDataset":
        if not isinstance(examples, slice):
            raise TypeError(f"a FieldDataset is sliced, `dataset[2:5]`, but got {examples!r}; use `take` for indices.")
        return self._examples(np.arange(len(self))[examples])

    def _examples(self, index: np.ndarray) -> "FieldDataset":
        stored = isinstance(self.values, StoredValues)
        values = self.values.select(examples=self.values.examples[index]) if stored else self.values[index]
        return self._with(values=values, parameters=None if self.parameters is None else self.parameters[index])

    def _with(self, **changes: Any) -> "FieldDataset":
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return FieldDataset(**(fields | changes))


def join(datasets: Sequence[FieldDataset]) -> FieldDataset:
    """All examples of several sets with one grid, the same times and channels, in turn.

    Sets in files stay there: this is how the files of one large set become one record.

    **Raises:** ValueError for different resolutions, names, times or coordinates.
    """
    first = datasets[0]
    for k, other in enumerate(datasets):
        for what in ("channels", "axes", "shape", "frames", "parameter_names", "periodic"):
            a, b = getattr(first, what), getattr(other, what)
            if a != b:
                raise ValueError(
                    f"`join`: set 0 has {what} {a}, set {k} has {b}. Bring them to one grid with `resample` or "
                    "`stride`, to the same frames with `times` and to the same channels with `select`."
                )
        pairs = [*zip(first.coordinates, other.coordinates, strict=True)]
        pairs += [] if first.ts is None or other.ts is None else [(first.ts, other.ts)]
        if (first.ts is None) != (other.ts is None) or not all(np.allclose(a, b, rtol=1e-5) for a, b in pairs):
            raise ValueError(f"`join`: set {k} has other coordinates or times than set 0.")
    stored = [d.values for d in datasets if isinstance(d.values, StoredValues)]
    if len(stored) == len(datasets):
        values: Any = _joined(stored)
    else:
        values = np.concatenate([np.asarray(d.values) for d in datasets])
    numbers = [np.asarray(d.parameters) for d in datasets if d.parameters is not None]
    parameters = floats("parameters", np.concatenate(numbers)) if numbers else None
    return first._with(values=values, parameters=parameters)


def _joined(parts: Sequence[StoredValues]) -> StoredValues:
    first = parts[0]
    same = ("times", "channels", "points", "space")
    if any(getattr(p, name) != getattr(first, name) for p in parts for name in same):
        raise ValueError(
            "`join`: sets in files must be cut to the same frames, channels and points before; `load` them."
        )
    sizes = [sum(n for _, _, n in p.files) for p in parts]
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    examples = np.concatenate([p.examples + o for p, o in zip(parts, offsets, strict=True)])
    files = tuple(file for p in parts for file in p.files)
    return first.select(files=files, examples=examples, dtype=np.result_type(*(p.dtype for p in parts)))
