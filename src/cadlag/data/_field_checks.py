"""Checks on the parts of a `FieldDataset`, with messages that say what came and what was expected."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cadlag.data._checks import floats
from cadlag.data._stored_fields import StoredValues

LAYOUT = "(example, time, channel, *space)"


def names_of(names: Sequence[str] | str | None) -> tuple[str, ...]:
    """One name or several as a tuple."""
    return (names,) if isinstance(names, str) else tuple(str(name) for name in names or ())


def check_values(values: Any) -> Any:
    """Real numbers of rank 4 or more, all axes occupied."""
    if not isinstance(values, StoredValues):
        if isinstance(values, list | tuple):
            shapes = sorted({np.shape(v) for v in values})
            if len(shapes) > 1:
                raise ValueError(
                    f"`values`: the examples have different shapes, {', '.join(map(str, shapes[:4]))}. One set has one "
                    "resolution: make one set of each, and bring them together with `resample` or `stride`."
                )
        values = floats("values", values)
    if values.ndim < 4 or 0 in values.shape:
        raise ValueError(
            f"`values` must have shape {LAYOUT}, none 0, but got {values.shape}. Put in axes of length 1 for what is "
            "missing: `values[:, None]` where there is no time, `values[:, :, None]` for one channel."
        )
    return values


def check_axes(axes: Sequence[str] | str | None, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Different names of the axes of space."""
    if axes is None:
        if len(shape) > 3:
            raise ValueError(f"`axes`: {len(shape)} axes of space need names; expected {LAYOUT}, got space {shape}.")
        return ("x", "y", "z")[: len(shape)]
    return _unique("axes", names_of(axes), len(shape), "axis of space")


def check_channels(channels: Sequence[str] | str | None, count: int) -> tuple[str, ...]:
    """Different names of the channels; u for a single one."""
    if channels is None and count == 1:
        return ("u",)
    if channels is None:
        raise ValueError(f"`channels`: names are missing for {count} channels, such as ('vx', 'vy'); give them.")
    return _unique("channels", names_of(channels), count, "channel")


def _unique(what: str, names: tuple[str, ...], count: int, noun: str) -> tuple[str, ...]:
    if len(names) != count or len(set(names)) < len(names) or not all(names):
        raise ValueError(
            f"`{what}` must be one different name for each {noun}, {count} in all, but got {len(names)}: {names}."
        )
    return names


def check_coordinates(
    coordinates: Sequence[Any] | None, axes: tuple[str, ...], shape: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """Ascending float64 vectors of the right lengths."""
    if coordinates is None:
        return tuple(np.arange(n, dtype=np.float64) for n in shape)
    if len(coordinates) != len(axes):
        raise ValueError(f"`coordinates`: {len(coordinates)} vectors for the axes {axes}; expected one for each.")
    return tuple(
        _ascending(f"coordinates of {name!r}", x, n) for name, x, n in zip(axes, coordinates, shape, strict=True)
    )


def check_ts(ts: Any, frames: int) -> np.ndarray | None:
    """Ascending float64 times, or None for a single frame."""
    if ts is None:
        if frames > 1:
            raise ValueError(
                f"`ts`: the times of the {frames} frames are missing; give them, such as `ts=np.arange({frames})`. If "
                f"the second axis is not time, insert one: expected {LAYOUT}."
            )
        return None
    return _ascending("ts", ts, frames)


def _ascending(what: str, x: Any, n: int) -> np.ndarray:
    x = floats(what, x).astype(np.float64)
    if x.shape != (n,):
        raise ValueError(f"`{what}` must have shape ({n},), but got {x.shape}.")
    if not np.all(np.isfinite(x)) or np.any(np.diff(x) <= 0):
        raise ValueError(f"`{what}` must be finite and ascend strictly, but are {x[0]:g}, …, {x[-1]:g}.")
    return x


def check_parameters(
    parameters: Any, names: Sequence[str] | str | None, n: int
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Known numbers (n, p) with p names."""
    if parameters is None:
        if names:
            raise ValueError(f"`parameter_names` {names_of(names)} are given without `parameters`.")
        return None, ()
    parameters = floats("parameters", parameters)
    if parameters.ndim != 2 or len(parameters) != n:
        raise ValueError(f"`parameters` must have shape ({n}, p), but got {parameters.shape}.")
    if not np.all(np.isfinite(parameters)):
        raise ValueError("`parameters` hold NaN or infinite values; every example needs its own, known.")
    count = parameters.shape[1]
    return parameters, _unique(
        "parameter_names", names_of(names) or tuple(f"p{k}" for k in range(count)), count, "parameter"
    )


def check_pairs(what: str, pairs: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Refuse names that are not there."""
    known = tuple(known)
    unknown = [name for name in pairs if name not in known]
    if unknown:
        raise ValueError(f"`{what}`: {unknown} are not among {', '.join(known)}.")
    return dict(pairs)


def is_uniform(x: np.ndarray) -> bool:
    """Whether points are evenly spaced, to the precision of float32, in which files have them."""
    step = (x[-1] - x[0]) / max(len(x) - 1, 1)
    even = x[0] + step * np.arange(len(x))
    return bool(np.all(np.abs(x - even) <= 1e-3 * abs(step) + 4e-7 * np.max(np.abs(x))))
