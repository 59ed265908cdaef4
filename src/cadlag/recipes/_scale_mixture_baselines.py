"""Baselines of `scale-mixture`: a t-likelihood at every point, and a Burr XII prior chosen on validation data."""

from typing import Any


def robust_process(kernel: Any, x: Any, y: Any, settings: dict[str, Any]) -> Any:
    """A Gaussian process with y_i = f(x_i) + noise of Student's t, by variational Bayes (Tipping and Lawrence, 2005).

    t is a Gaussian of precision tau_i / noise, tau_i ~ Gamma(nu/2, nu/2) for each; q(f) q(tau) with q(f) in closed
    form and q(tau_i) = Gamma((nu + 1)/2, beta_i) maximise one bound over kernel, noise, nu and beta.
    """
    import jax.numpy as jnp
    import numpy as np

    from cadlag.data import Affine
    from cadlag.limits import maximise

    inputs = Affine.fit(np.asarray(x))
    # The median and the quartiles, which outliers do not move, are the kinder unit for a robust model.
    centre, spread = float(np.median(y)), float(np.subtract(*np.percentile(y, [75, 25])) / 1.349)
    a, t = inputs.apply(np.asarray(x)), jnp.asarray((y - centre) / spread)
    start = (kernel, jnp.log(jnp.asarray(0.3)), jnp.log(jnp.asarray(4.0)), jnp.full(len(t), jnp.log(2.5)))
    best = maximise(_bound, start, 3 * settings["steps"], a, t)

    def predict(z: Any, targets: Any) -> tuple[Any, Any]:
        log_prob, mean = _predict(best, a, t, inputs.apply(np.asarray(z)), jnp.asarray((targets - centre) / spread))
        return np.asarray(log_prob) - np.log(spread), np.asarray(mean) * spread + centre

    return predict


def _gammas(unknowns: Any) -> tuple[Any, Any, Any, Any]:
    """nu, and shape, rate and mean of the precisions."""
    import jax.numpy as jnp

    _, _, log_nu, log_rate = unknowns
    nu, rate = jnp.clip(jnp.exp(log_nu), 0.5, 1e4), jnp.exp(log_rate)
    shape = (nu + 1) / 2
    return nu, shape, rate, shape / rate


def _bound(unknowns: Any, x: Any, y: Any) -> Any:
    import jax.numpy as jnp
    from jax.scipy.special import digamma, gammaln

    from cadlag.linalg import safe_cholesky

    kernel, log_noise, _, log_rate = unknowns
    nu, shape, rate, precision = _gammas(unknowns)
    cholesky = safe_cholesky(kernel.gram(x) + jnp.diag(jnp.exp(log_noise) / precision))
    evidence = -0.5 * (jnp.sum(y * cholesky.solve(y)) + cholesky.logdet + len(y) * jnp.log(2 * jnp.pi))
    logs = digamma(shape) - log_rate
    half = nu / 2
    kl = (shape - half) * digamma(shape) - gammaln(shape) + gammaln(half) + half * (log_rate - jnp.log(half))
    kl = kl + shape * (half - rate) / rate
    return evidence + jnp.sum(0.5 * logs - 0.5 * jnp.log(precision) - kl)


def _predict(unknowns: Any, x: Any, y: Any, z: Any, targets: Any) -> tuple[Any, Any]:
    """log of the mean of the t-density over the Gaussian of f, by Gauss-Hermite."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.linalg import safe_cholesky

    kernel, log_noise, _, _ = unknowns
    nu, _, _, precision = _gammas(unknowns)
    cholesky = safe_cholesky(kernel.gram(x) + jnp.diag(jnp.exp(log_noise) / precision))
    across = kernel.gram(z, x)
    mean = across @ cholesky.solve(y)
    variance = jnp.diagonal(kernel.gram(z)) - jnp.sum(across.T * cholesky.solve(across.T), axis=0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    f = mean[:, None] + jnp.sqrt(jnp.maximum(variance, 0))[:, None] * jnp.asarray(nodes)[None]
    logs = jax.scipy.stats.t.logpdf(targets[:, None], nu, f, jnp.exp(log_noise / 2))
    return jax.nn.logsumexp(logs + jnp.log(jnp.asarray(weights / weights.sum()))[None], axis=1), mean


def best_burr(kernel: Any, x: Any, y: Any, common: dict[str, Any]) -> Any:
    """The shapes of least NLL on the last fifth of the training data, then fitted to all of it."""
    import numpy as np

    from cadlag.distributions import BurrXII
    from cadlag.limits import StudentTRegressor

    cut = max(2, round(0.8 * len(x)))
    scores = {}
    for c in (1.0, 2.0, 3.0):
        for k in (1.0, 2.0, 3.0):
            model = StudentTRegressor(kernel, prior=BurrXII(c, k), **common).fit(x[:cut], y[:cut])
            scores[c, k] = float(np.mean(model.log_prob(x[cut:], y[cut:])))
    return StudentTRegressor(kernel, prior=BurrXII(*max(scores, key=scores.__getitem__)), **common).fit(x, y)
