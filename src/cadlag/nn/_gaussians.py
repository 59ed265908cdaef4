"""Gaussian bumps with trainable centres and widths as features of a point: a mesh that moves while it learns.

    φ_c(z) = Σ_i w_ci exp(-½ |L_ciᵀ (z - μ_ci)|²),   z the point with its box mapped onto [-1, 1],   L = R diag(1/σ)

Kang, Oh, Hong, Park, PIG: Physics-informed Gaussians as adaptive parametric mesh representations (ICLR 2025).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.fields import Box
from cadlag.nn._coordinates import AbstractEncoder

NARROWEST = 1e-3
"""Least width, in half lengths of the box: widths may change sign on their way, and zero is a singularity."""


class GaussianFeatures(AbstractEncoder):
    """Sums of Gaussian bumps; derivatives of every order are the bumps times polynomials, so they are cheap.

    **Arguments:**

    - `box`: where the points lie; inside it is mapped onto [-1, 1] in every axis.
    - `features`: how many sums (k).
    - `count`: Gaussians in each sum (N).
    - `width`: σ at first, in half lengths of the box.
    - `shared`: False gives every sum Gaussians of its own, as the released code does, k N of them; True shares N
      Gaussians among the sums, as the paper's text says, and costs a k-th.
    - `rotated`: full covariances, turned by a pair of numbers in 2-D and by a quaternion in 3-D.
    - `moving`: False freezes centres, widths and rotations, so that only weights are learnt.
    - `key`: for centres, uniform in the box, and weights, N(0, 0.01²).
    """

    box: Box
    centres: Float[Array, "sums count d"]
    widths: Float[Array, "sums count d"]
    turns: Float[Array, "sums count q"] | None
    weights: Float[Array, "features count"]
    moving: bool = eqx.field(static=True)

    def __init__(
        self,
        box: Box,
        *,
        features: int = 4,
        count: int = 200,
        width: float | int = 0.1,
        shared: bool = False,
        rotated: bool = False,
        moving: bool = True,
        key: PRNGKeyArray,
    ):
        if features < 1 or count < 1 or not width > 0:
            raise ValueError(
                f"GaussianFeatures: features={features}, count={count}, width={width}; expected all positive."
            )
        d = box.dimension
        if rotated and d not in (2, 3):
            raise ValueError(f"GaussianFeatures: rotated=True in {d} dimension(s); it is for 2 and 3.")
        first, second = jr.split(key)
        sums = 1 if shared else features
        self.box, self.moving = box, moving
        self.centres = jr.uniform(first, (sums, count, d), minval=-1, maxval=1)
        self.widths = jnp.full((sums, count, d), float(width), self.centres.dtype)
        self.weights = 0.01 * jr.normal(second, (features, count))
        identity = jnp.zeros(2 if d == 2 else 4).at[0].set(1)
        self.turns = jnp.broadcast_to(identity, (sums, count, len(identity))) if rotated else None

    @property
    def size(self) -> int:
        """k."""
        return self.weights.shape[0]

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, " features"]:
        """The sums at one point."""
        return jnp.sum(self.weights * jnp.exp(-0.5 * self._squares(self.box.to_unit(point))), axis=1)

    def _squares(self, z: Float[Array, " d"]) -> Float[Array, "sums count"]:
        """|Lᵀ (z - μ)|², axis by axis: a derivative along one axis then leaves the others alone."""
        centres, widths, turns = self.centres, self.widths, self.turns
        if not self.moving:
            centres, widths, turns = jax.lax.stop_gradient((centres, widths, turns))
        inverse = 1 / jnp.maximum(jnp.abs(widths), NARROWEST)
        offsets = [z[j] - centres[..., j] for j in range(z.shape[0])]
        if turns is not None:
            R = _rotation(turns)
            offsets = [
                sum((R[..., j, i] * o for j, o in enumerate(offsets[1:], 1)), R[..., 0, i] * offsets[0])
                for i in range(z.shape[0])
            ]
        squares = [jnp.square(o * inverse[..., i]) for i, o in enumerate(offsets)]
        return sum(squares[1:], squares[0])


def _rotation(turns: Float[Array, "*batch q"]) -> Float[Array, "*batch d d"]:
    """The rotation of a pair (cosine, sine) or of a quaternion (w, x, y, z), of any length but zero."""
    unit = turns / jnp.sqrt(jnp.sum(jnp.square(turns), axis=-1, keepdims=True))
    if unit.shape[-1] == 2:
        c, s = unit[..., 0], unit[..., 1]
        rows = [[c, -s], [s, c]]
    else:
        w, x, y, z = (unit[..., i] for i in range(4))
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
