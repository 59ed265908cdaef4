"""An operator that is used in the data's units though it works on scaled fields."""

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.data import FieldNormaliser
from cadlag.operators._operator import AbstractOperator


class Normalised(AbstractOperator):
    """An operator on scaled fields, used in the data's units: in training, prediction and roll-out alike.

    **Arguments:** `operator`, on scaled fields; `inputs`, `outputs`: of its channels in and out; `parameters`: of its
    conditions, None where they are taken as they are.
    """

    operator: AbstractOperator
    inputs: FieldNormaliser
    outputs: FieldNormaliser
    parameters: FieldNormaliser | None
    history: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    stochastic: bool = eqx.field(static=True)

    def __init__(
        self,
        operator: AbstractOperator,
        inputs: FieldNormaliser,
        outputs: FieldNormaliser,
        parameters: FieldNormaliser | None = None,
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
