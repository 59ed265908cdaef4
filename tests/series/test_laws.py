"""Laws of series: their evidence against closed forms, draws, posteriors, and the estimator around them."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from cadlag.data import IrregularSeries
from cadlag.series import (
    GRU,
    Adversarial,
    CDECritic,
    LatentODE,
    LatentSDE,
    NeuralCDE,
    SDEGenerator,
    SeriesGenerator,
    SignatureScore,
    Variational,
    clip_weights,
)
from cadlag.series._law import encode_backwards
from cadlag.series._network import reverse_series
from cadlag.series._objectives import unbiased_distance
from cadlag.series._signatures import path_signature
from cadlag.solve import ODE, SDE, NoiseKind, Reversible, ReversibleHeun
from cadlag.train import AbstractProgress

SMALL = {"hidden_size": 3, "latent_size": 2, "width": 4, "encoder": functools.partial(GRU, hidden_size=4)}
LAWS = {
    "ode": functools.partial(LatentODE, depth=1, **SMALL),
    "sde": functools.partial(LatentSDE, **SMALL),
}


def waves(n=24, rows=12, seed=0, drop=0.3):
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 3, rows)
    values = np.sin(t[None] * 2 + rng.uniform(0, 6, (n, 1)))[:, :, None] + 0.05 * rng.normal(size=(n, rows, 1))
    values[rng.uniform(size=values.shape) < drop] = np.nan
    return IrregularSeries.from_arrays(t, values)


@pytest.mark.parametrize("name", LAWS)
def test_unobserved_rows_change_neither_evidence_nor_what_is_before_them(name):
    law = LAWS[name](1, key=jax.random.key(0))
    series = waves(2).without_ids()[0]
    longer = IrregularSeries(
        *(jnp.asarray(np.concatenate([x, y])) for x, y in (
            (series.times, [3.5, 4.0]), (series.values, np.zeros((2, 1))), (series.mask, np.zeros((2, 1), bool)))),
        lengths=jnp.asarray(14),
    )  # fmt: skip
    for key in jax.random.split(jax.random.key(1), 2):
        codes = [encode_backwards(law.encoder, s)[:12] for s in (series, longer)]
        np.testing.assert_allclose(*codes, rtol=1e-9)
        if name == "ode":  # an SDE's noise is drawn anew on another grid
            a, b = law.evidence(series, key=key), law.evidence(longer, key=key)
            np.testing.assert_allclose(a.log_likelihood, b.log_likelihood, rtol=1e-9)
            np.testing.assert_allclose(
                law.posterior(series, key=key), law.posterior(longer, key=key)[:12], rtol=1e-9, atol=1e-12
            )
    assert law.posterior(longer, key=jax.random.key(2)).shape == (14, 1)


def test_at_first_the_posterior_is_the_prior_and_only_the_start_diverges():
    law = LAWS["sde"](1, key=jax.random.key(0))
    series = waves(2).without_ids()[0]
    found = law.evidence(series, key=jax.random.key(1))
    codes = law.encoder(_reversed(series))
    mean, log_std = np.split(np.asarray(law.initial.infer(codes[-1])), 2)
    exact = sum(0.5 * (m**2 + s**2 - 1) - np.log(s) for m, s in zip(mean, np.exp(log_std), strict=True))
    np.testing.assert_allclose(found.divergence, exact, rtol=1e-9)


def _reversed(series):
    return reverse_series(series)


def test_a_constant_control_adds_its_energy_up_to_the_last_observation():
    law = LAWS["sde"](1, key=jax.random.key(0))
    bias = lambda m: m.control.net.layers[-1].bias
    pushed = eqx.tree_at(bias, law, jnp.full(3, 0.4))
    t = np.linspace(0, 2, 9)
    values = np.where(t[None, :, None] <= 1.5, 0.3, np.nan)
    series = IrregularSeries.from_arrays(t, values).without_ids()[0]
    key = jax.random.key(2)
    extra = pushed.evidence(series, key=key).divergence - law.evidence(series, key=key).divergence
    np.testing.assert_allclose(extra, 0.5 * 3 * 0.4**2 * 1.5, rtol=1e-9)


def test_the_log_likelihood_is_that_of_observed_values():
    law = LAWS["ode"](1, key=jax.random.key(0))
    series = waves(2).without_ids()[1]
    key = jax.random.key(3)
    path = np.asarray(law.posterior(series, key=key))
    seen = np.asarray(series.mask)
    noise = float(law.readout.noise[0])
    np.testing.assert_allclose(noise, 0.1, rtol=1e-9)
    exact = scipy.stats.norm(path[seen], noise).logpdf(np.asarray(series.values)[seen]).sum()
    np.testing.assert_allclose(law.evidence(series, key=key).log_likelihood, exact, rtol=1e-9)


def test_a_known_process_as_prior_and_any_encoder():
    # An Ornstein-Uhlenbeck prior that shares one noise, read by a neural CDE: nobody's published model.
    prior = lambda n, *, key: SDE(
        lambda t, y, args: -y, lambda t, y, args: jnp.ones((n, 1), y.dtype), NoiseKind.additive
    )
    settings = SMALL | {"encoder": functools.partial(NeuralCDE, hidden_size=4)}
    law = LatentSDE(1, prior=prior, **settings, key=jax.random.key(0))
    assert law.control.shape == (1,)
    slope = eqx.filter_grad(lambda m: m.evidence(waves(2).without_ids()[0], key=jax.random.key(1)).divergence)(law)
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(slope))
    lnsde = LatentSDE(1, prior=_langevin, **SMALL, key=jax.random.key(0))
    assert lnsde.sample(jnp.linspace(0, 1, 5), key=jax.random.key(1)).shape == (5, 1)


def _langevin(hidden_size, *, key):
    """The process of a stable SDE, its control left out: dz = γ dt + σ(t) z dW."""
    g = 0.3
    return SDE(lambda t, y, args: -y, lambda t, y, args: g * y)


def test_clipping_bounds_each_layer_from_l1_to_l1():
    critic = clip_weights(CDECritic(2, hidden_size=5, width=6, key=jax.random.key(0)))
    x, y = (np.asarray(jax.random.normal(k, (50, 3))) for k in jax.random.split(jax.random.key(1)))
    for net in (critic.initial,):
        for a, b in zip(x, y, strict=True):
            assert np.abs(net(jnp.asarray(a)) - net(jnp.asarray(b))).sum() <= np.abs(a - b).sum() * (1 + 1e-12)
    assert max(float(jnp.abs(n.weight).max() * n.weight.shape[0]) for n in critic.drift.net.layers) <= 1 + 1e-12


def test_the_critic_reads_the_path_and_not_its_padding():
    critic = CDECritic(1, hidden_size=4, width=4, key=jax.random.key(0))
    series = waves(2, drop=0.0).without_ids()[0]
    padded = IrregularSeries(
        *(jnp.asarray(np.concatenate([x, y])) for x, y in (
            (series.times, [3.0, 3.0]), (series.values, np.zeros((2, 1))), (series.mask, np.zeros((2, 1), bool)))),
        lengths=jnp.asarray(12),
    )  # fmt: skip
    np.testing.assert_allclose(critic(series), critic(padded), rtol=1e-9)
    other = eqx.tree_at(lambda s: s.values, series, jnp.asarray(series.values).at[5].add(0.1))
    assert abs(critic(other) - critic(series)) > 1e-9


def test_gradients_at_constant_memory_are_those_of_storing():
    settings = {"hidden_size": 3, "noise_size": 2, "latent_size": 2, "width": 4, "stepper": ReversibleHeun()}
    times = jnp.linspace(0.0, 1.0, 9)

    def slope(adjoint):
        law = SDEGenerator(1, adjoint=adjoint, **settings, key=jax.random.key(0))
        return eqx.filter_grad(lambda m: jnp.sum(m.sample(times, key=jax.random.key(1)) ** 2))(law)

    for a, b in zip(jax.tree.leaves(slope(None)), jax.tree.leaves(slope(Reversible())), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_lead_lag_areas_are_half_the_quadratic_variation():
    x = np.cumsum(np.random.default_rng(0).normal(size=9))
    series = IrregularSeries.from_arrays(np.linspace(0, 1, 9), x[None, :, None]).without_ids()[0]
    found = np.asarray(path_signature(series, depth=2, lead_lag=True))
    np.testing.assert_allclose(found[:3], [1.0, x[-1], x[-1]], rtol=1e-9)
    level = found[3:].reshape(3, 3)  # (time, lead, lag)
    variation = x[0] ** 2 + np.sum(np.diff(x) ** 2)
    np.testing.assert_allclose(level[1, 2] - level[2, 1], variation, rtol=1e-9)


def test_the_distance_of_signatures_is_unbiased():
    rng = np.random.default_rng(1)
    shift = np.array([0.3, -0.2])
    draws = [
        float(unbiased_distance(jnp.asarray(rng.normal(size=(6, 2))), jnp.asarray(rng.normal(size=(5, 2)) + shift)))
        for _ in range(400)
    ]
    assert abs(np.mean(draws) - np.sum(shift**2)) < 4 * np.std(draws) / 20


FAST = {"steps": 12, "batch_size": 8, "n_paths": 3}
OBJECTIVES = {
    "bound, ode": (LAWS["ode"], None),
    "bound, sde": (LAWS["sde"], Variational(weight=0.5)),
    "critic": (
        functools.partial(SDEGenerator, hidden_size=3, noise_size=1, latent_size=2, width=4),
        Adversarial(critic=functools.partial(CDECritic, hidden_size=3, width=4), critic_steps=2),
    ),
    "signatures": (LAWS["sde"], SignatureScore(depth=2)),
}


@pytest.fixture(scope="module", params=OBJECTIVES)
def fitted(request):
    law, objective = OBJECTIVES[request.param]
    return SeriesGenerator(law, objective=objective, **FAST).fit(waves())


def test_a_fitted_law_draws_and_is_saved(fitted, tmp_path):
    drawn = fitted.sample(5, seed=1)
    assert drawn.shape == (5, 12, 1)
    assert np.all(np.isfinite(drawn))
    np.testing.assert_array_equal(drawn, fitted.sample(5, seed=1))
    assert fitted.sample(3, times=[0.0, 0.1, 7.0]).shape == (3, 3, 1)
    fitted.save(tmp_path / "law")
    np.testing.assert_array_equal(SeriesGenerator.load(tmp_path / "law").sample(5, seed=1), drawn)


def test_a_latent_law_fills_and_forecasts_and_others_say_they_cannot(fitted):
    series = waves(5, seed=3)
    if isinstance(fitted.model_, SDEGenerator):
        with pytest.raises(ValueError, match="no posterior"):
            fitted.impute(series)
        return
    filled = fitted.impute(series)
    np.testing.assert_array_equal(filled[series.mask], np.asarray(series.values)[series.mask])
    assert np.all(np.isfinite(filled))
    assert fitted.impute(series, n=4).shape == (5, 4, 12, 1)
    ahead = fitted.forecast(series, 3)
    assert ahead.shape == (5, 3, 1)
    assert fitted.forecast(series, times=[3.5, 4.0], n=2).shape == (5, 2, 2, 1)
    assert np.isfinite(fitted.score(series))
    # Who else is asked about changes nothing.
    np.testing.assert_allclose(fitted.impute(series[:2]), filled[:2], rtol=1e-9)


def test_interrupted_training_resumes_to_the_same_law(tmp_path):
    class StopError(Exception):
        pass

    class Breaks(AbstractProgress):
        def start(self, *args, **kwargs):
            pass

        def update(self, step, values):
            raise StopError

        def stop(self, *args, **kwargs):
            pass

    law, objective = OBJECTIVES["critic"]
    settings = {"objective": objective, **FAST, "steps": 110}
    whole = SeriesGenerator(law, **settings, run=tmp_path / "a").fit(waves())
    with pytest.raises(StopError):
        SeriesGenerator(law, **settings, run=tmp_path / "b", progress=Breaks()).fit(waves())
    resumed = SeriesGenerator(law, **settings, run=tmp_path / "b").fit(waves())
    np.testing.assert_array_equal(resumed.sample(3), whole.sample(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeriesGenerator(steps=0).fit(waves()), "steps=0"),
        (lambda: SeriesGenerator(LAWS["ode"]).fit(waves(1)), "at least two"),
        (lambda: SeriesGenerator(LAWS["ode"]).fit(np.full((3, 4, 1), np.nan)), "observed|missing|NaN"),
        (lambda: SeriesGenerator(LAWS["ode"]).fit(np.ones((3, 1, 1))), "single row"),
        (lambda: SeriesGenerator(SDEGenerator, objective=Variational()).fit(waves()), "posterior"),
        (lambda: Adversarial(ratio=0.0), "ratio"),
        (lambda: LatentSDE(1, prior=lambda n, key: ODE(lambda t, y, a: y), key=jax.random.key(0)), "LatentODE"),
        (lambda: SDEGenerator(1, steps=0, key=jax.random.key(0)), "steps=0"),
    ],
)
def test_bad_input_gets_advice(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_law_is_refused():
    with pytest.raises(TypeError, match="SeriesClassifier"):
        SeriesGenerator(lambda channels, key: GRU(channels, key=key)).fit(waves())
