"""Fractional Brownian motion: covariances against integrals, paths against covariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from cadlag.paths import FractionalBrownianMotion, FractionalKind

HURSTS = (0.1, 0.3, 0.5, 0.7, 0.9)
TIMES = np.array([0.0, 0.3, 0.5, 0.9, 1.0, 2.0])
CAUSAL = FractionalKind.causal


def type_two(s, t, h):
    """1/Γ(α)² ∫_0^s (t-u)^{α-1} (s-u)^{α-1} du, by Gauss's function of SciPy."""
    s, t, a = min(s, t), max(s, t), h + 0.5
    return 0.0 if s == 0 else s**a * t ** (a - 1) / a * special.hyp2f1(1 - a, 1, 1 + a, s / t) / special.gamma(a) ** 2


@pytest.mark.parametrize("h", HURSTS)
def test_covariance_of_type_two_is_its_integral(h):
    found = FractionalBrownianMotion(h, kind=CAUSAL, unit=False).covariance(jnp.asarray(TIMES))
    wanted = np.array([[type_two(s, t, h) for s in TIMES] for t in TIMES])
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)
    by_hand = integrate.quad(lambda u: ((0.9 - u) * (0.5 - u)) ** (h - 0.5), 0, 0.5)[0] / special.gamma(h + 0.5) ** 2
    np.testing.assert_allclose(found[3, 2], by_hand, rtol=1e-7)


@pytest.mark.parametrize(("h", "v"), [(0.1, 3.524), (0.3, 1.383), (0.5, 1), (0.7, 0.995), (0.9, 1.930)])
def test_type_one_has_the_constant_of_its_integral(h, v):
    t = jnp.array([0.5, 2.0])
    found = FractionalBrownianMotion(h, unit=False).variance(t)
    np.testing.assert_allclose(found, v * np.asarray(t) ** (2 * h), rtol=1e-3)  # v to three digits
    np.testing.assert_allclose(FractionalBrownianMotion(h).variance(t), np.asarray(t) ** (2 * h), rtol=1e-12)


@pytest.mark.parametrize(("kind", "wanted"), [
    (FractionalKind.stationary, (0.6236, 0.5025, 0.3427, 0.1319)), (CAUSAL, (0.8338, 0.5025, 0.3323, 0.2273)),
])  # fmt: skip
def test_variance_in_the_middle_of_a_bridge(kind, wanted):
    def middle(h):
        k = FractionalBrownianMotion(h, kind=kind, unit=kind is not CAUSAL).covariance(jnp.array([1.0, 2.0]))
        return k[0, 0] - k[0, 1] ** 2 / (k[1, 1] + 0.01)

    np.testing.assert_allclose([middle(h) for h in (0.3, 0.5, 0.7, 0.9)], wanted, atol=6e-5)  # four digits


@pytest.mark.parametrize("h", [0.2, 0.8])
def test_paths_have_the_covariance(h):
    keys = jax.random.split(jax.random.key(0), 20_000)
    one, two = FractionalBrownianMotion(h), FractionalBrownianMotion(h, kind=CAUSAL)
    times = jnp.linspace(0.0, 4.0, 9)
    for law, draw in (
        (one, lambda k: one.sample_grid(8, 0.5, key=k)),
        (two, lambda k: two.sample(times, key=k)),
    ):
        paths = np.asarray(jax.jit(jax.vmap(draw))(keys))
        assert np.all(paths[:, 0] == 0)
        cov = np.asarray(law.covariance(times))
        # Each entry's own standard error under a Gaussian law.
        error = np.sqrt((cov**2 + np.outer(np.diag(cov), np.diag(cov))) / len(paths))
        assert np.all(np.abs(paths.T @ paths / len(paths) - cov) <= 4.5 * error)


def test_long_paths_of_a_single_precision_program_are_finite():
    law = FractionalBrownianMotion(jnp.float32(0.7))
    path = law.sample_grid(2**14, jnp.float32(1 / 2**14), key=jax.random.key(1))
    assert path.dtype == jnp.float32
    assert np.all(np.isfinite(path))
    # The quadratic variation that H > 1/2 makes vanish: n · n^{-2H}.
    np.testing.assert_allclose(jnp.sum(jnp.diff(path) ** 2), 2.0 ** (14 * -0.4), rtol=0.1)


def test_the_law_is_differentiable_in_h_at_and_around_one_half():
    for h in (0.3, 0.5, 0.7):
        value = lambda h, kind: jnp.sum(FractionalBrownianMotion(h, kind=kind).covariance(jnp.asarray(TIMES)))
        for kind in FractionalKind:
            slope = jax.grad(value)(jnp.asarray(h), kind)
            differences = (value(jnp.asarray(h + 1e-5), kind) - value(jnp.asarray(h - 1e-5), kind)) / 2e-5
            np.testing.assert_allclose(slope, differences, rtol=1e-7)


def test_bad_input_gets_advice():
    with pytest.raises(ValueError, match=r"hurst=1.0 must lie strictly between 0 and 1.*sigmoid"):
        FractionalBrownianMotion(1.0)
    with pytest.raises(ValueError, match="type II has not"):
        FractionalBrownianMotion(0.7, kind=CAUSAL).sample_grid(8, 0.5, key=jax.random.key(0))
    with pytest.raises(ValueError, match="steps=0"):
        FractionalBrownianMotion(0.7).sample_grid(0, 0.5, key=jax.random.key(0))
