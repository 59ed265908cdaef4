"""Errors by wavenumber: which scales a model has learnt, and which it has not."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cadlag.fields import Box, Grid, GridField, Spectral, energy_spectrum
from cadlag.metrics._fields import two_fields


class ErrorSpectrum(NamedTuple):
    """By shells of the wavenumber, along the last axis: energies of the error and of the truth, for leading indices."""

    wavenumbers: np.ndarray
    error: Float[Array, "..."]
    truth: Float[Array, "..."]


def error_spectrum(
    prediction: Any, truth: Any, *, spatial_axes: int, lengths: float | int | Sequence[float | int] | None = None
) -> ErrorSpectrum:
    """The energy spectra of prediction - truth and of truth, (..., *space) on a periodic grid; see `energy_spectrum`.

    Drawn on one logarithmic picture they show at which wavenumber the error is as large as the field itself (Lippe et
    al., NeurIPS 2023, figure 2).

    **Arguments:** `lengths` of the periods, one or one an axis; None: 2 pi, so that wavenumbers are mode numbers.

    **Raises:** ValueError for other shapes or lengths that are not positive; TypeError for integers, mixed precision.
    """
    prediction, truth = two_fields(prediction, truth, spatial_axes)
    grid = _grid(truth.shape[truth.ndim - spatial_axes :], 2 * np.pi if lengths is None else lengths)
    k, error = energy_spectrum(GridField(grid, prediction - truth, Spectral()))
    return ErrorSpectrum(k, error, energy_spectrum(GridField(grid, truth, Spectral()))[1])


def per_frequency_error(
    prediction: Any, truth: Any, *, spatial_axes: int, lengths: float | int | Sequence[float | int] | None = None
) -> tuple[np.ndarray, Float[Array, "..."]]:
    """Wavenumbers, and the relative L2 error of the modes in each shell: root of error energy over energy.

    1 where the prediction has none of the truth's modes; NaN or inf in shells where the truth has no energy.
    """
    found = error_spectrum(prediction, truth, spatial_axes=spatial_axes, lengths=lengths)
    return found.wavenumbers, jnp.sqrt(found.error / found.truth)


def band_rmse(
    prediction: Any, truth: Any, *, spatial_axes: int, edges: Sequence[int] = (5, 13)
) -> Float[Array, "... bands"]:
    """The root mean square error within bands of the mode number |k|; squares of all bands add up to that of all.

    **Arguments:** `edges`: the first shells of the second band, the third, …; by default the low, middle and high
    frequencies of PDEBench (Takamoto et al., NeurIPS 2022), which divides by the number of modes as well.
    """
    if list(edges) != sorted(set(edges)) or not edges or edges[0] < 1:
        raise ValueError(f"`edges` must be ascending integers from 1 on, but got {tuple(edges)}.")
    energies = error_spectrum(prediction, truth, spatial_axes=spatial_axes).error
    bounds = [0, *(min(e, energies.shape[-1]) for e in edges), energies.shape[-1]]
    sums = [jnp.sum(energies[..., a:b], axis=-1) for a, b in itertools.pairwise(bounds)]
    return jnp.sqrt(2 * jnp.stack(sums, axis=-1))


def _grid(shape: tuple[int, ...], lengths: Any) -> Grid:
    lengths = (lengths,) * len(shape) if np.ndim(lengths) == 0 else tuple(lengths)
    if len(lengths) != len(shape) or min(lengths) <= 0:
        raise ValueError(f"`lengths` must be positive, one or {len(shape)} numbers, but got {lengths}.")
    names = [f"x{i}" for i in range(len(shape))]
    return Grid(Box({n: (0.0, float(h)) for n, h in zip(names, lengths, strict=True)}, periodic=names), shape)
