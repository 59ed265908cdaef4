"""Stationary kernels: closed-form derivatives, lag zero, spectra, algebra, Gram matrices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from cadlag.fields import Box, Grid
from cadlag.kernels import (
    KernelExpansion,
    KernelScheme,
    Matern,
    Periodised,
    Separable,
    SpectralMixture,
    SquaredExponential,
    StudentTMixture,
    lag_matrix,
    pairwise_gram,
    spread_components,
)
from cadlag.linalg import safe_cholesky

W, RHO, MU = np.array([0.5, 1.2, 0.3]), np.array([0.7, 2.0, 1.1]), np.array([0.0, 1.3, 2.9])


def parts(dtype=jnp.float64):
    return tuple(jnp.asarray(v, dtype) for v in (np.log(W), np.log(RHO), MU))


KERNELS = {
    "student": StudentTMixture(*parts()),
    "student-3/2": StudentTMixture(*parts(), nu=1.5),
    "gaussian": SpectralMixture(*parts()),
    "no-cosine": StudentTMixture(*parts()[:2]),
    "matern": Matern(0.8),
    "matern-1/2": Matern(0.8, nu=0.5),
    "squared": SquaredExponential(0.6),
    "sum": Matern(0.8) + SquaredExponential(0.6),
    "product": Matern(0.8) * StudentTMixture(*parts()),
    "scaled": 2.5 * Matern(0.8),
    "periodic": Periodised(StudentTMixture(*parts()), 2.0, modes=30),
}


def matern(tau, rho):
    """Written out once more, without the library's polynomials."""
    a = math.sqrt(5) * rho * np.abs(tau)
    return (1 + a + a**2 / 3) * np.exp(-a)


def test_values_against_the_definition():
    tau = np.linspace(-3, 3, 41)
    expected = sum(w * matern(tau, r) * np.cos(2 * np.pi * m * tau) for w, r, m in zip(W, RHO, MU, strict=True))
    np.testing.assert_allclose(KERNELS["student"].lag(jnp.asarray(tau)), expected, atol=1e-14)
    gauss = sum(
        w * np.exp(-((r * tau) ** 2) / 2) * np.cos(2 * np.pi * m * tau) for w, r, m in zip(W, RHO, MU, strict=True)
    )
    np.testing.assert_allclose(KERNELS["gaussian"].lag(jnp.asarray(tau)), gauss, atol=1e-14)


@pytest.mark.parametrize("name", KERNELS)
def test_derivatives_against_differences_of_the_order_below(name):
    kernel = KERNELS[name]
    highest = 4 if kernel.smoothness is None else kernel.smoothness
    tau, h = jnp.asarray([-1.7, -0.31, 0.12, 0.9]), 1e-3
    stencil = jnp.asarray([-3.0, -2, -1, 0, 1, 2, 3])[:, None] * h + tau[None, :]
    values = jax.jit(lambda t: [kernel.lag(t, order) for order in range(highest + 1)])(stencil)
    for order in range(1, highest + 1):
        # Sixth-order central differences, none of which crosses zero: the error is (2 pi 3 h)^6 k.
        steps = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60 @ np.asarray(values[order - 1]) / h
        scale = np.max(np.abs(values[order])) + 1
        np.testing.assert_allclose(values[order][3], steps, atol=1e-8 * scale)


def test_first_and_second_derivative_are_those_of_autodiff_away_from_zero():
    a = jnp.asarray(math.sqrt(5.0))

    def plain(tau):
        r = a * jnp.asarray(RHO) * tau
        return jnp.sum(jnp.asarray(W) * (1 + r + r**2 / 3) * jnp.exp(-r) * jnp.cos(2 * jnp.pi * jnp.asarray(MU) * tau))

    tau, towers = jnp.asarray([0.01, 0.3, 1.7]), [plain]
    for _ in range(4):
        towers.append(jax.grad(towers[-1]))
    ours, theirs = jax.jit(
        lambda t: ([KERNELS["student"].lag(t, k) for k in range(5)], [jax.vmap(f)(t) for f in towers])
    )(tau)
    for order in range(5):
        # The highest frequency is 2.9 cycles: derivatives are of order 18^k.
        np.testing.assert_allclose(ours[order], theirs[order], atol=1e-10 * 18**order)


def test_lag_zero():
    lag = KERNELS["student"].lag
    twice = jax.grad(jax.grad(lag))
    four = jax.grad(jax.grad(twice))
    ours, twice, four = jax.jit(lambda z: ([lag(z, k) for k in range(5)], twice(z), four(z)))(jnp.zeros(()))
    np.testing.assert_allclose(ours[0], W.sum(), rtol=1e-15)
    curvature = -np.sum(W * (5 * RHO**2 / 3 + 4 * np.pi**2 * MU**2))
    np.testing.assert_allclose(ours[2], curvature, rtol=1e-14)
    # The same by autodiff of the value, twice and four times, whatever the derivative of |tau| is held to be.
    np.testing.assert_allclose(twice, curvature, rtol=1e-14)
    np.testing.assert_allclose(four, ours[4], rtol=1e-13)
    assert ours[1] == ours[3] == 0


def test_gradients_of_parameters_at_lag_zero():
    def curvature(rates):
        return StudentTMixture(jnp.log(jnp.asarray(W)), rates, jnp.asarray(MU)).lag(jnp.zeros(()), 2)

    grad = jax.grad(curvature)(jnp.log(jnp.asarray(RHO)))
    np.testing.assert_allclose(grad, -W * 10 * RHO**2 / 3, rtol=1e-13)


def test_wiener_khinchin():
    tau = np.linspace(0, 60, 240_001)
    values = np.asarray(KERNELS["student"].lag(jnp.asarray(tau)))
    for s in (0.0, 0.4, 1.3, 2.5, 4.0):
        numeric = 2 * integrate.simpson(values * np.cos(2 * np.pi * s * tau), x=tau)
        sigma = RHO / (2 * np.pi)
        exact = sum(
            w / 2 * (stats.t.pdf(s, 5, m, g) + stats.t.pdf(s, 5, -m, g)) for w, m, g in zip(W, MU, sigma, strict=True)
        )
        assert abs(numeric - exact) < 1e-6
        np.testing.assert_allclose(KERNELS["student"].density(jnp.asarray(s)), exact, rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["student", "gaussian", "no-cosine", "matern", "matern-1/2", "squared", "sum", "scaled"]
)
def test_density_integrates_to_the_variance(name):
    kernel = KERNELS[name]
    t = np.linspace(-np.pi / 2, np.pi / 2, 40_001)[1:-1]
    # s = tan t maps the line to an interval; the slowest tail is Cauchy's.
    numeric = np.sum(np.asarray(kernel.density(jnp.asarray(np.tan(t)))) / np.cos(t) ** 2) * (t[1] - t[0])
    np.testing.assert_allclose(numeric, kernel.lag(jnp.zeros(())), rtol=1e-3)


def test_periodic_kernel_is_the_wrapped_sum():
    tau = jnp.linspace(-0.9, 0.9, 7)
    wrapped = sum(KERNELS["student"].lag(tau + 2.0 * m) for m in range(-25, 26))
    # The series is cut at 30 / 2 = 15 cycles, beyond which the density is about (15 / 0.3)^-6.
    np.testing.assert_allclose(KERNELS["periodic"].lag(tau), wrapped, atol=1e-6)
    np.testing.assert_allclose(KERNELS["periodic"].lag(tau + 2.0, 2), KERNELS["periodic"].lag(tau, 2), atol=1e-9)


@pytest.mark.parametrize("name", KERNELS)
def test_gram_matrices_are_positive_and_toeplitz(name):
    kernel, x = KERNELS[name], jnp.asarray(np.linspace(0.0, 2.0, 12)[:11])
    orders = (0,) if kernel.smoothness == 0 else (0, 1)
    dense, structured, pairs = jax.jit(
        lambda x: (
            [kernel.gram(x, order=k) for k in orders],
            [lag_matrix(kernel, x, k) for k in orders],
            pairwise_gram(kernel, x),
        )
    )(x)
    np.testing.assert_allclose(dense[0], pairs, atol=1e-13)
    np.testing.assert_allclose(dense[0], dense[0].T, atol=1e-15)
    assert np.linalg.eigvalsh(dense[0] + 1e-6 * np.eye(11))[0] >= 0.9e-6
    for one, other in zip(dense, structured, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    if kernel.smoothness != 0:
        np.testing.assert_allclose(dense[1], -dense[1].T, atol=1e-13)


def test_components_permute():
    order = jnp.asarray([2, 0, 1])
    permuted = StudentTMixture(*(p[order] for p in parts()))
    tau = jnp.linspace(-1, 1, 5)
    np.testing.assert_allclose(permuted.lag(tau, 2), KERNELS["student"].lag(tau, 2), rtol=1e-13)
    found = permuted.components()
    np.testing.assert_allclose(found.weights, [1.2, 0.5, 0.3])
    np.testing.assert_allclose(found.frequencies, [1.3, 0.0, 2.9])
    np.testing.assert_allclose(found.widths, np.array([2.0, 0.7, 1.1]) / (2 * np.pi))


def test_float32_stays_and_huge_lags_vanish():
    kernel = StudentTMixture(*parts(jnp.float32))
    out = kernel.lag(jnp.asarray([0.0, 0.5, 1e4], jnp.float32), 2)
    assert out.dtype == jnp.float32
    assert out[2] == 0
    np.testing.assert_allclose(out, KERNELS["student"].lag(jnp.asarray([0.0, 0.5, 1e4]), 2), rtol=1e-4, atol=1e-3)


def test_separable_is_the_kronecker_product():
    kernel = Separable((KERNELS["matern"], KERNELS["student"]))
    x, y = jnp.linspace(0, 1, 4), jnp.linspace(0, 2, 3)
    points = jnp.stack([a.ravel() for a in jnp.meshgrid(x, y, indexing="ij")], axis=-1)
    expected = np.kron(KERNELS["matern"].gram(x), KERNELS["student"].gram(y))
    np.testing.assert_allclose(kernel.gram(points), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(kernel(points[1], points[5]), expected[1, 5], rtol=1e-12)
    general = kernel + 0.5 * kernel * kernel
    np.testing.assert_allclose(general.gram(points), expected + 0.5 * expected**2, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(general(points[1], points[5]), (expected + 0.5 * expected**2)[1, 5], rtol=1e-12)


def test_scheme_and_expansion_against_the_dense_conditional_mean():
    box = Box({"x": (0.0, 1.0), "y": (0.0, 2.0)})
    grid = Grid(box, (6, 5))
    kernels = (KERNELS["matern"], 0.5 * KERNELS["squared"])
    scheme = KernelScheme(grid, kernels, nugget=1e-4)
    u = jnp.asarray(np.random.default_rng(1).standard_normal(grid.shape))
    c1, c2 = (np.asarray(k.gram(jnp.asarray(grid.points(n)))) for k, n in zip(kernels, "xy", strict=True))
    dense = np.kron(c1 + 1e-4 * np.eye(6), c2 + 1e-4 * np.eye(5))
    a = np.linalg.solve(dense, np.asarray(u).ravel())
    point = jnp.asarray([0.37, 1.21])
    rows = [np.asarray(k.lag(p - jnp.asarray(grid.points(n)))) for k, p, n in zip(kernels, point, "xy", strict=True)]
    expected = np.kron(*rows) @ a
    field = scheme.expansion(u, grid)
    assert isinstance(field, KernelExpansion)
    node = jnp.asarray([0.2, 0.5])
    found = jax.jit(
        lambda p, q: {
            "value": (field(p), scheme.interpolate(u, grid, p)),
            "mixed": field.d("x", 2).d("y")(p),
            "hessian": (jax.hessian(field)(p), jax.hessian(field)(q)),
            "second": (field.d("x", 2)(p), field.d("x", 2)(q)),
            "cross": field.d("y").d("x")(p),
        }
    )(point, node)
    np.testing.assert_allclose(found["value"], expected, rtol=1e-8)
    mixed = np.kron(*[np.asarray(k.lag(p - jnp.asarray(grid.points(n)), o))
                      for k, p, n, o in zip(kernels, point, "xy", (2, 1), strict=True)]) @ a  # fmt: skip
    np.testing.assert_allclose(found["mixed"], mixed, rtol=1e-7)
    # By autodiff of the value: between the points and on one, where lags are zero.
    np.testing.assert_allclose([h[0, 0] for h in found["hessian"]], found["second"], rtol=1e-9)
    np.testing.assert_allclose(found["hessian"][0][0, 1], found["cross"], rtol=1e-9)
    # At the grid's points, derivatives along one axis do not see the other's nugget.
    slope = np.asarray(kernels[0].gram(jnp.asarray(grid.points("x")), order=1)) @ np.linalg.solve(
        c1 + 1e-4 * np.eye(6), u
    )
    for each in (scheme, KernelScheme(grid, kernels, nugget=1e-4, explicit=[("x", 1)])):
        np.testing.assert_allclose(each.differentiate(u, grid, "x", 1), slope, rtol=1e-8, atol=1e-9)


def test_nugget_grows_with_the_variance():
    grid = Grid(Box({"x": (0.0, 1.0)}), 5)
    for variance, nugget in ((0.25, 1e-3), (4.0, 4e-3)):
        (factor,) = KernelScheme(grid, (variance * Matern(0.5),), nugget=1e-3).factors
        np.testing.assert_allclose((factor.factor @ factor.factor.T)[2, 2], variance + nugget, rtol=1e-13)


def test_operator_on_waves_away_from_the_edges():
    mu, n = 4.0, 120
    grid = Grid(Box({"x": (0.0, 2 * np.pi)}), n)
    kernel = StudentTMixture(jnp.zeros(1), jnp.zeros(1), jnp.full(1, mu / (2 * np.pi)))
    scheme, x = KernelScheme(grid, (kernel,)), jnp.asarray(grid.points("x"))
    for wave in (jnp.sin(mu * x), jnp.cos(mu * x)):
        second = scheme.differentiate(wave, grid, "x", 2)
        inner = slice(12, -12)
        # The kernel's own frequency; nugget 1e-6 and rate 1 leave about 1e-4 inside.
        np.testing.assert_allclose(second[inner], -(mu**2) * wave[inner], atol=1e-3 * mu**2)


def test_start_of_a_mixture():
    weights, rates, frequencies = spread_components(30, 20.0, shift=0.1)
    np.testing.assert_allclose(jnp.sum(jnp.exp(weights)), 1.0, rtol=1e-12)
    np.testing.assert_allclose(rates, 0.0)
    np.testing.assert_allclose(frequencies[jnp.asarray([0, -1])], [0.1, 20.1])
    assert safe_cholesky(StudentTMixture(weights, rates, frequencies).gram(jnp.linspace(0, 6, 20))).jitter == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Matern(-1.0), "length=-1.0"),
        (lambda: Matern(1.0, nu=2.0), "nu=2.0"),
        (lambda: Matern(1.0, nu=1.5).lag(jnp.zeros(2), 3), "order=3"),
        (lambda: Matern(1.0, nu=0.5).lag(jnp.zeros(2), 1), "SquaredExponential"),
        (lambda: StudentTMixture(jnp.zeros(2), jnp.zeros(3)), "all \\(Q,\\)"),
        (lambda: spread_components(0), "count=0"),
        (lambda: 0.0 * Matern(), "positive"),
        (lambda: KERNELS["product"].density(jnp.zeros(1)), "convolution"),
        (lambda: Separable((Matern(),))(jnp.zeros(2), jnp.zeros(2)), "2 coordinates for 1 kernels"),
        (lambda: Matern().gram(jnp.zeros((3, 2))), "Separable"),
        (lambda: Periodised(Matern(), 1.0, modes=0), "modes=0"),
        (lambda: KernelScheme(Grid(Box({"x": (0.0, 1.0)}), 5), (Matern(), Matern())), "2 for the axes"),
        (lambda: KernelScheme(Grid(Box({"x": (0.0, 1.0)}, periodic="x"), 5), (Matern(),)), "Periodised"),
    ],
)
def test_bad_input_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_kernel_adds_to_kernels_only():
    with pytest.raises(TypeError, match="kernel"):
        Matern() + 1.0  # pyright: ignore
