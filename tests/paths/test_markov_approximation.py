"""MA-fBM: its normal equations against quadrature, its weights against another program's and their own
optimality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special

from cadlag.paths import BrownianNoise, FractionalKind, MarkovApproximation
from cadlag.paths._markov_equations import normal_equations, scaled_gammaincc

ONE, TWO = FractionalKind.stationary, FractionalKind.causal


def scaled_q(a, z):
    """e^z Q(a, z) = ∫_0^∞ e^{-x} (z + x)^{a-1} dx / Γ(a), by quadrature."""
    return integrate.quad(lambda x: np.exp(-x) * (z + x) ** (a - 1), 0, np.inf, epsabs=1e-13)[0] / special.gamma(a)


@pytest.mark.parametrize("h", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("kind", [ONE, TWO])
def test_normal_equations_are_their_integrals(kind, h):
    rates, horizon, a = (0.3, 2.0, 9.0), 1.5, h + 0.5
    matrix, right, scale = normal_equations(rates, horizon, kind is ONE, h)

    def cross(t, i, j):
        total = rates[i] + rates[j]
        if kind is TWO:
            return (1 - np.exp(-total * t)) / total
        return (2 - np.exp(-rates[i] * t) - np.exp(-rates[j] * t)) / total

    def with_fbm(t, g):
        if kind is TWO:
            return g**-a * special.gammainc(a, g * t)
        return g**-a * (2 - np.exp(-g * t) - scaled_q(a, g * t))

    over = lambda f, *args: integrate.quad(f, 0, horizon, args, epsabs=1e-11, epsrel=1e-10)[0]
    np.testing.assert_allclose(matrix, [[over(cross, i, j) for j in range(3)] for i in range(3)], 1e-8)
    np.testing.assert_allclose(right, [over(with_fbm, g) for g in rates], 1e-8)
    v = 1 / (special.gamma(2 * h + 1) * np.sin(np.pi * h)) if kind is ONE else 1 / (2 * h * special.gamma(a) ** 2)
    np.testing.assert_allclose(scale, over(lambda t: v * t ** (2 * h)), 1e-8)
    assert np.all(np.linalg.eigvalsh(matrix) > 0)


def test_the_scaled_gamma_function_holds_where_its_factors_do_not():
    for a in (0.55, 1.0, 1.45):
        z = np.geomspace(1e-3, 700, 60)
        np.testing.assert_allclose(scaled_gammaincc(a, z), np.exp(z) * special.gammaincc(a, z), rtol=1e-11)
        far = np.geomspace(1e3, 1e4, 5)
        np.testing.assert_allclose(scaled_gammaincc(a, far), [scaled_q(a, x) for x in far], rtol=1e-9)


@pytest.mark.parametrize(("kind", "h", "wanted"), [
    (ONE, 0.3, (0.80441, -0.11152, 0.48741, 0.08451, 1.18733)),
    (ONE, 0.7, (2.26197, -1.42064, 0.01979, -0.31070, -0.17701)),
    (TWO, 0.5, (1.40542, -0.43588, 0.03163, -0.00125, 0.00009)),
])  # fmt: skip
def test_weights_that_another_program_found(kind, h, wanted):
    noise = MarkovApproximation(kind=kind)
    np.testing.assert_allclose(noise.rates, [0.05, 0.05**0.5, 1, 20**0.5, 20])
    np.testing.assert_allclose(noise.weights(h), wanted, atol=6e-6)
    # In single precision the error that matters is the approximation's, not the digits of ω.
    single = noise.weights(jnp.float32(h))
    assert single.dtype == jnp.float32
    assert noise.error(h, single) <= noise.error(h) + 1e-10


@pytest.mark.parametrize("kind", [ONE, TWO])
def test_the_series_in_h_solves_the_equations_everywhere(kind):
    noise = MarkovApproximation(kind=kind, horizon=2.0)
    for h in (0.01, 0.2345, 0.5, 0.777, 0.99):
        w = np.asarray(noise.weights(h))
        a, b, _ = normal_equations(noise.rates, 2.0, kind is ONE, h)
        # A's condition is some 1e7 here, so the residual is what double precision allows, not the weights.
        np.testing.assert_allclose(a @ w, b, rtol=1e-9)


@pytest.mark.parametrize("kind", [ONE, TWO])
def test_no_other_weights_are_better(kind):
    rng, noise = np.random.default_rng(0), MarkovApproximation(kind=kind)
    for h in (0.3, 0.7):
        w, least = np.asarray(noise.weights(h)), noise.error(h)
        assert least >= 0
        assert all(noise.error(h, w + 0.01 * rng.standard_normal(5)) >= least for _ in range(20))
        assert noise.error(h, noise.riemann_weights(h)) > least
        more = MarkovApproximation(rates=(*noise.rates, 60.0), kind=kind)
        assert more.error(h) < least


@pytest.mark.parametrize(("kind", "h", "optimal", "riemann"), [
    (ONE, 0.3, 1.66e-2, 1.97e-1), (ONE, 0.7, 9.79e-2, 1.30e-1), (TWO, 0.3, 7.76e-3, 1.97e-1),
    (TWO, 0.7, 1.34e-4, 1.83e-2), (TWO, 0.9, 5.91e-5, 2.85e-2),
])  # fmt: skip
def test_errors_at_five_terms(kind, h, optimal, riemann):
    noise = MarkovApproximation(kind=kind)
    np.testing.assert_allclose(noise.error(h), optimal, rtol=4e-3)  # three digits
    np.testing.assert_allclose(noise.error(h, noise.riemann_weights(h)), riemann, rtol=4e-3)


@pytest.mark.parametrize(("h", "wanted"), [(0.7, 0.8453), (0.3, 1.2374), (0.5, 1.0)])
def test_variance_of_the_sum(h, wanted):
    noise = MarkovApproximation(kind=TWO)
    np.testing.assert_allclose(noise.covariance(noise.weights(h), 1.0, 1.0), wanted, atol=6e-5)


def test_covariance_is_that_of_the_processes():
    noise, (s, t) = MarkovApproximation(3), (0.4, 1.1)
    w, g = np.asarray(noise.weights(0.3)), np.asarray(noise.rates)
    # Stationary processes of one Brownian motion: E Y_i(s) Y_j(t) = e^{-γ_j (t-s)}/(γ_i + γ_j) for s ≤ t.
    at = lambda i, j, a, b: np.exp(-(g[j] if b >= a else g[i]) * abs(b - a)) / (g[i] + g[j])
    terms = [
        w[i] * w[j] * (at(i, j, s, t) - at(i, j, s, 0) - at(i, j, 0, t) + at(i, j, 0, 0))
        for i in range(3)
        for j in range(3)
    ]
    np.testing.assert_allclose(noise.covariance(noise.weights(0.3), s, t), sum(terms), rtol=1e-12)
    plain = BrownianNoise()
    np.testing.assert_allclose(plain.covariance(plain.weights(0.3), s, t), s)


def test_the_structure_function_has_the_slope_of_h():
    noise = MarkovApproximation()
    for h, slope in ((0.3, 0.599), (0.5, 1.002), (0.7, 1.396)):
        w = noise.weights(h)
        # Increments are stationary: the variance is the structure function.
        at = [float(noise.covariance(w, x, x)) for x in (1e-4, 2e-4, 0.1, 1.0)]
        np.testing.assert_allclose(np.log10(at[3] / at[2]), slope, atol=1e-3)
        np.testing.assert_allclose(np.log2(at[1] / at[0]), 1.0, atol=0.02)  # Brownian at the finest scale


@pytest.mark.parametrize("kind", [ONE, TWO])
def test_weights_are_differentiable_in_h_and_map_over_it(kind):
    noise = MarkovApproximation(kind=kind, unit=True)
    hs = jnp.array([0.2, 0.5, 0.9])
    jac = jax.jit(jax.vmap(jax.jacfwd(noise.weights)))(hs)
    np.testing.assert_allclose(jac, (noise.weights(hs + 1e-5) - noise.weights(hs - 1e-5)) / 2e-5, rtol=1e-4)
    np.testing.assert_allclose(noise.weights(hs)[1], noise.weights(0.5), rtol=1e-9)
    raw = MarkovApproximation(kind=kind)
    np.testing.assert_allclose(raw.error(0.7), noise.error(0.7, noise.weights(0.7)), rtol=1e-6)


def test_the_start_is_stationary_or_nothing():
    noise = MarkovApproximation(3)
    y = np.asarray(noise.initial((40_000,), jnp.float32, key=jax.random.key(0)))
    g = np.asarray(noise.rates)
    wanted = 1 / (g[:, None] + g[None])
    error = np.sqrt((wanted**2 + np.outer(np.diag(wanted), np.diag(wanted))) / len(y))
    assert np.all(np.abs(y.T @ y / len(y) - wanted) < 4.5 * error)
    assert not np.any(MarkovApproximation(3, kind=TWO).initial((2,), jnp.float32))
    with pytest.raises(ValueError, match="pass `key`"):
        noise.initial((2,), jnp.float32)


def test_bad_input_gets_advice():
    for settings, message in (
        ({"terms": 0}, "terms=0"),
        ({"slowest": 30}, "slowest <= fastest"),
        ({"horizon": 0.0}, "horizon=0.0"),
        ({"rates": (2.0, 1.0)}, "increase"),
    ):
        with pytest.raises(ValueError, match=message):
            MarkovApproximation(**settings)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        MarkovApproximation().weights(0.0)
    with pytest.raises(ValueError, match=r"no weights at hurst=0\.5"):
        MarkovApproximation().riemann_weights(0.5)
