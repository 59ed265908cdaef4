"""Predictors, the corrector, constraints and `sample`: published formulas, laws, invariances, refusals."""

import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from cadlag.diffusion import (
    OU,
    VE,
    VP,
    AncestralStep,
    DPMSolver,
    EulerStep,
    ExactDenoiser,
    FunctionDenoiser,
    Guided,
    Inpainting,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusionStep,
    ReverseSDE,
    SubVP,
    Tabulated,
    UniformLogSNR,
    colour_rotation,
    grey_level,
    probability_flow,
    repeat,
    sample,
)
from cadlag.solve import SRK, Reversible, ReversibleHeun, solve

from .laws import BETAS, SCHEDULES, gaussian, two_modes

X = jnp.array([0.4, -0.7])


@pytest.mark.parametrize("kind", ["vp", "ve"])
def test_predictors_are_the_published_ones(kind):
    """Reverse diffusion and ancestral steps of Song et al. 2021 (card 08), from β_i and σ_i alone."""
    i, key = 300, jr.key(0)
    z = np.asarray(jr.normal(key, (2,)))
    if kind == "vp":
        schedule, beta = Tabulated.from_betas(BETAS), BETAS[i - 1]
        s, t, g2 = i / 1000, (i - 1) / 1000, beta
        sigma, before = (math.sqrt(1 - np.prod(1 - BETAS[:j])) for j in (i, i - 1))
    else:
        schedule = VE()
        s, t = i / 1000, (i - 1) / 1000
        sigma, before = (0.01 * 5000 ** (j / 1000) for j in (i, i - 1))
        g2, beta = sigma**2 - before**2, 0.0
    denoiser = ExactDenoiser(two_modes(), schedule)
    s, t = jnp.asarray(s), jnp.asarray(t)
    score = np.asarray(denoiser.score(s, X))
    moved, mean = ReverseDiffusionStep().step(denoiser, X, s, t, None, key)
    np.testing.assert_allclose(mean, (2 - math.sqrt(1 - beta)) * X + g2 * score, rtol=1e-7)
    np.testing.assert_allclose(moved - mean, math.sqrt(g2) * z, rtol=1e-6)
    _, flow = ReverseDiffusionStep(noise_level=0.0).step(denoiser, X, s, t, None, key)
    np.testing.assert_allclose(flow, (2 - math.sqrt(1 - beta)) * X + 0.5 * g2 * score, rtol=1e-7)
    moved, mean = AncestralStep().step(denoiser, X, s, t, None, key)
    np.testing.assert_allclose(mean, (X + g2 * score) / math.sqrt(1 - beta), rtol=1e-7)
    np.testing.assert_allclose(moved - mean, math.sqrt(g2) * before / sigma * z, rtol=1e-6)
    large = AncestralStep(posterior=False).step(denoiser, X, s, t, None, key)
    np.testing.assert_allclose(large[0] - large[1], math.sqrt(g2) * z, rtol=1e-6)


def test_euler_step_is_euler_maruyama_on_the_reverse_sde():
    denoiser, s, t = ExactDenoiser(two_modes(), SubVP()), jnp.asarray(0.5), jnp.asarray(0.48)
    f, g2 = SubVP().drift_rate(s) * X, SubVP().squared_diffusion(s)
    _, mean = EulerStep().step(denoiser, X, s, t, None, jr.key(0))
    np.testing.assert_allclose(mean, X - 0.02 * (f - g2 * denoiser.score(s, X)), rtol=1e-9)


SAMPLERS = {
    "reverse-sde": ReverseSDE(150),
    "srk": ReverseSDE(60, stepper=SRK()),
    "pc": PredictorCorrector(80, corrector=Langevin(0.05), grid=UniformLogSNR()),
    "ancestral": PredictorCorrector(120, AncestralStep(), grid=UniformLogSNR()),
    "flow": ProbabilityFlow(40),
    "sde-2": DPMSolver(60, stochastic=True),
}


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", ["vp", "sub-vp"])
def test_samplers_draw_the_data_law(name, schedule):
    """4,000 draws with the exact score: mean within 4 standard errors, covariance within 4 plus 3 % for steps.

    Langevin correction on sub-VP, which crashes in the released code, is among them. False alarms: below 1e-3 a case.
    """
    if name in ("srk", "flow") and schedule == "sub-vp":
        pytest.skip("the schedule enters the same way")
    law, n = two_modes(), 4000
    x = np.asarray(sample(ExactDenoiser(law, SCHEDULES[schedule]), (2,), n, key=jr.key(5), sampler=SAMPLERS[name]))
    cov = np.asarray(law.covariance)
    error = np.sqrt(np.diag(cov) / n)
    assert np.all(np.abs(x.mean(0) - np.asarray(law.mean)) < 4 * error)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=4 * np.max(cov) * math.sqrt(2 / n) + 0.03 * np.max(cov))
    share = np.mean(x[:, 0] > 0.2)  # the modes are four deviations apart
    assert abs(share - 0.7) < 4 * math.sqrt(0.21 / n) + 0.02


def test_euler_bias_falls_as_one_over_steps():
    """Standard deviation of a scalar law after 10, 20, 40 Euler steps: the error halves, within 25 %.

    200,000 draws: standard error of a deviation 1.6e-3 relative, errors are 5 % and more.
    """
    schedule = OU(t1=3.0, t_min=0.05, t_max=3.0)
    target = math.sqrt(0.25 * math.exp(-0.1) + 1 - math.exp(-0.1))
    errors = []
    for steps in (10, 20, 40):
        sampler = PredictorCorrector(steps, EulerStep(), denoise=False)
        x = sample(ExactDenoiser(gaussian(0.0, 0.5), schedule), (1,), 200_000, key=jr.key(1), sampler=sampler)
        errors.append(abs(float(jnp.std(x)) / target - 1))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.25)


def test_corrector_leaves_the_marginal_alone_and_is_the_identity_at_zero():
    """30 steps with r = 0.05 at one level, 4,000 draws: mean and deviation within 4 standard errors plus r² = 0.3 %."""
    denoiser, s = ExactDenoiser(two_modes(), VP()), jnp.asarray(0.3)
    law = two_modes().diffused(VP().alpha(s), VP().sigma(s))
    corrector = Langevin(0.05)
    t = s - 1e-3

    def stay(key):
        start, *rest = jr.split(key, 31)
        return jax.lax.scan(
            lambda x, k: (corrector.step(denoiser, x, s, t, None, k), None), law.sample(start), jnp.stack(rest)
        )[0]

    x = np.asarray(jax.jit(jax.vmap(stay, axis_name="batch"))(jr.split(jr.key(2), 4000)))
    std = np.sqrt(np.diag(np.asarray(law.covariance)))
    assert np.all(np.abs(x.mean(0) - np.asarray(law.mean)) < 4 * std / math.sqrt(4000) + 0.003)
    assert np.all(np.abs(x.std(0) / std - 1) < 4 / math.sqrt(8000) + 0.003)
    np.testing.assert_array_equal(Langevin(0.0).step(denoiser, X, s, t, None, jr.key(0)), X)


def test_corrector_averages_its_norms_over_the_batch():
    denoiser, s, t = ExactDenoiser(two_modes(), VP()), jnp.asarray(0.3), jnp.asarray(0.29)
    xs, keys = jr.normal(jr.key(0), (5, 2)), jr.split(jr.key(1), 5)
    moved = jax.vmap(lambda x, k: Langevin().step(denoiser, x, s, t, None, k), axis_name="batch")(xs, keys)
    z = np.asarray(jax.vmap(lambda k: jr.normal(k, (2,)))(keys))
    scores = np.asarray(jax.vmap(lambda x: denoiser.score(s, x))(xs))
    norm = lambda v: np.linalg.norm(v, axis=1).mean()
    size = 2 * (float(VP().alpha(s)) / float(VP().alpha(t))) ** 2 * (0.16 * norm(z) / norm(scores)) ** 2
    np.testing.assert_allclose(moved, np.asarray(xs) + size * scores + math.sqrt(2 * size) * z, rtol=1e-9)


@pytest.mark.parametrize(
    "sampler", [PredictorCorrector(20, corrector=Langevin(steps=2)), DPMSolver(10), ReverseSDE(20)]
)
def test_inpainting_in_the_limits_and_in_between(sampler):
    """Everything known: y itself. Nothing known: the unconditional sample of the same keys."""
    denoiser, y = ExactDenoiser(two_modes(), VP()), jnp.array([0.3, 0.2])
    draw = lambda mask: sample(
        denoiser, (2,), 4, key=jr.key(3), sampler=sampler, constraint=repeat(Inpainting(y, jnp.asarray(mask)), 4)
    )
    np.testing.assert_array_equal(draw([True, True]), jnp.broadcast_to(y, (4, 2)))
    free = sample(denoiser, (2,), 4, key=jr.key(3), sampler=sampler)
    np.testing.assert_allclose(draw([False, False]), free, rtol=1e-12)
    half = np.asarray(draw([True, False]))
    np.testing.assert_array_equal(half[:, 0], 0.3)
    assert np.all(np.isfinite(half))


def test_inpainting_ends_without_noise_in_the_unknown_part():
    """The released update mixes noise into what it returns; the last step's mean of point-mass data has none."""
    schedule = VP(t_min=0.1)
    point = FunctionDenoiser(lambda t, x, cond: jnp.array([0.3, -2.0]), schedule)
    constraint = repeat(Inpainting(jnp.array([0.3, 0.0]), jnp.array([True, False])), 500)
    sampler = PredictorCorrector(50, AncestralStep(), grid=UniformLogSNR())
    x = np.asarray(sample(point, (2,), 500, key=jr.key(0), sampler=sampler, constraint=constraint))
    noisy = np.asarray(
        sample(
            point,
            (2,),
            500,
            key=jr.key(0),
            sampler=PredictorCorrector(50, AncestralStep(), grid=UniformLogSNR(), denoise=False),
            constraint=constraint,
        )
    )
    # The last step's own noise, G σ_t/σ_s, is missing from the variance.
    times = UniformLogSNR()(schedule, 50, jnp.float64)
    ratio = np.exp(np.diff(np.asarray(schedule.log_snr(times)))[-1])
    assert x[:, 1].var() == pytest.approx(noisy[:, 1].var() / ratio, rel=0.15)
    assert x[:, 1].std() < noisy[:, 1].std()


def test_colour_rotation_and_grey_level():
    matrix = np.asarray(colour_rotation(3))
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(matrix[:, 0], 3**-0.5, rtol=1e-12)
    grey = jnp.array([[0.1, 0.4], [0.2, -0.3]])
    denoiser = FunctionDenoiser(lambda t, x, cond: 0 * x, VP())
    x = sample(denoiser, (3, 2, 2), 2, key=jr.key(0), sampler=DPMSolver(5), constraint=repeat(grey_level(grey), 2))
    np.testing.assert_allclose(jnp.mean(x, axis=1), jnp.broadcast_to(grey, (2, 2, 2)), atol=1e-12)


def test_chunks_give_the_same_samples():
    denoiser = ExactDenoiser(two_modes(), VP())
    whole = sample(denoiser, (2,), 7, key=jr.key(0), sampler=DPMSolver(4))
    np.testing.assert_allclose(
        sample(denoiser, (2,), 7, key=jr.key(0), sampler=DPMSolver(4), chunk=3), whole, rtol=1e-12
    )


def test_sample_inside_jit_and_with_a_condition():
    denoiser = FunctionDenoiser(lambda t, x, cond: cond * jnp.ones_like(x), VP())
    draw = jax.jit(lambda c: sample(denoiser, (1,), 3, key=jr.key(0), sampler=DPMSolver(3, denoise=True), cond=c))
    np.testing.assert_allclose(draw(jnp.array([1.0, 2.0, 3.0]))[:, 0], [1, 2, 3], rtol=1e-12)


def test_a_reversible_solver_walks_the_probability_flow_with_flat_memory():
    """Nobody's combination: reversible Heun and its exact O(1)-memory gradient through a sub-VP flow with guidance."""
    base, x1 = ExactDenoiser(two_modes(), SubVP()), jnp.array([0.4, -1.2])
    process = probability_flow(Guided(base, lambda t, x, cond: -0.1 * jnp.sum(x**4)))
    ts = jnp.array([1.0, 1e-3])

    def loss(x, adjoint):
        return jnp.sum(solve(process, x, ts, steps=60, stepper=ReversibleHeun(), adjoint=adjoint).y1 ** 2)

    # Equal up to the rounding of walking back through 60 steps.
    np.testing.assert_allclose(jax.grad(loss)(x1, Reversible()), jax.grad(loss)(x1, None), rtol=1e-8)


def test_refusals():
    denoiser = ExactDenoiser(two_modes(), VP())
    constraint = repeat(Inpainting(X, jnp.array([True, False])), 2)
    with pytest.raises(ValueError, match="n=0"):
        sample(denoiser, (2,), 0, key=jr.key(0))
    with pytest.raises(ValueError, match="leading axis of n=3"):
        sample(denoiser, (2,), 3, key=jr.key(0), cond=jnp.zeros((2, 4)))
    with pytest.raises(ValueError, match="start has shape"):
        sample(denoiser, (2,), 3, key=jr.key(0), start=jnp.zeros((3, 4)))
    with pytest.raises(ValueError, match="takes no constraint"):
        sample(denoiser, (2,), 2, key=jr.key(0), sampler=ProbabilityFlow(5), constraint=constraint)
    with pytest.raises(ValueError, match="expected booleans"):
        Inpainting(X, jnp.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="snr=-1"):
        Langevin(-1.0)
    with pytest.raises(ValueError, match=r"0 is ProbabilityFlow"):
        ReverseSDE(noise_level=0.0)
