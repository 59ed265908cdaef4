"""Recurrent baselines: a GRU that sees values, masks and gaps, and GRU-D (Che et al., Scientific Reports 2018)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.paths import fill_forward
from cadlag.series._model import AbstractSeriesModel, InitialState, valid_rows


class GRU(AbstractSeriesModel):
    """A gated recurrent unit on (value or 0, observed?, time since the last row) at each row.

    **Arguments:** as for `StableSDE`; `depth` and `steps` do not apply. Values should be standardised, so that 0 is
    the mean.
    """

    initial: InitialState
    cell: eqx.nn.GRUCell
    hidden_size: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True, default=False)
    blind: bool = eqx.field(static=True, default=False)

    def __init__(self, channels: int, *, hidden_size: int = 32, static_size: int = 0, key: PRNGKeyArray):
        k1, k2 = jr.split(key)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        self.cell = eqx.nn.GRUCell(2 * channels + 1, hidden_size, key=k2)
        self.hidden_size, self.stochastic, self.blind = hidden_size, False, False

    def __call__(
        self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False
    ) -> Float[Array, "..."]:
        """States after each row, or after the last."""
        values = jnp.asarray(series.values)
        mask = jnp.asarray(series.mask)
        values = jnp.where(mask, values, jnp.zeros_like(values))
        inputs = jnp.concatenate([values, mask.astype(values.dtype), _gaps(series)[:, None]], axis=1)
        h0 = self.initial(jnp.concatenate([series.times[:1], values[0]]), series.static)
        return _scan(lambda h, x: self.cell(x, h), h0, inputs, series, final)


class GRUD(AbstractSeriesModel):
    """GRU-D: a missing value decays from its last observation to the mean, the state decays over gaps.

    x^ = m x + (1 - m)(γ_x x_last + (1 - γ_x) mean), h^ = γ_h h, γ = exp(-relu(w δ + b)), δ the time since a channel
    was last observed. Values should be standardised, so that the mean is 0. Arguments as for `GRU`.
    """

    initial: InitialState
    cell: eqx.nn.GRUCell
    value_decay: Float[Array, "2 channels"]
    state_decay: eqx.nn.Linear
    hidden_size: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True, default=False)
    blind: bool = eqx.field(static=True, default=False)

    def __init__(self, channels: int, *, hidden_size: int = 32, static_size: int = 0, key: PRNGKeyArray):
        k1, k2, k3 = jr.split(key, 3)
        self.initial = InitialState(channels, hidden_size, static_size=static_size, key=k1)
        self.cell = eqx.nn.GRUCell(2 * channels, hidden_size, key=k2)
        self.value_decay = jnp.zeros((2, channels))
        self.state_decay = eqx.nn.Linear(channels, hidden_size, key=k3)
        self.hidden_size, self.stochastic, self.blind = hidden_size, False, False

    def __call__(
        self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False
    ) -> Float[Array, "..."]:
        """States after each row, or after the last."""
        mask = jnp.asarray(series.mask)
        values, gaps = jnp.asarray(series.values), _gaps(series)
        held = fill_forward(values, mask)
        since = _since_observed(mask, gaps)
        weight, bias = self.value_decay
        decay = jnp.exp(-jax.nn.relu(since * weight[None] + bias[None]))
        filled = jnp.where(mask, values, decay * held)
        rates = jnp.exp(-jax.nn.relu(jax.vmap(self.state_decay)(since)))
        inputs = jnp.concatenate([filled, mask.astype(values.dtype)], axis=1)
        h0 = self.initial(jnp.concatenate([series.times[:1], filled[0]]), series.static)
        return _scan(lambda h, x: self.cell(x[0], x[1] * h), h0, (inputs, rates), series, final)


def _gaps(series: IrregularSeries) -> Float[Array, " time"]:
    times = jnp.asarray(series.times)
    return jnp.diff(times, prepend=times[:1])


def _since_observed(mask: Array, gaps: Array) -> Array:
    """Time since each channel was last observed, before each row's own observation; shape (time, channels)."""

    def row(since: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        seen_before, gap = inputs
        since = gap + jnp.where(seen_before, jnp.zeros_like(since), since)
        return since, since

    before = jnp.concatenate([jnp.zeros_like(mask[:1]), mask[:-1]])
    return jax.lax.scan(row, jnp.zeros(mask.shape[1], gaps.dtype), (before, gaps))[1]


def _scan(cell: Callable, h0: Array, inputs: object, series: IrregularSeries, final: bool) -> Array:
    """Run a cell over the rows; padded rows leave the state as it is."""

    def row(h: Array, x: tuple) -> tuple[Array, Array | None]:
        inner, valid = x
        h = jnp.where(valid, cell(h, inner), h)
        return h, (None if final else h)

    h, states = jax.lax.scan(row, h0, (inputs, valid_rows(series)))
    return h if states is None else states
