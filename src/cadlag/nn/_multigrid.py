"""The multigrid V-cycle as a layer, channels last (He, Liu and Xu, ICLR 2024, algorithm 1).

    down:  u ← u + S (f - A u), as often as asked;   f' = R (f - A u),  u' = Π u   on every second point
    up:    u ← u + P u';   u ← u + S (f - A u), as often as asked

S, A, R, Π, P are small convolutions of their own at every level and sweep. Without bias the map from f to u is
linear. It has the form of an approximate inverse of an elliptic operator, at O(N) cost.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._conv import Boundary, Conv, ConvTranspose


class Sweep(eqx.Module):
    """u ← u + S (f - A u); without A, S f: the first sweep, from u = 0."""

    smooth: Conv
    apply: Conv | None

    def __call__(self, u: Array | None, f: Array) -> Array:
        """The next u."""
        if self.apply is None or u is None:
            return self.smooth(f)
        return u + self.smooth(f - self.apply(u))


class Prolong(eqx.Module):
    """The transpose of a convolution of kernel 4 and stride 2, to a grid of n = 2 m or 2 m - 1 points.

    Beyond the edge of the coarse grid it sees what the boundary says, so that a circular one commutes with shifts.
    """

    transposed: ConvTranspose
    boundary: Boundary = eqx.field(static=True)

    def __init__(self, channels: int, *, spatial_axes: int, boundary: Boundary, key: PRNGKeyArray):
        # One coarse point more on each side is two fine ones.
        padding = ((1, 2) if boundary is Boundary.zero else (3, 4),) * spatial_axes
        self.transposed = ConvTranspose(
            channels, channels, 4, spatial_axes=spatial_axes, stride=2, padding=padding, bias=False, key=key
        )
        self.boundary = boundary

    def __call__(self, u: Array, size: tuple[int, ...]) -> Array:
        """u on the finer grid."""
        if self.boundary is not Boundary.zero:
            u = jnp.pad(u, ((1, 1),) * len(size) + ((0, 0),), mode=self.boundary.value)
        return self.transposed(u, size=size)


class Level(eqx.Module):
    """What a V-cycle has on one grid; the transfers are None on the coarsest."""

    before: tuple[Sweep, ...]
    after: tuple[Sweep, ...]
    apply: Conv | None
    restrict: Conv | None
    inject: Conv | None
    prolong: Prolong | None


class VCycle(eqx.Module):
    """u (*space, channels) from f (*space, in_channels), linear in f if there is no bias.

    Level l has ceil(n / 2^l) points on each axis, so that any grid will do, and the same weights act on all of them.

    **Arguments:**

    - `in_channels`: of f; `channels`: of u.
    - `sweeps`: for each level, the finest first, how many sweeps on the way down and on the way up. The first level
        has one on the way down at least.
    - `residual`: hand f - A u to the coarser grid, as the paper and classical multigrid do, or f, as the released
        code does (an additive cycle, in the manner of Bramble, Pasciak and Xu). The same weights give other numbers.
    - `bias`: of S and A.
    - `spatial_axes`: 1, 2 or 3; `boundary`: what every convolution sees beyond the edge: zero for homogeneous
        Dirichlet conditions, circular for periodic ones, reflect for Neumann.
    - `key`: for the initial weights.
    """

    levels: tuple[Level, ...]
    residual: bool = eqx.field(static=True)
    boundary: Boundary = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        sweeps: Sequence[tuple[int, int]] = ((1, 0), (1, 0), (1, 0), (1, 0), (1, 0), (2, 0)),
        residual: bool = True,
        bias: bool = False,
        spatial_axes: int = 2,
        boundary: Boundary = Boundary.zero,
        key: PRNGKeyArray,
    ):
        check_sweeps(sweeps)
        keys = iter(jr.split(key, sum(2 * sum(pair) + 4 for pair in sweeps)))

        def conv(m: int, n: int, stride: int = 1, bias: bool = bias) -> Conv:
            return Conv(m, n, 3, spatial_axes=spatial_axes, stride=stride, padding=((1, 1),) * spatial_axes,
                        boundary=boundary, bias=bias, key=next(keys))  # fmt: skip

        def prolong() -> Prolong:
            return Prolong(channels, spatial_axes=spatial_axes, boundary=boundary, key=next(keys))

        def level(index: int, before: int, after: int) -> Level:
            last = index == len(sweeps) - 1
            sweep = lambda first: Sweep(conv(in_channels, channels), None if first else conv(channels, in_channels))  # noqa: E731
            return Level(
                before=tuple(sweep(index == 0 and i == 0) for i in range(before)),
                after=tuple(sweep(False) for _ in range(after)),
                apply=None if last or not residual else conv(channels, in_channels),
                restrict=None if last else conv(in_channels, in_channels, 2, bias=False),
                inject=None if last else conv(channels, channels, 2, bias=False),
                prolong=None if last else prolong(),
            )

        self.levels = tuple(level(i, before, after) for i, (before, after) in enumerate(sweeps))
        self.residual, self.boundary = residual, boundary

    def check_size(self, size: tuple[int, ...]) -> None:
        """Raise `ValueError` for a grid whose coarsest level is too small to be mirrored."""
        coarsest = tuple(-(-n // 2 ** (len(self.levels) - 1)) for n in size)
        least = 2 if self.boundary is Boundary.reflect else 1
        if min(coarsest) < least:
            raise ValueError(
                f"u: got spatial size {size}, whose coarsest of {len(self.levels)} levels is {coarsest}; "
                f"{self.boundary} needs {least} points there. Use fewer levels or a finer grid."
            )

    def __call__(self, f: Float[Array, "*space in"]) -> Float[Array, "*space channels"]:
        """u."""
        self.check_size(f.shape[:-1])
        return self._cycle(0, None, f)

    def _cycle(self, index: int, u: Array | None, f: Array) -> Array:
        level = self.levels[index]
        for sweep in level.before:
            u = sweep(u, f)
        assert u is not None
        if level.restrict is not None and level.inject is not None and level.prolong is not None:
            rest = f if level.apply is None else f - level.apply(u)
            below = self._cycle(index + 1, level.inject(u), level.restrict(rest))
            u = u + level.prolong(below, f.shape[:-1])
        for sweep in level.after:
            u = sweep(u, f)
        return u


def check_sweeps(sweeps: Sequence[tuple[int, int]]) -> None:
    """Refuse plans of sweeps that are no plans."""
    pairs = [tuple(pair) for pair in sweeps]
    if not pairs or any(len(pair) != 2 or min(pair) < 0 for pair in pairs) or pairs[0][0] < 1:
        raise ValueError(
            f"sweeps={sweeps} of a V-cycle: expected a pair (on the way down, on the way up) for each level, the first "
            "with at least one on the way down, such as ((1, 0), (1, 0), (2, 0))."
        )
