"""Multigrid neural operators (He, Liu and Xu, ICLR 2024).

    h_{l+1} = σ(W_l h_l + B_l h_l + b_l),    out = Q h_L

A multilayer perceptron whose scalars are functions: W_l is a multigrid V-cycle, the form of an approximate inverse of
an elliptic operator, B_l acts at each point. No lifting, no projection; boundary conditions enter by the padding.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.nn import Boundary, Conv, VCycle
from cadlag.operators._network import AbstractNetwork, Conditions, Told, check_settings


class _Layer(eqx.Module):
    cycle: VCycle
    local: Conv
    told: Told

    def __call__(self, h: Array, e: Array | None) -> Array:
        return self.told(self.cycle(h) + self.local(h), e)


class MgNO(AbstractNetwork):
    """The multigrid neural operator: few parameters, any grid, boundary conditions by padding.

    With `residual=False`, as the released code has it, the published counts: 572,661 parameters from and to one
    channel by default, 738,573 with five layers.

    **Arguments:**

    - `channels`, `out_channels`: of input and output.
    - `width`: channels of the hidden layers; `layers`: how many.
    - `sweeps`: (on the way down, on the way up) of each level of the V-cycles, the finest first.
    - `residual`: what a V-cycle hands to its coarser grid, see `cadlag.nn.VCycle`.
    - `spatial_axes`, `conditions`: axes of space; length of the vector `cond`, which every layer is told.
    - `boundary`: zero for homogeneous Dirichlet conditions, circular for periodic fields, reflect for Neumann.
    - `activation`: σ.
    - `key`: for the initial weights.
    """

    channels: int = eqx.field(static=True)
    out_channels: int = eqx.field(static=True)
    spatial_axes: int = eqx.field(static=True)
    conditions: int = eqx.field(static=True)
    activation: Callable = eqx.field(static=True)
    condition: Conditions
    layers: tuple[_Layer, ...]
    project: Conv

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        width: int = 24,
        layers: int = 4,
        sweeps: Sequence[tuple[int, int]] = ((1, 0), (1, 0), (1, 0), (1, 0), (1, 0), (2, 0)),
        residual: bool = True,
        spatial_axes: int = 2,
        conditions: int = 0,
        boundary: Boundary = Boundary.zero,
        activation: Callable = jax.nn.gelu,
        key: PRNGKeyArray,
    ):
        check_settings("MgNO", channels=(channels, 1), out_channels=(out_channels, 1), width=(width, 1),
                       layers=(layers, 1), conditions=(conditions, 0), spatial_axes=(spatial_axes, 1))  # fmt: skip
        self.channels, self.out_channels = channels, out_channels
        self.spatial_axes, self.conditions, self.activation = spatial_axes, conditions, activation
        keys = iter(jr.split(key, 2 + 3 * layers))
        self.layers = tuple(
            _Layer(
                VCycle(m, width, sweeps=sweeps, residual=residual, spatial_axes=spatial_axes, boundary=boundary,
                       key=next(keys)),
                Conv(m, width, 1, spatial_axes=spatial_axes, key=next(keys)),
                Told(conditions, width, width, key=next(keys)),
            )
            for m in [channels] + [width] * (layers - 1)
        )  # fmt: skip
        self.project = Conv(width, out_channels, 1, spatial_axes=spatial_axes, bias=False, key=next(keys))
        self.condition = Conditions(conditions, width, key=next(keys))

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError` for a grid whose coarsest level is too small to be mirrored."""
        self.layers[0].cycle.check_size(size)

    def transform(self, x: Array, cond: Any, key: PRNGKeyArray | None) -> Array:
        """(*space, out_channels) from (*space, channels)."""
        del key
        e = self.condition(cond)
        for layer in self.layers:
            x = self.activation(layer(x, e))
        return self.project(x)
