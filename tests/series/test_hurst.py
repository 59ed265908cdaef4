"""The Hurst index by maximum likelihood: the likelihood against SciPy, the estimate against what drew the paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cadlag.data import IrregularSeries
from cadlag.paths import FractionalBrownianMotion, FractionalKind
from cadlag.series import HurstEstimator
from cadlag.series.hurst import FractionalGaussian

TIMES = np.linspace(0.0, 2.0, 31)


def paths(h, n, noise=0.05, scale=0.7, kind=FractionalKind.stationary, seed=0):
    """Scaled motion with noise and a level of its own for each path."""
    law = FractionalBrownianMotion(h, kind=kind)
    keys = jax.random.split(jax.random.key(seed), n)
    x = scale * np.asarray(jax.jit(jax.vmap(lambda k: law.sample(jnp.asarray(TIMES), key=k)))(keys))
    rng = np.random.default_rng(seed)
    return x + noise * rng.standard_normal(x.shape) + 3 * rng.standard_normal((n, 1))


def test_the_likelihood_is_that_of_contrasts():
    law = FractionalGaussian(jnp.asarray(0.8), jnp.asarray(-0.3), jnp.asarray(-1.0), FractionalKind.stationary, True)
    t = np.array([0.0, 0.3, 0.5, 1.2, 1.3])
    h, s, sigma = 1 / (1 + np.exp(-0.8)), np.exp(-0.3), np.exp(-1.0) + 1e-4 * np.exp(-0.3)
    a, b = t[:, None], t[None]
    cov = s**2 * (a ** (2 * h) + b ** (2 * h) - abs(a - b) ** (2 * h)) / 2 + sigma**2 * np.eye(5)
    # Any orthonormal basis of what does not see the level; log 1'K⁻¹1 + log det K less log n is its log det.
    q = np.linalg.svd(np.eye(5) - 0.2)[0][:, :4]
    x = np.array([1.0, 1.4, 0.3, 0.2, -0.7])
    wanted = stats.multivariate_normal(np.zeros(4), q.T @ cov @ q).logpdf(q.T @ x) - 0.5 * np.log(5)
    # Padding and gaps are as if they were not there.
    times, mask = jnp.asarray([*t, 1.3, 1.3]), jnp.arange(7) < 5
    value = jax.jit(lambda x: law.log_prob(times, x[None], mask))
    np.testing.assert_allclose(value(jnp.asarray([*x, 9.0, 9.0])), wanted, rtol=1e-10)
    np.testing.assert_allclose(value(jnp.asarray([*x, 0.0, 0.0]) + 100), wanted, rtol=1e-7)
    # Series that share their times share a factor.
    two = jnp.asarray([[*x, 0.0, 0.0], [*(-2 * x), 0.0, 0.0]])
    np.testing.assert_allclose(law.log_prob(times, two, mask), value(two[0]) + value(two[1]), rtol=1e-10)


@pytest.mark.parametrize(("h", "kind"), [
    (0.3, FractionalKind.stationary), (0.7, FractionalKind.stationary), (0.6, FractionalKind.causal),
])  # fmt: skip
def test_it_finds_what_drew_the_paths(h, kind):
    values = paths(h, 100, kind=kind)[:, :, None]
    fitted = HurstEstimator(kind=kind).fit(IrregularSeries.from_arrays(TIMES, values))
    assert 0 < fitted.hurst_error_[0] < 0.05
    assert abs(fitted.hurst_[0] - h) < 4 * fitted.hurst_error_[0]
    if h > 0.5:
        # Rough motion hides the noise: there only H and the two together are pinned down.
        np.testing.assert_allclose(fitted.scale_, 0.7, rtol=0.1)  # some four standard errors
        np.testing.assert_allclose(fitted.noise_, 0.05, atol=0.02)


def test_gaps_and_channels_and_single_precision():
    values = np.stack([paths(0.8, 60), paths(0.4, 60, seed=1)], axis=-1).astype(np.float32)
    values[np.random.default_rng(2).random(values.shape) < 0.3] = np.nan
    fitted = HurstEstimator().fit(IrregularSeries.from_arrays(TIMES.astype(np.float32), values))
    assert np.all(np.abs(fitted.hurst_ - [0.8, 0.4]) < 4 * fitted.hurst_error_)


def test_it_is_saved_and_read(tmp_path):
    fitted = HurstEstimator(noise=False).fit(IrregularSeries.from_arrays(TIMES, paths(0.5, 10, noise=0)[:, :, None]))
    assert fitted.noise_[0] == 0
    fitted.save(tmp_path / "hurst")
    again = HurstEstimator.load(tmp_path / "hurst")
    assert again.hurst_ == fitted.hurst_
    assert again.noise is False


def test_bad_input_gets_advice():
    with pytest.raises(ValueError, match="steps=0 of HurstEstimator"):
        HurstEstimator(steps=0).fit(paths(0.5, 2)[..., None])
    flat = IrregularSeries.from_arrays(TIMES, np.ones((3, 31, 1)))
    with pytest.raises(ValueError, match="'x0' has no series with two observations that differ"):
        HurstEstimator().fit(flat)
    with pytest.raises(ValueError, match=r"type II begins at time zero, but times go down to -1\.0"):
        HurstEstimator(kind=FractionalKind.causal).fit(IrregularSeries.from_arrays(TIMES - 1, paths(0.5, 2)[..., None]))
