"""Physics-informed Gaussians: the solution is a small network of sums of Gaussian bumps that move.

    u(x) = head(φ_1(x), …, φ_k(x)),   φ_c(x) = Σ_i w_ci exp(-½ |L_ciᵀ (x - μ_ci)|²)

Centres, widths and weights are trained like any network's, on the loss of a physics-informed network; where the
solution is rough the bumps gather and narrow. Kang, Oh, Hong, Park (ICLR 2025, arXiv 2412.05994).

    EquationSolver(Helmholtz(...), PINN(gaussians)).solve()
"""

from functools import partial

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.fields import Box
from cadlag.nn import MLP, CoordinateNetwork, GaussianFeatures, glorot_linear


def gaussians(
    domain: Box,
    components: int = 1,
    *,
    count: int = 200,
    features: int = 4,
    width: float | int = 0.1,
    head: int | None = 16,
    shared: bool = False,
    rotated: bool = False,
    moving: bool = True,
    scale: float | int = 1.0,
    shift: float | int = 0.0,
    key: PRNGKeyArray,
) -> CoordinateNetwork:
    """Gaussians and a head: a setting `network` of `PINN`. Time is a coordinate like any other.

    **Arguments:**

    - `domain`, `components`: where u lives and how many components it has.
    - `count`, `features`, `width`, `shared`, `rotated`, `moving`: of `cadlag.nn.GaussianFeatures`.
    - `head`: width of the one hidden tanh layer behind the sums; None: no head, the sums are the components.
    - `scale`, `shift`: expected magnitude and level of u.

    Of a plain problem in d dimensions it has features count (2 d + 1) weights, and the head's.
    """
    first, second = jr.split(key)
    make = partial(GaussianFeatures, count=count, width=width, shared=shared, rotated=rotated, moving=moving)
    encoder = make(domain, features=components if head is None else features, key=first)
    if head is None:
        return CoordinateNetwork(encoder, _same, components, scale=scale, shift=shift)
    body = MLP(features, components, head, 1, activation=jnp.tanh, layer=glorot_linear, key=second)
    return CoordinateNetwork(encoder, body, components, scale=scale, shift=shift)


def _same(features: Float[Array, " k"]) -> Float[Array, " k"]:
    return features
