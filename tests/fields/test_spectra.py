"""Fourier fields, filters, spectra, norms and random fields against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.fields import (
    Box,
    CallableField,
    FourierField,
    GaussianRandomField,
    Grid,
    GridField,
    Nodes,
    SineSum,
    Spectral,
    dealias,
    energy_spectrum,
    inverse_laplacian,
    resample,
    self_advection,
    sobolev_inner,
    sobolev_norm,
    stack,
)

BOX = Box({"x": (0.0, 2.0), "y": (-1.0, 2.0)}, periodic=("x", "y"))
LINE = Box({"x": (0.0, 1.0)}, periodic="x")


def smooth(x, y):
    return jnp.exp(jnp.cos(np.pi * x)) * jnp.sin(2 * np.pi * (y + 1) / 3 + 0.3)


def on(shape, f=smooth, box=BOX):
    grid = Grid(box, shape)
    return GridField(grid, f(*map(jnp.asarray, grid.mesh())) + jnp.zeros(grid.shape), Spectral())


def fourier(u, keep=1.0):
    return FourierField(u.grid, values=u.values, keep=keep)


def expression(u):
    x = u.coordinate("x")
    w = stack([u.d("x"), 2 * u - u.d("y", 2)])
    return u.laplacian() / 3 - u * w[1] + (1 - u) ** 2 + w[0] * x - self_advection(u, "y")


@pytest.mark.parametrize("shape", [(32, 24), (31, 25)])
def test_a_fourier_field_is_the_field(shape):
    u, point = on(shape), jnp.asarray([0.3, 1.1])
    both = jax.jit(lambda u: (expression(fourier(u)).at_points(), expression(u).values, fourier(u)(point)))
    ours, theirs, there = both(u)
    # Modes beyond the 12th of exp(cos) are below 1e-12; derivatives of order two multiply rounding by 1e3.
    np.testing.assert_allclose(ours, theirs, atol=3e-10)
    np.testing.assert_allclose(there, smooth(*point), atol=1e-11)


def test_linear_expressions_stay_coefficients_and_products_lose_aliased_modes():
    u = on((12, 12), lambda x, y: jnp.cos(3 * np.pi * x) + 0 * y)
    assert (2 * fourier(u).d("x") - fourier(u)).values is None
    square = fourier(u, keep=2 / 3)
    # cos² (3 θ) = 1/2 + cos(6 θ)/2, whose sixth mode of twelve is not kept.
    np.testing.assert_allclose((square * square).d("x", 0).coefficients()[6, 0], 0)
    np.testing.assert_allclose((square * square).coefficients()[0, 0] / 144, 0.5)


def test_inverse_laplacian_and_its_refusal():
    u = on((32, 24))
    back = inverse_laplacian(u)
    np.testing.assert_allclose(back.laplacian().values, u.values - jnp.mean(u.values), atol=1e-11)
    np.testing.assert_allclose(jnp.mean(back.values), 0, atol=1e-15)
    with pytest.raises(ValueError, match="has no inverse Laplacian"):
        inverse_laplacian(CallableField(domain=BOX, f=lambda p: p[0]))


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_dealias_keeps_its_share(degree):
    n = 24
    noise = jax.random.normal(jax.random.key(0), (2, n, n))
    kept = jnp.fft.fft2(dealias(GridField(Grid(BOX, n), noise, Spectral()), degree=degree).values)
    j = np.abs(np.fft.fftfreq(n, 1 / n))
    # A product of `degree` modes folds back to n - degree j, which must lie outside of what is kept.
    inside = (degree + 1) * j < n if degree > 1 else j >= 0
    expected = jnp.fft.fft2(noise) * np.outer(inside, inside)[None].astype(complex)
    np.testing.assert_allclose(kept, expected, atol=1e-10)


@pytest.mark.parametrize(("one", "other"), [((16, 15), (24, 20)), ((16, 15), (40, 31))])
def test_resample_is_the_function_on_the_other_grid(one, other):
    f = lambda x, y: jnp.sin(3 * np.pi * x + 0.2) * (1 + jnp.cos(4 * np.pi * (y + 1) / 3))
    u, v = on(one, f), on(other, f)
    finer, coarser = jax.jit(lambda u, v: (resample(u, other).values, resample(v, one).values))(u, v)
    np.testing.assert_allclose(finer, v.values, atol=1e-13)
    np.testing.assert_allclose(coarser, u.values, atol=1e-13)


def test_resample_at_the_highest_mode():
    """cos(pi i) on an even grid is padded as the cosine it is; going down its pair is folded onto it."""
    u = on((8,), lambda x: jnp.cos(8 * np.pi * x), LINE)
    fine = resample(u, 20)
    np.testing.assert_allclose(fine.values, jnp.cos(8 * np.pi * jnp.asarray(fine.grid.points("x"))), atol=1e-14)
    np.testing.assert_allclose(resample(fine, 8).values, u.values, atol=1e-14)
    np.testing.assert_allclose(resample(fine, 6).values, 0, atol=1e-14)
    wall = GridField(Grid(Box({"x": (0.0, 1.0)}), 5), jnp.zeros(5), Spectral())
    with pytest.raises(ValueError, match="not periodic"):
        resample(wall, 9)


def test_energy_spectrum_of_known_modes():
    box = Box({"x": (0.0, 2 * np.pi), "y": (0.0, 2 * np.pi)}, periodic=("x", "y"))
    u = on((16, 16), lambda x, y: 2 + jnp.sin(3 * x) + jnp.cos(3 * x) * jnp.cos(4 * y), box)
    k, energy = energy_spectrum(u)
    expected = np.zeros(len(k))
    expected[[0, 3, 5]] = [2, 0.25, 0.125]
    np.testing.assert_allclose(energy, expected, atol=1e-15)
    np.testing.assert_allclose(k[:3], [0, 1, 2])
    noise = GridField(Grid(BOX, (9, 8)), jax.random.normal(jax.random.key(1), (2, 9, 8)), Spectral())
    halves = jnp.mean(noise.values**2, axis=(1, 2)) / 2
    np.testing.assert_allclose(jnp.sum(energy_spectrum(noise)[1], axis=-1), halves, rtol=1e-13)


@pytest.mark.parametrize("order", [-1, 0.5, 2])
def test_sobolev_norms_of_a_sine(order):
    u = on((16,), lambda x: jnp.sin(4 * np.pi * x), LINE)
    k2 = (4 * np.pi) ** 2
    for alpha in (0, 1.0, 3.0):
        np.testing.assert_allclose(sobolev_norm(u, order, alpha=alpha), ((alpha + k2) ** order / 2) ** 0.5, rtol=1e-13)
    shifted = u + 5.0
    np.testing.assert_allclose(sobolev_norm(shifted, order, alpha=0), sobolev_norm(u, order, alpha=0), rtol=1e-13)


def test_sobolev_products_against_integrals():
    u, v = on((24, 24)), on((24, 24), lambda x, y: jnp.sin(np.pi * x) + jnp.cos(2 * np.pi * (y + 1) / 3))
    np.testing.assert_allclose(sobolev_norm(u, 0), u.norm(), rtol=1e-13)

    @jax.jit
    def pairs(u, v):
        product = (u * v + u.d("x") * v.d("x") + u.d("y") * v.d("y")).integral()
        dual = (-inverse_laplacian(u) * v).integral()
        return sobolev_inner(u, v, 1), product, sobolev_inner(u, v, -1, alpha=0), dual

    first, product, minus, dual = pairs(u, v)
    np.testing.assert_allclose([first, minus], [product, dual], rtol=1e-12)
    slope = jax.grad(lambda a: sobolev_inner(u.like(a), u.like(a), -1))(jnp.zeros((24, 24)))
    np.testing.assert_array_equal(slope, 0)


def coefficients(field, count, seed):
    draws = jax.vmap(lambda k: field.sample(k).values)(jax.random.split(jax.random.key(seed), count))
    return draws, np.asarray(jnp.fft.rfftn(draws, axes=range(1, draws.ndim))) / np.prod(field.grid.shape)


def test_gaussian_field_has_the_spectrum_of_the_formula():
    """FNO's code in two dimensions: |c_k|² has mean 2 sigma² (4 pi² |k|² + tau²)^-alpha, sigma = tau^(alpha - 1).

    2,000 draws: a mean of squares of complex normals has a relative standard error of 1 / sqrt(2000) = 0.022; 4 errors
    in 40 modes alarm falsely in 0.3 % of seeds, and the seed is fixed.
    """
    grid = Grid(Box({"x": (0.0, 1.0), "y": (0.0, 1.0)}, periodic=("x", "y")), 16)
    field = GaussianRandomField(grid, alpha=2.5, tau=7.0, sigma=2**0.5 * 7**1.5)
    draws, c = coefficients(field, 2000, 0)
    np.testing.assert_allclose(jnp.mean(draws, axis=(1, 2)), 0, atol=1e-15)
    for i, j in [(0, 1), (1, 0), (1, 1), (-2, 3), (3, 2), (-1, 5), (0, 7)]:
        formula = 2 * 7.0**3 * (4 * np.pi**2 * (i * i + j * j) + 49) ** -2.5
        assert np.mean(np.abs(c[:, i, j]) ** 2) == pytest.approx(formula, rel=4 * 0.0224)
    # The card's point standard deviation, 0.262 in theory on 64 points an axis.
    big = GaussianRandomField(Grid(grid.domain, 64), alpha=2.5, tau=7.0, sigma=2**0.5 * 7**1.5)
    pairs = np.full(33, 2.0)
    pairs[[0, -1]] = 1
    assert float(np.sqrt((big.spectrum() * pairs).sum())) == pytest.approx(0.262, abs=5e-4)


def test_gaussian_field_on_a_line_and_with_walls():
    """FNO on a line, sqrt(2) sigma (4 pi² k² + tau²)^(-gamma/2) (xi cos + eta sin): E|c_k|² = sigma² (…)^-gamma."""
    draws, c = coefficients(GaussianRandomField(Grid(LINE, 32), alpha=2.0, tau=5.0, sigma=25.0), 2000, 1)
    for k in (1, 2, 5):
        formula = 625 * (4 * np.pi**2 * k * k + 25) ** -2.0
        assert np.mean(np.abs(c[:, k]) ** 2) == pytest.approx(formula, rel=4 * 0.0224)
    square = Box({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    grid = Grid(square, 16, nodes=(Nodes.centres,) * 2)
    field = GaussianRandomField(grid, alpha=2.0, tau=3.0)
    assert field.sigma == 3.0
    draws = jax.vmap(lambda k: field.sample(k).values)(jax.random.split(jax.random.key(2), 2000))
    x = grid.points("x")
    for i, j in [(1, 0), (2, 1), (3, 3)]:
        cosine = np.outer(np.cos(i * np.pi * x) * (2**0.5 if i else 1), np.cos(j * np.pi * x) * (2**0.5 if j else 1))
        amplitude = np.einsum("nxy,xy->n", draws, cosine) / 256
        formula = 9 * (np.pi**2 * (i * i + j * j) + 9) ** -2.0
        assert np.var(amplitude) == pytest.approx(formula, rel=4 * 0.0316)  # real normals: sqrt(2 / 2000)


def test_gaussian_field_scales_with_its_unit():
    """In units of the box the draws are the same functions, stretched."""
    wide = Box({"x": (0.0, 3.0)}, periodic="x")
    one = GaussianRandomField(Grid(LINE, 16), alpha=2, tau=3).sample(jax.random.key(0), dtype=jnp.float32)
    other = GaussianRandomField(Grid(wide, 16), alpha=2, tau=3).sample(jax.random.key(0), dtype=jnp.float32)
    assert one.values.dtype == jnp.float32
    np.testing.assert_allclose(other.values, one.values, rtol=1e-5)
    metres = GaussianRandomField(Grid(wide, 16), alpha=2, tau=3, length=1.0).spectrum()
    np.testing.assert_allclose(metres[1], 3**3 * (4 * np.pi**2 / 9 + 9) ** -2 / 3, rtol=1e-12)


def test_sums_of_sines_are_one_function_on_all_grids():
    coarse, fine = (SineSum(Grid(LINE, n), (1, 2)).sample(jax.random.key(3)) for n in (16, 32))
    np.testing.assert_allclose(fine.values[::2], coarse.values, atol=1e-14)
    hat = np.abs(np.fft.rfft(fine.values))
    assert hat[1:3].min() > 1e-3
    np.testing.assert_allclose(np.delete(hat, [1, 2]), 0, atol=1e-12)
    assert float(jnp.max(jnp.abs(fine.values))) < 10 * 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FourierField(Grid(Box({"x": (0.0, 1.0)}), 4), values=jnp.zeros(4)), "not periodic"),
        (lambda: FourierField(Grid(LINE, 4)), "one of the two"),
        (lambda: fourier(on((8, 8))) * fourier(on((8, 6))), "same grid only"),
        (lambda: dealias(on((8, 8)), degree=0), "degree=0"),
        (lambda: sobolev_norm(on((8, 8)), 1, alpha=-1), "alpha >= 0"),
        (lambda: SineSum(Grid(Box({"x": (0.0, 1.0)}), 4), (1, 2)), "periodic in all"),
        (lambda: GaussianRandomField(Grid(Box({"x": (0.0, 1.0)}), 4), alpha=2, tau=1), "cell centres in all"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
