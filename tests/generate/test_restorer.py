"""`Restorer`: restores, in any unit; one trained model under every sampler; refusals."""

import functools

import jax
import numpy as np
import pytest

from cadlag.diffusion import DPMSolver, ReverseSDE
from cadlag.generate import Restorer, mlp_beside

TINY = functools.partial(mlp_beside, width=32, depth=1)
RNG = np.random.default_rng(0)
# Pairs of entries that are equal when clean; the second is lost when degraded. In units of tens.
CLEAN = np.repeat(RNG.normal(50, 20, (500, 1)), 2, axis=1)
DEGRADED = np.stack([CLEAN[:, 0], np.full(500, 50.0)], 1)


@pytest.fixture(scope="module")
def fitted():
    with jax.enable_x64(False):
        return Restorer(network=TINY, steps=400, learning_rate=3e-3).fit(DEGRADED, CLEAN)


@pytest.mark.parametrize("sampler", [None, DPMSolver(5), ReverseSDE(40)], ids=["default", "flow", "euler"])
def test_restores_what_was_lost(fitted, sampler):
    """The lost entry is known from the other: an error of 20 before, a fifth of that after a short training."""
    with jax.enable_x64(False):
        restored = fitted.restore(DEGRADED[:100], sampler=sampler)
    assert np.sqrt(np.mean((restored - CLEAN[:100]) ** 2)) < 4 + 2
    assert np.sqrt(np.mean((DEGRADED[:100] - CLEAN[:100]) ** 2)) > 10


def test_units_do_not_matter():
    """Data a thousand times as large: the same restoration, to single precision of a training run."""
    with jax.enable_x64(False):
        small = Restorer(network=TINY, steps=20).fit(DEGRADED, CLEAN).predict(DEGRADED[:5])
        large = Restorer(network=TINY, steps=20).fit(1000 * DEGRADED, 1000 * CLEAN).predict(1000 * DEGRADED[:5])
    np.testing.assert_allclose(large / 1000, small, rtol=1e-2)


def test_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    with jax.enable_x64(False):
        np.testing.assert_array_equal(
            Restorer.load(tmp_path / "model").predict(DEGRADED[:3]), fitted.predict(DEGRADED[:3])
        )


def test_refusals(fitted):
    with pytest.raises(ValueError, match="expected pairs of one shape"):
        Restorer().fit(DEGRADED[:, :1], CLEAN)
    with pytest.raises(ValueError, match="nothing to restore"):
        Restorer().fit(CLEAN, CLEAN)
    with pytest.raises(ValueError, match="at least 2 samples"):
        Restorer().fit(DEGRADED[:1], CLEAN[:1])
    with pytest.raises(ValueError, match="NaN or infinite"):
        Restorer().fit(np.where(DEGRADED > 60, np.nan, DEGRADED), CLEAN)
    with pytest.raises(ValueError, match=r"fitted on \(2,\)"):
        fitted.restore(np.zeros((2, 3)))
    with pytest.raises(TypeError, match="no density"):
        fitted.log_prob(CLEAN)
