"""Deep linear state-space layers (Gu, Johnson, Goel, Saab, Dao, Rudra and Ré, NeurIPS 2021).

Each block runs a linear system for every feature, x' = A x + B u, y = C x + D u, with A and B that make x remember the
past (HiPPO), then GELU and a map that mixes the features, with a skip around both and a layer norm. On evenly spaced
rows all is a convolution, O(L log L) and without a loop over time; on uneven ones a recurrence whose step is the gap.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import IrregularSeries
from cadlag.nn import AbstractMemory, LegS, StateSpace
from cadlag.series._model import AbstractSeriesModel, valid_rows

_LEGS = LegS()


class StateSpaceBlock(eqx.Module):
    """norm(u + dropout(mix(gelu(ssm(u))))) on (time, features)."""

    ssm: StateSpace
    mix: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    dropout: float = eqx.field(static=True)

    def __call__(self, u: Float[Array, "L H"], gaps: Any, scale: float, *, key: Any = None) -> Float[Array, "L H"]:
        """The next features; dropout only where a key is given. `gaps`: see `StateSpace.scan`; None: a convolution."""
        y = self.ssm(u, scale=scale) if gaps is None else self.ssm.scan(u, gaps=scale * gaps)[0]
        y = jax.vmap(self.mix)(jax.nn.gelu(y.reshape(len(u), -1)))
        if key is not None and self.dropout > 0:
            kept = jr.bernoulli(key, 1 - self.dropout, y.shape)
            y = jnp.where(kept, y / (1 - self.dropout), jnp.zeros_like(y))
        return jax.vmap(self.norm)(u + y)


class LSSL(AbstractSeriesModel):
    """A stack of linear state-space layers on (value or 0, observed?) at each row.

    **Arguments:**

    - `channels`, `static_size`: of the series; `hidden_size`: features H; `order`: N of each one's system; `depth`.
    - `memory`, `learn`, `steps`, `outputs`: see `StateSpace`. `learn=False` is the paper's LSSL-f.
    - `gap`: None where rows are evenly spaced: then a step is a row whatever its time stamp, and the layer a
      convolution. Else the rows' usual distance, in the times that the model sees, and each gap is its own step.
    - `pool`: whether the state at a row is the mean of the features so far, as classifiers want it, or their value.
    - `scale`: multiplies all steps: 2 for data with half the samples a unit of time. See `resampled`.
    - `dropout`: of each block, in training.

    **Raises:** ValueError for settings out of range.
    """

    encode: eqx.nn.Linear
    blocks: list[StateSpaceBlock]
    hidden_size: int = eqx.field(static=True)
    gap: float | None = eqx.field(static=True)
    scale: float  # a leaf that no optimiser moves
    pool: bool = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True, default=False)
    blind: bool = eqx.field(static=True, default=False)

    def __init__(
        self,
        channels: int,
        *,
        static_size: int = 0,
        hidden_size: int = 64,
        order: int = 64,
        depth: int = 2,
        memory: AbstractMemory = _LEGS,
        learn: bool = True,
        steps: tuple[float, float] = (1e-3, 1e-1),
        outputs: int = 1,
        gap: float | None = None,
        pool: bool = True,
        scale: float = 1.0,
        dropout: float = 0.0,
        key: PRNGKeyArray,
    ):
        if depth < 1 or not 0 <= dropout < 1 or not scale > 0 or not (gap is None or gap > 0):
            raise ValueError(f"depth={depth}, dropout={dropout}, scale={scale}, gap={gap} of LSSL are out of range.")
        keys = jr.split(key, depth + 1)
        self.encode = eqx.nn.Linear(2 * channels + static_size, hidden_size, key=keys[0])

        def block(key: PRNGKeyArray) -> StateSpaceBlock:
            k1, k2 = jr.split(key)
            ssm = StateSpace(hidden_size, order, outputs=outputs, memory=memory, learn=learn, steps=steps, key=k1)
            mix = eqx.nn.Linear(outputs * hidden_size, hidden_size, key=k2)
            return StateSpaceBlock(ssm, mix, eqx.nn.LayerNorm(hidden_size), float(dropout))

        self.blocks = [block(k) for k in keys[1:]]
        self.hidden_size, self.gap, self.pool, self.scale = hidden_size, gap, pool, float(scale)
        self.stochastic, self.blind = False, False

    def __call__(
        self, series: IrregularSeries, *, key: PRNGKeyArray | None = None, final: bool = False
    ) -> Float[Array, "..."]:
        """States at all rows, or at the last."""
        u = jax.vmap(self.encode)(_inputs(series))
        valid = valid_rows(series)
        gaps = None
        if self.gap is not None:
            times = jnp.asarray(series.times)
            # Before the first row there is no gap: it enters with the usual one. Padding has none.
            first = jnp.where(jnp.arange(len(times)) == 0, jnp.asarray(self.gap, times.dtype), jnp.zeros_like(times))
            gaps = (jnp.diff(times, prepend=times[:1]) + first) / self.gap
        for block in self.blocks:
            u = block(u, gaps, self.scale)
        return _read(u, valid, self.pool, final)


def resampled(model: LSSL, factor: float | int) -> LSSL:
    """The same model for rows that are `factor` times as far apart as those it was trained on; no weight changes.

    **Raises:** ValueError for a factor that is not positive.
    """
    if not factor > 0:
        raise ValueError(f"factor={factor} of resampled: expected a positive number, 2 for every other row.")
    return eqx.tree_at(lambda m: m.scale, model, model.scale * float(factor))


def _inputs(series: IrregularSeries) -> Float[Array, "time inputs"]:
    values, mask = jnp.asarray(series.values), jnp.asarray(series.mask)
    parts = [jnp.where(mask, values, jnp.zeros_like(values)), mask.astype(values.dtype)]
    if series.static is not None:
        static = jnp.asarray(series.static, values.dtype)
        parts.append(jnp.broadcast_to(static[None], (len(values), len(static))))
    return jnp.concatenate(parts, axis=1)


def _read(u: Array, valid: Array, pool: bool, final: bool) -> Array:
    """Means so far, or values, where padded rows repeat the last valid one."""
    weight = valid.astype(u.dtype)[:, None]
    if pool:
        count = jnp.cumsum(weight, axis=0)
        states = jnp.cumsum(u * weight, axis=0) / jnp.maximum(count, jnp.ones_like(count))
    else:
        last = jnp.maximum(jnp.sum(valid) - 1, 0)
        states = u[jnp.minimum(jnp.arange(len(u)), last)]
    return states[-1] if final else states
