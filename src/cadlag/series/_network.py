"""A model of a series with a readout: what the estimators train."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.series._model import AbstractSeriesModel, row_numbers, valid_rows
from cadlag.series._solving import watch
from cadlag.solve import AdaptiveSteps


class Head(eqx.Module):
    """Readout of a state: affine, layer norm, ReLU, dropout, affine; or with `plain` one affine map.

    The released code normalises over the batch here; layer norm does not depend on who else is in the batch.
    """

    hidden: eqx.nn.Linear | None
    norm: eqx.nn.LayerNorm | None
    out: eqx.nn.Linear
    dropout: float = eqx.field(static=True)

    def __init__(
        self, hidden_size: int, out_size: int, *, plain: bool = False, dropout: float = 0.1, key: PRNGKeyArray
    ):
        k1, k2 = jr.split(key)
        self.hidden = None if plain else eqx.nn.Linear(hidden_size, hidden_size, key=k1)
        self.norm = None if plain else eqx.nn.LayerNorm(hidden_size)
        self.out = eqx.nn.Linear(hidden_size, out_size, key=k2)
        self.dropout = 0.0 if plain else dropout

    def __call__(self, z: Float[Array, " hidden"], *, key: PRNGKeyArray | None = None) -> Float[Array, " out"]:
        """Outputs from one state; dropout only where a key is given."""
        if self.hidden is not None and self.norm is not None:
            z = jax.nn.relu(self.norm(self.hidden(z)))
        if key is not None and self.dropout > 0:
            keep = jr.bernoulli(key, 1 - self.dropout, z.shape)
            z = jnp.where(keep, z / (1 - self.dropout), jnp.zeros_like(z))
        return self.out(z)


class Learnt(eqx.Module):
    """Outputs in training; where the solve is watched also its penalty, and whether it failed."""

    values: Float[Array, "..."]
    penalty: Float[Array, "..."] | None = None
    failed: Bool[Array, "..."] | None = None
    skip: bool = eqx.field(static=True, default=False)


class SeriesNetwork(eqx.Module):
    """A model and its readout. `backwards`, where given, is a second model that reads the series from its end.

    `penalty` and `skip` are there in training alone; `last` and `rows` do not look at them.
    """

    model: AbstractSeriesModel
    head: Head
    backwards: AbstractSeriesModel | None = None
    penalty: Any = None
    skip: bool = eqx.field(static=True, default=False)

    @property
    def stochastic(self) -> bool:
        """Whether two keys give two answers."""
        return self.model.stochastic

    def last(self, series: IrregularSeries, *, key: PRNGKeyArray, training: bool = False) -> Float[Array, " out"]:
        """Outputs at the series' last time."""
        k1, k2 = jr.split(key)
        return self.head(self.model(series, key=k1, final=True), key=k2 if training else None)

    def learn_last(self, series: IrregularSeries, *, key: PRNGKeyArray) -> Learnt:
        """`last` in training, and what the solve says."""
        k1, k2 = jr.split(key)
        state, said = self._watched(self.model, series, k1, final=True)
        return Learnt(self.head(state, key=k2), *said, skip=self.skip)

    def learn_rows(self, series: IrregularSeries, *, key: PRNGKeyArray) -> Learnt:
        """`rows` in training, and what the solves say."""
        k1, k2, k3 = jr.split(key, 3)
        states, said = self._watched(self.model, series, k1)
        if self.backwards is not None:
            behind, other = self._watched(self.backwards, reverse_series(series), k3)
            states = jnp.concatenate([states, behind[_reversed_rows(series)]], axis=1)
            if other:
                said = (said[0] + other[0], said[1] | other[1])
        values = jax.vmap(lambda z, k: self.head(z, key=k))(states, jr.split(k2, states.shape[0]))
        return Learnt(values, *said, skip=self.skip)

    def evaluations(self, series: IrregularSeries, *, key: PRNGKeyArray) -> Array:
        """Evaluations of the coefficients in one solve (two, where a second model reads the series backwards)."""
        k1, _ = jr.split(key)
        found = watch(self.model, None, count=True)(series, key=k1, final=True).evaluations
        if self.backwards is not None:
            found += watch(self.backwards, None, count=True)(reverse_series(series), key=key, final=True).evaluations
        return found

    def _watched(
        self, model: AbstractSeriesModel, series: IrregularSeries, key: PRNGKeyArray, final: bool = False
    ) -> tuple[Array, tuple]:
        """States, and the penalty and failure of their solve; nothing of models that cannot fail and are not asked."""
        if self.penalty is None and not isinstance(getattr(model, "steps", None), AdaptiveSteps):
            return model(series, key=key, final=final), ()
        # A model without noise ignores the key, a local penalty does not.
        found = watch(model, self.penalty, key, skip=self.skip)(series, key=key, final=final)
        return found.states, (found.penalty, found.failed)

    def layers_at(self, series: IrregularSeries) -> tuple[Float[Array, " hidden"], Float[Array, " out"]]:
        """State and outputs at the last time, for looking into the network; a stochastic model on one path."""
        state = self.model(series, key=jr.key(0), final=True)
        return state, self.head(state)

    def rows(self, series: IrregularSeries, *, key: PRNGKeyArray, training: bool = False) -> Float[Array, "time out"]:
        """Outputs at every time of the series."""
        k1, k2, k3 = jr.split(key, 3)
        states = self.model(series, key=k1)
        if self.backwards is not None:
            behind = self.backwards(reverse_series(series), key=k3)
            states = jnp.concatenate([states, behind[_reversed_rows(series)]], axis=1)
        if not training:
            return jax.vmap(lambda z: self.head(z))(states)
        return jax.vmap(lambda z, k: self.head(z, key=k))(states, jr.split(k2, states.shape[0]))


def read_rows(network: SeriesNetwork, series: IrregularSeries, key: PRNGKeyArray) -> Float[Array, "time out"]:
    """Outputs at every time of one series under one sample path."""
    return network.rows(series, key=key)


def build_network(
    build: Any,
    series: IrregularSeries,
    out_size: int,
    *,
    key: PRNGKeyArray,
    plain: bool = False,
    dropout: float = 0.1,
    both_ways: bool = False,
) -> SeriesNetwork:
    """A network for a record's channels and static features, from a constructor of models."""
    k1, k2, k3 = jr.split(key, 3)
    channels = series.values.shape[-1]
    static_size = 0 if series.static is None else series.static.shape[-1]
    make = lambda k: build(channels, static_size=static_size, key=k)  # noqa: E731
    model = make(k1)
    if not isinstance(model, AbstractSeriesModel):
        raise TypeError(
            f"model built a {type(model).__name__}; expected a constructor (channels, *, static_size, key) of a series "
            "model, e.g. LNSDE or functools.partial(LNSDE, hidden_size=64)."
        )
    width = model.hidden_size * (2 if both_ways else 1)
    head = Head(width, out_size, plain=plain, dropout=dropout, key=k2)
    return SeriesNetwork(model, head, make(k3) if both_ways else None)


def reverse_series(series: IrregularSeries) -> IrregularSeries:
    """One series run backwards, on the clock -t, its padding still at the end."""
    rows = _reversed_rows(series)
    valid = valid_rows(series)
    times = -jnp.asarray(series.times)[rows]
    parts = (
        jnp.where(valid, times, -jnp.asarray(series.times)[0]),
        jnp.asarray(series.values)[rows],
        jnp.asarray(series.mask)[rows] & valid[:, None],
    )
    return eqx.tree_at(lambda s: (s.times, s.values, s.mask), series, parts)


def _reversed_rows(series: IrregularSeries) -> Array:
    # Its own inverse on valid rows; padding points at itself.
    rows = row_numbers(series)
    return jnp.where(rows < series.lengths, series.lengths - 1 - rows, rows)
