"""Scaling of channels, and an operator that is used in the data's units though it works in scaled ones."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.operators._operator import AbstractOperator


class Scaling(eqx.Module):
    """z = (x - mean) / sd for each channel. No training changes it.

    **Arguments:** `mean`, `sd`: shape (channels, 1, …, 1), with an axis for each of space.
    """

    mean: Float[Array, "channels ..."]
    sd: Float[Array, "channels ..."]

    @classmethod
    def fit(cls, values: np.ndarray, *, spatial_axes: int, dtype: Any = None) -> "Scaling":
        """Mean and deviation of each channel of (example, …, channel, *space), summed in float64.

        A channel that is constant is only shifted.
        """
        place = values.ndim - 1 - spatial_axes
        rows = np.moveaxis(values, place, 0).reshape(values.shape[place], -1)
        mean = rows.mean(axis=1, dtype=np.float64)
        sd = np.array([row.std(dtype=np.float64) for row in rows])
        # A constant's deviation is not zero but a rounding of its mean.
        sd = np.where(sd > 8 * np.finfo(values.dtype).eps * abs(mean), sd, 1.0)
        shape = (-1,) + (1,) * spatial_axes
        return cls(*(jnp.asarray(a.reshape(shape), dtype or values.dtype) for a in (mean, sd)))

    def normalise(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """Scaled; x has the shape (…, channels, *space)."""
        mean, sd = self._laid(x)
        return (x - mean) / sd

    def denormalise(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """Back in the data's units."""
        mean, sd = self._laid(z)
        return z * sd + mean

    def _laid(self, x: Array) -> tuple[Array, Array]:
        ones = (1,) * (x.ndim - self.mean.ndim)
        mean, sd = (jax.lax.stop_gradient(a).astype(x.dtype) for a in (self.mean, self.sd))
        return mean.reshape(ones + mean.shape), sd.reshape(ones + sd.shape)


class Normalised(AbstractOperator):
    """An operator on scaled fields, used in the data's units: in training, prediction and roll-out alike.

    **Arguments:** `operator`, on scaled fields; `inputs`, `outputs`: of its channels in and out; `parameters`: of its
    conditions, None where they are taken as they are.
    """

    operator: AbstractOperator
    inputs: Scaling
    outputs: Scaling
    parameters: Scaling | None
    history: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True)

    def __init__(
        self, operator: AbstractOperator, inputs: Scaling, outputs: Scaling, parameters: Scaling | None = None
    ) -> None:
        sizes = (inputs.mean.shape[0], outputs.mean.shape[0])
        if sizes != (operator.channels, operator.out_channels):
            raise ValueError(
                f"Normalised: scalings of {sizes} channels in and out, but the operator has "
                f"{(operator.channels, operator.out_channels)}."
            )
        self.operator, self.inputs, self.outputs, self.parameters = operator, inputs, outputs, parameters
        self.history, self.horizon, self.spatial_axes = operator.history, operator.horizon, operator.spatial_axes
        self.channels, self.out_channels = operator.channels, operator.out_channels
        self.conditions, self.stochastic = operator.conditions, operator.stochastic

    def __call__(
        self,
        u: Float[Array, "history channels *space"],
        *,
        cond: Float[Array, " conditions"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "horizon out_channels *space"]:
        """The frames that follow, in the data's units."""
        if cond is not None and self.parameters is not None:
            cond = self.parameters.normalise(cond)
        y = self.operator(self.inputs.normalise(u), cond=cond, key=key)
        return self.outputs.denormalise(y)
