"""Steering the sampler: towards what is known, within bounds, by any of the gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.diffusion import VP, Denoiser, ExactDenoiser, NoiseRatio, ProbabilityFlow, decode
from cadlag.distributions import GaussianMixture
from cadlag.generate import Condition, Weights, steer
from cadlag.nn import ScoreMLP
from cadlag.solve import Backsolve

LAW = GaussianMixture.isotropic(jnp.ones(1), jnp.full((1, 1), 0.7), jnp.full(1, 0.3))
MODEL = ExactDenoiser(LAW, VP())
FLOW = ProbabilityFlow(20, variable=NoiseRatio())
NOISE = jnp.array([[0.2], [-0.5], [1.0]])
KEY = jax.random.key(0)


def square(x, aim):
    return jnp.sum((x - aim) ** 2)


def test_noise_is_led_to_a_reachable_sample():
    """The flow of a Gaussian is affine, x = a + b z, a and b read off two samples: the answer is (aim - a)/b."""
    a, c = (decode(MODEL, jnp.full(1, v), flow=FLOW)[0] for v in (0.0, 1.0))
    aim = jnp.array([[0.5], [0.8], [1.0]])
    made = steer(MODEL, square, NOISE, key=KEY, aim=aim, sampler=FLOW, optimiser=optax.sgd(3.0), steps=40)
    # Gradient descent on a parabola: the error shrinks by |1 - 6 b²| ≈ 0.5 a step.
    np.testing.assert_allclose(made.inputs.start, (aim - a) / (c - a), atol=1e-6)
    np.testing.assert_allclose(made.x, aim, atol=1e-6)
    assert made.losses.shape == (3, 40)


def test_clip_bounds_the_deviation():
    sampler = ProbabilityFlow(20, variable=NoiseRatio(), adjoint=Backsolve())
    made = steer(MODEL, square, NOISE, key=KEY, aim=jnp.full((3, 1), 9.0), sampler=sampler, steps=20, clip=0.25)
    # The aim is far off on one side, and 20 Adam steps of 0.05 go further than the bound.
    np.testing.assert_allclose(made.inputs.start, NOISE + 0.25, rtol=1e-12)


def test_weights_are_shared():
    """One network for all samples: its weights move, the noise does not."""
    model = Denoiser(ScoreMLP(1, width=4, depth=1, key=KEY), VP())
    made = steer(model, square, NOISE, key=KEY, aim=jnp.full((3, 1), 0.9), variables=Weights(), sampler=FLOW,
                 optimiser=optax.adam(1e-3), steps=20)  # fmt: skip
    assert made.losses.shape == (20,)
    assert made.losses[-1] < made.losses[0]
    np.testing.assert_array_equal(made.inputs.start, NOISE)


def test_refusals():
    with pytest.raises(ValueError, match="has no gradient"):
        steer(MODEL, square, NOISE, key=KEY, variables=Condition(), cond=jnp.arange(3))
    with pytest.raises(ValueError, match="3 rows"):
        steer(MODEL, square, NOISE, key=KEY, aim=jnp.ones(2))
    with pytest.raises(ValueError, match="positive integer"):
        steer(MODEL, square, NOISE, key=KEY, steps=0)
    with pytest.raises(TypeError, match="steer"):
        steer(LAW, square, NOISE, key=KEY)
