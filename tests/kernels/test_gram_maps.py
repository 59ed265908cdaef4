"""Maps between Gram matrices: golden values, closed forms against quadrature, images against loops, refusals."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, ndtr

from cadlag.kernels import (
    GELU,
    NNGP,
    NTK,
    Add,
    AveragePool,
    Conv,
    Dense,
    Dropout,
    Elementwise,
    Erf,
    Flatten,
    Gram,
    Identity,
    LayerNorm,
    LeakyReLU,
    Padding,
    Polynomial,
    ReLU,
    RMSNorm,
    Serial,
    Sine,
    finite_network,
    input_gram,
    network_kernels,
    standard,
    standard_rates,
)
from cadlag.kernels._angle import angle
from cadlag.linalg import safe_cholesky

CIRCLE = np.array([[1, 0], [0.5, math.sqrt(3) / 2], [-1, 0]])
K = (np.asarray(1.2), np.asarray(0.4), np.asarray(0.8))
SMOOTH = {
    "erf": (Erf(), erf),
    "gelu": (GELU(), lambda x: x * ndtr(x)),
    "sine": (Sine(1.3, 0.4), lambda x: np.sin(1.3 * x + 0.4)),
    "polynomial": (Polynomial((1, 0.5, -0.3, 0.2)), lambda x: 1 + 0.5 * x - 0.3 * x**2 + 0.2 * x**3),
    "tanh": (Elementwise(jnp.tanh, 61), np.tanh),
}
CLOSED = {**{k: v[0] for k, v in SMOOTH.items()}, "relu": ReLU(), "leaky": LeakyReLU(-0.3)}


def deep(depth, f, weight_std, bias_std):
    return Serial(*[m for _ in range(depth) for m in (Dense(weight_std, bias_std), f)], Dense(weight_std, bias_std))


# First rows of K and T, worked out by hand from the recursion to six digits.
GOLDEN = [
    (1, ReLU(), 2**0.5, 0.0, (1, 0.608998, 0), (2, 0.942331, 0)),
    (2, ReLU(), 2**0.5, 0.0, (1, 0.683906, 0.318310), (3, 1.351480, 0.318310)),
    (3, ReLU(), 2**0.5, 0.0, (1, 0.738128, 0.493731), (4, 1.737845, 0.685709)),
    (2, ReLU(), 2**0.5, 0.1, (1.03, 0.712729, 0.340117), (3.06, 1.402221, 0.313956)),
    (1, Erf(), 1.5, 0.05, (1.098765, 0.510340, -1.087675), (2.474812, 1.040585, -2.452060)),
    (3, Erf(), 1.5, 0.05, (1.083599, 0.430933, -1.055715), (6.210829, 1.801310, -6.017995)),
]


@pytest.mark.parametrize(("depth", "f", "weight_std", "bias_std", "k", "t"), GOLDEN)
def test_golden_values(depth, f, weight_std, bias_std, k, t):
    found = network_kernels(deep(depth, f, weight_std, bias_std), jnp.asarray(CIRCLE))
    np.testing.assert_allclose(found.nngp[0], k, atol=6e-7)
    np.testing.assert_allclose(found.ntk[0], t, atol=6e-7)
    np.testing.assert_allclose(found.ntk, found.ntk.T, atol=1e-14)


def test_single_precision_and_exact_diagonals():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 7)), jnp.float32)
    found = network_kernels(deep(3, ReLU(), 2**0.5, 0.0), x)
    assert found.ntk.dtype == jnp.float32
    # T(x, x) = (depth + 1) K(x, x), to a few roundings and not to their square root, which angles near 0 would leave.
    np.testing.assert_allclose(jnp.diag(found.ntk), 4 * jnp.diag(found.nngp), rtol=1e-6)
    np.testing.assert_allclose(jnp.diag(found.nngp), 2 * jnp.mean(x**2, axis=1), rtol=1e-6)


def double_rule(f, k11, k12, k22, degree=180):
    """E[f(u) f(v)], by NumPy and with another factor of the covariance than the library's."""
    points, weights = np.polynomial.hermite.hermgauss(degree)
    z, w = np.sqrt(2) * points, weights / np.sqrt(np.pi)
    root = np.real(np.linalg.cholesky([[k22, k12], [k12, k11]]))
    v, u = root[0, 0] * z[:, None] + 0 * z, root[1, 0] * z[:, None] + root[1, 1] * z
    return w @ (f(u) * f(v)) @ w


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_moments_against_quadrature(name):
    f, plain = SMOOTH[name]
    value, _ = f.moments(*map(jnp.asarray, K))
    # tanh has poles at ± i pi / 2, so its own rule of 61 points is right to six digits only.
    np.testing.assert_allclose(value, double_rule(plain, *K), rtol=1e-6 if name == "tanh" else 1e-11)
    np.testing.assert_allclose(f.function(jnp.asarray([-0.7, 0.4])), plain(np.array([-0.7, 0.4])), rtol=1e-12)


def test_rectified_moments_against_the_absolute_value():
    # max(x, 0) + a min(x, 0) = (1 + a)/2 x + (1 - a)/2 |x|, whose parts are uncorrelated.
    k11, k12, k22 = K
    c = k12 / np.sqrt(k11 * k22)
    absolute = 2 / np.pi * np.sqrt(k11 * k22) * (np.sqrt(1 - c**2) + c * np.arcsin(c))
    for a, f in ((-0.3, LeakyReLU(-0.3)), (0.0, ReLU())):
        expected = ((1 + a) / 2) ** 2 * k12 + ((1 - a) / 2) ** 2 * absolute
        np.testing.assert_allclose(f.moments(*map(jnp.asarray, K))[0], expected, rtol=1e-14)


@pytest.mark.parametrize("name", CLOSED)
def test_slope_moment_is_the_derivative(name):
    # Price's theorem: ∂/∂k12 E[f(u) f(v)] = E[f'(u) f'(v)]; and u = v is the limit of the general case.
    f, (k11, k12, k22) = CLOSED[name], map(jnp.asarray, K)
    slope = jax.grad(lambda k: f.moments(k11, k, k22)[0])(k12)
    np.testing.assert_allclose(f.moments(k11, k12, k22)[1], slope, rtol=2e-5 if name == "tanh" else 1e-12)
    for exact, limit in zip(f.diagonal(k11), f.moments(k11, k11, k11), strict=True):
        np.testing.assert_allclose(exact, limit, rtol=1e-7)


@pytest.mark.parametrize(("dtype", "roundings"), [(jnp.float64, 6), (jnp.float32, 6)])
def test_angle_and_its_derivatives(dtype, roundings):
    theta = np.concatenate([np.linspace(0, np.pi, 5001), np.pi / 8 * np.arange(9), [1e-9, np.pi - 1e-7]])
    y, x = (jnp.asarray(a, dtype) for a in (np.maximum(np.sin(theta), 0), np.cos(theta)))
    expected = np.arctan2(np.asarray(y, np.float64), np.asarray(x, np.float64))
    assert float(jnp.max(jnp.abs(angle(y, x) - expected.astype(dtype)))) < roundings * float(jnp.finfo(dtype).eps)
    slopes = jax.vmap(jax.grad(angle, (0, 1)))(y, x)
    for slope, exact in zip(slopes, (np.cos(theta), -np.sin(theta)), strict=True):
        np.testing.assert_allclose(slope, exact, atol=1e-6 if dtype == jnp.float32 else 1e-14)
    assert bool(jnp.isnan(angle(jnp.asarray(jnp.nan, dtype), jnp.asarray(1.0, dtype))))


def test_quadrature_converges_as_it_says():
    k = tuple(map(jnp.asarray, K))
    errors = {}
    for degree in (21, 41, 81):
        errors[degree] = [abs(float(Elementwise(f, degree).moments(*k)[0] - e.moments(*k)[0]))
                          for f, e in ((jax.scipy.special.erf, Erf()), (jax.nn.relu, ReLU()))]  # fmt: skip
    assert errors[21][0] < 1e-6
    assert errors[41][0] < 1e-11
    # A kink: first order in the degree.
    np.testing.assert_allclose([errors[d][1] for d in (21, 41, 81)], [0.0051, 0.0027, 0.0014], rtol=0.05)
    relu = Elementwise(jax.nn.relu, 41)
    assert float(relu.error(*k)[0]) >= errors[41][1]


def test_gradients_are_finite_for_equal_opposite_and_zero_points():
    x = jnp.asarray([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]])

    def total(std, f):
        k = network_kernels(Serial(Dense(std), f, Dense(std), f, Dense(std)), x)
        return jnp.sum(k.ntk + k.nngp)

    std, step = jnp.asarray(1.4), 1e-5
    # Both kernels of three layers without biases are homogeneous of degree six in the deviation of ReLU's weights.
    np.testing.assert_allclose(jax.grad(total)(std, ReLU()), 6 / 1.4 * total(std, ReLU()), rtol=1e-6)
    expected = (total(std + step, Erf()) - total(std - step, Erf())) / (2 * step)
    np.testing.assert_allclose(jax.grad(total)(std, Erf()), expected, rtol=1e-6)


def test_duplicates_lose_rank_and_the_jitter_says_so():
    x = jnp.concatenate([jnp.asarray(CIRCLE)] * 2)
    gram = NTK(deep(1, ReLU(), 2**0.5, 0.0)).gram(x)
    found = safe_cholesky(gram)
    assert bool(jnp.all(jnp.isfinite(found.factor)))
    assert 0 < float(found.jitter) < 1e-9


@pytest.mark.parametrize("architecture", [deep(2, ReLU(), 1.4, 0.1), Serial(Conv((3,), 1.2), Erf(), AveragePool(),
                                                                            Flatten(), Dense())])  # fmt: skip
def test_blocks_agree_with_the_whole(architecture):
    draw = np.random.default_rng(1).normal
    x, z = (jnp.asarray(draw(size=(n, 2, 4) if architecture.joint else (n, 3))) for n in (5, 4))
    for other in (None, z):
        whole, tiled = (network_kernels(architecture, x, other, block=b) for b in (None, 2))
        for a, b in zip(whole, tiled, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(NNGP(architecture).gram(x, z), network_kernels(architecture, x, z).nngp, rtol=1e-14)
    np.testing.assert_allclose(NTK(architecture)(x[0], z[1]), NTK(architecture).gram(x, z)[0, 1], rtol=1e-13)


def test_kernels_add_and_multiply():
    x, k = jnp.asarray(CIRCLE), NNGP(deep(1, ReLU(), 1.0, 0.0))
    np.testing.assert_allclose((k + 2.0 * k).gram(x), 3 * k.gram(x), rtol=1e-14)


def shifted(p, d, n, padding):
    q = p + d
    return q % n if padding is Padding.circular else (q if 0 <= q < n else None)


@pytest.mark.parametrize("padding", list(Padding))
@pytest.mark.parametrize("joint", [True, False])
def test_convolution_against_loops(padding, joint):
    rng, n = np.random.default_rng(2), (4, 5)
    x, z = rng.normal(size=(2, 3, *n)), rng.normal(size=(1, 3, *n))
    found = Conv((3, 3), 1.3, 0.2, stride=2, padding=padding)(input_gram(jnp.asarray(x), jnp.asarray(z), joint=joint))
    starts = [range(1, m - 1, 2) if padding is Padding.valid else range(0, m, 2) for m in n]
    centres = [(a, b) for a in starts[0] for b in starts[1]]

    def covariance(i, p, q):
        total = 0.0
        for d0 in (-1, 0, 1):
            for d1 in (-1, 0, 1):
                a, b = (tuple(shifted(c[j], d, n[j], padding) for j, d in enumerate((d0, d1))) for c in (p, q))
                if None not in a + b:
                    total += x[i, :, a[0], a[1]] @ z[0, :, b[0], b[1]] / 3
        return 1.3**2 * total / 9 + 0.2**2

    sizes = tuple(map(len, starts))
    if joint:
        expected = np.array([[[covariance(i, p, q) for q in centres] for p in centres] for i in range(2)])
        expected = expected.reshape(2, 1, *sizes, *sizes)
    else:
        expected = np.array([[covariance(i, p, p) for p in centres] for i in range(2)]).reshape(2, 1, *sizes)
    np.testing.assert_allclose(found.k12, expected, rtol=1e-12)
    np.testing.assert_allclose(found.tangent, expected, rtol=1e-12)


def test_pooling_and_flattening_against_the_inputs_own():
    # Without weights the covariance is a product of inputs, before and after.
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, 3, 4, 2)), rng.normal(size=(3, 3, 4, 2))
    start = input_gram(jnp.asarray(x), jnp.asarray(z), joint=True)
    pooled = AveragePool((2, 1))(start)
    a, b = (v.reshape(-1, 3, 2, 2, 2).mean(3) for v in (x, z))
    np.testing.assert_allclose(pooled.k12, np.einsum("icpq,jcrs->ijpqrs", a, b) / 3, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(pooled.k11, np.einsum("icpq,icrs->ipqrs", a, a) / 3, rtol=1e-12, atol=1e-15)
    flat = Flatten()(pooled)
    np.testing.assert_allclose(flat.k12, np.einsum("icpq,jcpq->ij", a, b) / 12, rtol=1e-12, atol=1e-15)
    assert flat.k11.shape == (2,)
    diagonal = Flatten()(input_gram(jnp.asarray(x), jnp.asarray(z)))
    np.testing.assert_allclose(diagonal.k12, np.einsum("icpq,jcpq->ij", x, z) / 24, rtol=1e-12, atol=1e-15)


def test_norms_sums_and_dropout():
    x = jnp.asarray(np.random.default_rng(4).normal(size=(3, 4)))
    start = input_gram(x, x, same=jnp.eye(3, dtype=bool))
    unit = RMSNorm()(start)
    norms = np.sqrt(np.mean(np.asarray(x) ** 2, axis=1))
    np.testing.assert_allclose(unit.k12, np.asarray(x) @ np.asarray(x).T / 4 / np.outer(norms, norms), rtol=1e-10)
    dense = Dense(1.2, 0.3)(start)
    normed = LayerNorm()(dense)
    d = np.sqrt(np.asarray(dense.k11))
    np.testing.assert_allclose(normed.tangent, np.asarray(dense.tangent) / np.outer(d, d), rtol=1e-10)
    twice = Add(Identity(), Dense(1.2, 0.3))(dense)
    np.testing.assert_allclose(twice.k12, 2.44 * dense.k12 + 0.09, rtol=1e-12)
    np.testing.assert_allclose(twice.tangent, 2.44 * dense.tangent + 1.44 * dense.k12 + 0.09, rtol=1e-12)
    dropped = Dropout(0.2)(dense)
    expected = np.asarray(dense.k12) * (1 + 0.25 * np.eye(3))
    np.testing.assert_allclose(dropped.k12, expected, rtol=1e-12)


def test_standard_parametrisation_trains_as_the_ntk_one():
    network = finite_network(deep(1, Erf(), 1.5, 0.2), (2,), width=5, outputs=2, key=jax.random.key(0))
    network = jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_array(a) else a, network)
    usual, x = standard(network), jnp.asarray(CIRCLE)

    def loss(model):
        return jnp.sum((jax.vmap(model)(x) - 1.0) ** 2)

    np.testing.assert_allclose(jax.vmap(usual)(x), jax.vmap(network)(x), rtol=1e-12)
    rates = eqx.filter(standard_rates(network), lambda a: True)

    def stepped(model, factors):
        slopes = eqx.filter_grad(loss)(model)
        scaled = slopes if factors is None else jax.tree.map(lambda r, g: r * g, factors, slopes)
        return eqx.apply_updates(model, jax.tree.map(lambda g: -0.01 * g, scaled))

    first, second = stepped(network, None), stepped(usual, rates)
    assert loss(first) < loss(network)
    np.testing.assert_allclose(jax.vmap(second)(x), jax.vmap(first)(x), rtol=1e-12)


def image(n=4):
    return jnp.ones((2, 1, n, n))


REFUSED = [
    (lambda: NNGP(Serial(ReLU(), Dense())).gram(jnp.ones((2, 3))), ValueError, "not Gaussian"),
    (lambda: NNGP(Serial(Dense(), ReLU(), Erf())).gram(jnp.ones((2, 3))), ValueError, "Elementwise"),
    (lambda: NNGP(Serial(Dense(), ReLU(), LayerNorm())).gram(jnp.ones((2, 3))), ValueError, "RMSNorm"),
    (
        lambda: NNGP(Add(Identity(), Serial(Dense(), ReLU()))).gram(jnp.ones((2, 3))),
        ValueError,
        "do not end in weights",
    ),
    (lambda: Serial(Dense(), jax.nn.softmax), TypeError, "sampled_kernels"),
    (lambda: Serial(eqx.nn.MultiheadAttention(1, 2, key=jax.random.key(0))), TypeError, "softmax attention"),
    (lambda: Serial(eqx.nn.MaxPool2d(2)), TypeError, "AveragePool"),
    (lambda: Serial(eqx.nn.BatchNorm), TypeError, "LayerNorm"),
    (lambda: Serial(jnp.tanh), TypeError, "Elementwise"),
    (lambda: Elementwise(jax.nn.softmax), ValueError, "couples all units"),
    (lambda: Serial(), ValueError, "no maps"),
    (lambda: Dense(-1.0), ValueError, "weight_std=-1.0"),
    (lambda: Dropout(1.0), ValueError, "rate"),
    (lambda: Conv((2, 3)), ValueError, "odd sizes"),
    (lambda: NNGP(Serial(Conv((3,)), Flatten(), Dense())).gram(image()), ValueError, "axes of space"),
    (lambda: NNGP(Serial(Conv((5, 5)), Flatten(), Dense())).gram(image()), ValueError, "larger than the image"),
    (lambda: NNGP(Conv((3, 3))).gram(image()), ValueError, "Add Flatten"),
    (lambda: NNGP(Serial(AveragePool((3, 2)), Flatten())).gram(image()), ValueError, "do not divide"),
    (lambda: NNGP(Dense()).gram(jnp.ones((0, 3))), ValueError, "not empty"),
    (lambda: NNGP(Dense()).gram(jnp.ones((2, 3)), jnp.ones((2, 4))), ValueError, "expected the same"),
    (lambda: NNGP(Dense(), block=0).gram(jnp.ones((2, 3))), ValueError, "block=0"),
    (
        lambda: finite_network(Serial(Dense(), ReLU()), (2,), width=3, key=jax.random.key(0)),
        ValueError,
        "expected Dense",
    ),
    (lambda: Polynomial(()), ValueError, "no coefficients"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[w for _, _, w in REFUSED])
def test_refusals_name_the_way_out(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_what_is_not_a_number_stays_one():
    gram = NNGP(deep(1, ReLU(), 1.0, 0.0)).gram(jnp.asarray([[1.0, jnp.nan], [1.0, 0.0]]))
    assert bool(jnp.isnan(gram[0, 1]))
    assert float(gram[1, 1]) == 0.25


def test_a_state_tells_its_space():
    start = input_gram(image(), image(), joint=True)
    assert isinstance(start, Gram)
    assert start.space == (4, 4)
    assert start.variances()[0].shape == (2, 4, 4)
