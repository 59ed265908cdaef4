"""Deep kernel machines: closed forms, the two limits of nu, conditionals, and finite networks that tend to them."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cadlag.kernels import Dense, Identity, ReLU, Serial, Sine
from cadlag.limits import (
    CategoricalLikelihood,
    DeepKernelMachineClassifier,
    DeepKernelMachineRegressor,
    GaussianLikelihood,
    GramTriple,
    Inducing,
    Triangle,
    alignment,
    arc_cosine_kernels,
    deep_kernel_machine,
    deep_kernel_objective,
    gram_kl,
    input_triple,
    learn_grams,
    learnt,
    linear_deep_kernel,
    through,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))
Y = np.stack([np.tanh(2 * X[:, 0]), X[:, 1]], axis=1)
G0 = X @ X.T / 3
RELU = Serial(ReLU(), Dense(2**0.5))
# exp(-R), R half the squared distance of features: sin and cos together see differences alone.
SQUARED_EXPONENTIAL = Serial(Dense(), Sine(1.0, math.pi / 4), Dense(2**0.5))
KERNELS = (SQUARED_EXPONENTIAL, SQUARED_EXPONENTIAL)


def spd(seed, n=4):
    a = np.random.default_rng(seed).normal(size=(n, n + 2))
    return a @ a.T / n


def random_triangle(seed, p=6, size=0.4):
    return Triangle(jnp.asarray(size * np.random.default_rng(seed).normal(size=(p, p))))


class TestDivergence:
    def test_against_scipy(self):
        g, k = spd(1), spd(2)
        x = np.random.default_rng(3).multivariate_normal(np.zeros(4), g, size=20_000)
        ratio = stats.multivariate_normal(np.zeros(4), g).logpdf(x) - stats.multivariate_normal(np.zeros(4), k).logpdf(
            x
        )
        assert abs(float(gram_kl(jnp.asarray(g), jnp.asarray(k))) - ratio.mean()) < 4 * ratio.std() / math.sqrt(20_000)

    def test_sign_zero_and_invariance(self):
        kl = jax.jit(jax.vmap(gram_kl))
        g, k = (jnp.asarray(np.stack([spd(2 * s + j) for s in range(1000)])) for j in (0, 1))
        assert float(jnp.min(kl(g, k))) > 0
        np.testing.assert_allclose(kl(g, g), 0, atol=1e-9)
        b = jnp.asarray(np.random.default_rng(9).normal(size=(4, 4)))[None]
        turned = [jnp.matmul(b, jnp.matmul(a, b.transpose(0, 2, 1))) for a in (g, k)]
        np.testing.assert_allclose(kl(*turned), kl(g, k), rtol=1e-6)
        assert float(jnp.max(jnp.abs(jax.grad(gram_kl)(g[0], g[0])))) < 1e-9

    def test_triangle_s_is_that_of_its_matrix(self):
        root = random_triangle(4)
        product = np.asarray(root.matrix @ root.matrix.T)
        np.testing.assert_allclose(root.kl(), gram_kl(jnp.asarray(product), jnp.eye(6)), rtol=1e-10)
        assert np.linalg.eigvalsh(product)[0] > 0
        # Whatever a step of training does, the matrix stays positive definite.
        assert np.linalg.eigvalsh(np.asarray(random_triangle(5, size=3.0).matrix) @
                                  np.asarray(random_triangle(5, size=3.0).matrix).T)[0] > 0  # fmt: skip


class TestKernels:
    def test_arc_cosine(self):
        for c, expected in ((0.0, 1 / math.pi), (0.5, 0.608998)):
            g = jnp.asarray([[1.0, c], [c, 1.0]])
            k = through(RELU, GramTriple(g, g, jnp.ones(2))).ii
            np.testing.assert_allclose(jnp.diagonal(k), 1, rtol=1e-12)
            np.testing.assert_allclose(k[0, 1], expected, atol=1e-6)

    def test_squared_exponential_from_gram_is_that_of_features(self):
        distances = ((X[:, None] - X[None]) ** 2).sum(-1)
        triple = through(SQUARED_EXPONENTIAL, input_triple(jnp.asarray(X[:4]), jnp.asarray(X)))
        np.testing.assert_allclose(triple.ii, np.exp(-distances[:4, :4] / 6), atol=1e-12)
        np.testing.assert_allclose(triple.ti, np.exp(-distances[:, :4] / 6), atol=1e-12)
        np.testing.assert_allclose(triple.t, 1, atol=1e-12)


class TestConditionals:
    TRIPLE = through(SQUARED_EXPONENTIAL, input_triple(jnp.asarray(X), jnp.asarray(X)))

    def test_no_change_without_learning(self):
        same = learnt(self.TRIPLE, Triangle(jnp.zeros((6, 6))))
        for a, b in ((same.ii, self.TRIPLE.ii), (same.ti, self.TRIPLE.ti), (same.t, self.TRIPLE.t)):
            np.testing.assert_allclose(a, b, atol=1e-10)

    def test_points_that_induce_repeat_their_gram_matrix(self):
        found = learnt(self.TRIPLE, random_triangle(6))
        np.testing.assert_allclose(found.ti, found.ii, atol=1e-10)
        np.testing.assert_allclose(found.t, jnp.diagonal(found.ii), atol=1e-10)

    def test_against_numpy_and_the_joint_form(self):
        z, x = jnp.asarray(X[:4]), jnp.asarray(np.random.default_rng(7).normal(size=(5, 3)))
        k, root = through(SQUARED_EXPONENTIAL, input_triple(z, x), 1e-3), random_triangle(8, 4)
        found, kii, kti = learnt(k, root), np.asarray(k.ii), np.asarray(k.ti)
        w = kti @ np.linalg.inv(kii)
        np.testing.assert_allclose(found.ti, w @ np.asarray(found.ii), atol=1e-9)
        expected = np.asarray(k.t) + np.diag(w @ (np.asarray(found.ii) - kii) @ w.T)
        np.testing.assert_allclose(found.t, expected, atol=1e-9)
        assert np.all(np.asarray(found.t) > 0)
        joint = learnt(through(SQUARED_EXPONENTIAL, input_triple(z, x, joint=True), 1e-3), root)
        np.testing.assert_allclose(jnp.diagonal(joint.t), found.t, atol=1e-9)


def machine(p=6, nu=1.0, kernels=KERNELS, jitter=0.0):
    model = deep_kernel_machine(
        kernels, jnp.asarray(X[:p]), 2, GaussianLikelihood(jnp.log(jnp.asarray(0.1))), nu=nu, jitter=jitter
    )
    return model


def with_(model, **parts):
    return type(model)(**{name: parts.get(name, getattr(model, name)) for name in vars(model)})


@functools.cache
def optimal():
    """All points induce, q(u) is the posterior, R some matrix."""
    model = with_(machine(), roots=(random_triangle(10),))
    k = np.asarray(model.triples(jnp.asarray(X))[-1].ii)
    root = np.linalg.cholesky(k)
    inverse = np.linalg.inv(k + 0.1 * np.eye(6))
    mean = np.linalg.solve(root, k @ inverse @ Y)
    factor = np.linalg.cholesky(np.linalg.solve(root, np.linalg.solve(root, k - k @ inverse @ k).T))
    raw = np.tril(factor, -1) + np.diag(np.log(np.diag(factor)))
    return with_(model, output=Inducing(jnp.asarray(mean.T), Triangle(jnp.asarray(raw))))


class TestObjective:
    def test_sparse_one_with_all_points_is_the_full_one(self):
        model = optimal()
        grams = model.triples(jnp.asarray(X))
        full = deep_kernel_objective([grams[0].ii], jnp.asarray(G0), jnp.asarray(Y), KERNELS, nu=1.0, noise=0.1)
        found = 6 * model.objective(jnp.asarray(X), jnp.asarray(Y), 6, key=jax.random.key(0))
        np.testing.assert_allclose(found, full, rtol=1e-6)
        # Any other q(u) is worse.
        assert float(found) > float(6 * machine().objective(jnp.asarray(X), jnp.asarray(Y), 6, key=jax.random.key(0)))

    def test_full_one_against_scipy(self):
        model = optimal()
        (g, k), first = model.triples(jnp.asarray(X)), through(KERNELS[0], input_triple(jnp.asarray(X), jnp.asarray(X)))
        log = sum(stats.multivariate_normal(np.zeros(6), np.asarray(k.ii) + 0.1 * np.eye(6)).logpdf(y) for y in Y.T)
        expected = log - 3.0 * float(gram_kl(g.ii, first.ii))
        found = deep_kernel_objective([g.ii], jnp.asarray(G0), jnp.asarray(Y), KERNELS, nu=3.0, noise=0.1)
        np.testing.assert_allclose(found, expected, rtol=1e-8)

    def test_turned_inputs_change_nothing(self):
        turn = np.linalg.qr(np.random.default_rng(11).normal(size=(3, 3)))[0]
        model = optimal()
        turned = with_(model, z=model.z @ turn)
        a, b = (
            m.objective(jnp.asarray(x), jnp.asarray(Y), 6, key=jax.random.key(0))
            for m, x in ((model, X), (turned, X @ turn))
        )
        np.testing.assert_allclose(a, b, rtol=1e-9)

    def test_joint_covariance_has_the_variances(self):
        x = jnp.asarray(np.random.default_rng(12).normal(size=(4, 3)))
        np.testing.assert_allclose(jnp.diagonal(optimal().covariance(x)), optimal().latent(x)[1], atol=1e-9)


class TestOptimum:
    def test_linear_kernels_interpolate_geometrically(self):
        g0, gy = spd(13), spd(14)
        y = jnp.asarray(np.linalg.cholesky(gy) * 2)
        found = learn_grams(jnp.asarray(g0), y, (Identity(),) * 3, nu=4.0, noise=0.0, steps=500)
        # Matrix powers of NumPy; four outputs, so that G_Y = Y Yᵀ / 4.
        values, vectors = np.linalg.eig(gy @ np.linalg.inv(g0))
        for layer, (g, ours) in enumerate(
            zip(found.grams, linear_deep_kernel(jnp.asarray(g0), jnp.asarray(gy), 2), strict=True), start=1
        ):
            power = (vectors @ np.diag(values ** (layer / 3)) @ np.linalg.inv(vectors)).real @ g0
            np.testing.assert_allclose(ours, power, rtol=1e-8)
            assert np.linalg.norm(g - power) / np.linalg.norm(power) < 1e-4
        start = deep_kernel_objective([jnp.asarray(g0)] * 2, jnp.asarray(g0), y, (Identity(),) * 3, nu=4.0, noise=0.0)
        assert float(found.objective) > float(start)

    def test_two_starts_one_optimum(self):
        noise = [random_triangle(s).raw for s in (15, 16)]
        ends = [
            learn_grams(jnp.asarray(G0), jnp.asarray(Y), KERNELS, nu=1.0, noise=0.1, start=[raw], steps=500).grams[0]
            for raw in noise
        ]
        assert float(jnp.linalg.norm(ends[0] - ends[1]) / jnp.linalg.norm(ends[0])) < 1e-3

    def test_large_nu_is_the_nngp_and_small_nu_aligns(self):
        target, alignments = jnp.asarray(Y @ Y.T), []
        for nu in (1e6, 100.0, 10.0, 1.0, 0.1):
            found = learn_grams(jnp.asarray(G0), jnp.asarray(Y), KERNELS, nu=nu, noise=0.1, steps=300)
            if nu == 1e6:
                expected = through(KERNELS[0], input_triple(jnp.asarray(X), jnp.asarray(X))).ii
                np.testing.assert_allclose(found.grams[0], expected, atol=1e-4)
            alignments.append(float(alignment(found.grams[0], target)))
        assert np.all(np.diff(alignments) > 0)


def test_density_of_wishart_tends_to_the_divergence():
    # (1/N) log of the density over its peak at G = K; Stirling leaves nothing, for the peak has the same constants.
    g, k = spd(17), spd(18)
    for n in (1000, 10_000):
        wishart = stats.wishart(n, k / n)
        gap = (wishart.logpdf(g) - wishart.logpdf(k)) / n
        assert abs(gap + float(gram_kl(jnp.asarray(g), jnp.asarray(k)))) < 16 * math.log(n) / n


def langevin(width, steps=1500, chains=4):
    """Distances to the optimum of Gram matrices F Fᵀ / N, F from the posterior of one hidden layer of N features."""
    kernel, p = SQUARED_EXPONENTIAL, 4
    x, y = X[:p], Y[:p]
    g0 = jnp.asarray(x @ x.T / 3)
    first = through(kernel, input_triple(jnp.asarray(x), jnp.asarray(x))).ii
    root = jnp.linalg.cholesky(first)
    noise, step = 0.1, 0.02

    def energy(w):
        f = root @ w
        k = through(kernel, GramTriple(f @ f.T / width, f @ f.T / width, jnp.ones(p))).ii
        s = k + noise * jnp.eye(p)
        fit = jnp.sum(y * jnp.linalg.solve(s, jnp.asarray(y))) + 2 * jnp.linalg.slogdet(s)[1]
        return 0.5 * width * fit + 0.5 * jnp.sum(w**2)

    def move(w, key):
        w = w - step * jax.grad(energy)(w) + math.sqrt(2 * step) * jax.random.normal(key, w.shape)
        f = root @ w
        return w, f @ f.T / width

    def chain(key):
        first_key, rest = jax.random.split(key)
        w = jax.random.normal(first_key, (p, width))
        return jax.lax.scan(move, w, jax.random.split(rest, steps))[1][steps // 2 :: 50]

    grams = jax.jit(jax.vmap(chain))(jax.random.split(jax.random.key(19), chains))
    best = learn_grams(g0, jnp.asarray(y), (kernel, kernel), nu=1.0, noise=noise, steps=300).grams[0]
    distance = lambda g: jnp.linalg.norm(g - jnp.broadcast_to(best, g.shape), axis=(-2, -1)) / jnp.linalg.norm(best)
    return float(jnp.mean(distance(grams))), float(distance(jnp.mean(grams, axis=(0, 1)))), float(distance(first))


def test_finite_networks_tend_to_the_optimum():
    (narrow, _, _), (wide, mean, nngp) = langevin(8), langevin(128)
    # N^(-1/2): a factor of four, loosely, since the discretisation has a bias of its own.
    assert 2 < narrow / wide < 8
    # Means over draws are free of the draws' own spread, which four points and 128 features still have.
    assert mean < nngp / 2


def tanh_data(n=120):
    rng = np.random.default_rng(20)
    x = rng.normal(size=(n, 4))
    return x, np.tanh(2 * x[:, 0]) + 0.1 * rng.normal(size=n)


SMALL = {"inducing": 16, "steps": 200, "batch_size": 40, "layers": 1}


def test_regressor_learns_the_kernel(tmp_path):
    x, y = tanh_data(240)
    fitted = DeepKernelMachineRegressor(**SMALL, nu=1.0).fit(x[:120], y[:120])
    fixed = DeepKernelMachineRegressor(**SMALL, nu=math.inf).fit(x[:120], y[:120])
    assert fitted.log_prob(x[120:], y[120:]).mean() > fixed.log_prob(x[120:], y[120:]).mean() + 0.05
    np.testing.assert_array_equal(fixed.model_.roots[0].raw, np.zeros((16, 16)))
    mean, std = fitted.predict(x[:5], return_std=True)
    sample = fitted.sample(x[:5], 400)
    assert sample.shape == (400, 5)
    # Five standard errors of a mean.
    assert np.all(abs(sample.mean(0) - mean) < 5 * std / 20)
    fitted.save(tmp_path / "model")
    np.testing.assert_array_equal(DeepKernelMachineRegressor.load(tmp_path / "model").predict(x[:5]), mean)


def test_classifier():
    x, y = tanh_data(90)
    labels = np.where(y > 0, "b", "a")
    fitted = DeepKernelMachineClassifier(**(SMALL | {"steps": 120}), draws=4).fit(x, labels)
    assert fitted.score(x, labels) > 0.85
    np.testing.assert_allclose(fitted.predict_proba(x).sum(1), 1, rtol=1e-9)


def test_likelihoods_against_numpy():
    mean, variance, key = jnp.asarray([0.3, -0.4, 0.1]), jnp.asarray(0.5), jax.random.key(21)
    gaussian = GaussianLikelihood(jnp.log(jnp.asarray(0.2)))
    y = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(
        gaussian.log_prob(mean, variance, jnp.asarray(y), key=key), stats.norm(mean, math.sqrt(0.7)).logpdf(y).sum()
    )
    expected = stats.norm(mean, math.sqrt(0.2)).logpdf(y).sum() - 3 * 0.5 / (2 * 0.2)
    np.testing.assert_allclose(gaussian.expected(mean, variance, jnp.asarray(y), key=key), expected)
    f = np.asarray(mean) + math.sqrt(0.5) * np.random.default_rng(22).normal(size=(100_000, 3))
    logs = f[:, 1] - np.log(np.exp(f).sum(1))
    categorical = CategoricalLikelihood(20_000)
    # Five standard errors of 20,000 draws.
    limit = 5 * logs.std() / math.sqrt(20_000)
    assert abs(float(categorical.expected(mean, variance, jnp.asarray(1), key=key)) - logs.mean()) < limit
    assert (
        abs(float(categorical.log_prob(mean, variance, jnp.asarray(1), key=key)) - np.log(np.exp(logs).mean())) < limit
    )


def test_bad_input():
    x, y = tanh_data(20)
    with pytest.raises(ValueError, match="nu=0"):
        DeepKernelMachineRegressor(nu=0).fit(x, y)
    with pytest.raises(ValueError, match="expected GramMaps, one for each"):
        DeepKernelMachineRegressor(layers=2, kernels=arc_cosine_kernels(1)).fit(x, y)
    with pytest.raises(ValueError, match="one for each and one"):
        learn_grams(jnp.asarray(G0), jnp.asarray(Y), (), nu=1.0, noise=0.1)
    with pytest.raises(ValueError, match="one class only"):
        DeepKernelMachineClassifier().fit(x, np.ones(20))
    with pytest.raises(ValueError, match="expected \\(n, features\\)"):
        DeepKernelMachineRegressor().fit(x[:, None], y)
    with pytest.raises(ValueError, match="noise=0"):
        DeepKernelMachineRegressor(noise=0.0).fit(x, y)
