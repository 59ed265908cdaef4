"""Compositions that no paper has: a refiner around a multigrid operator."""

import functools

import jax.numpy as jnp
import numpy as np

from cadlag.nn import Boundary
from cadlag.operators import DiffusionRefinement, MgNO, OperatorRegressor, Refined
from cadlag.train import load, save

from .small import travelling


def test_a_refiner_around_a_multigrid_operator(tmp_path):
    """Trained, rolled out, saved; told the level of noise by MgNO's own conditions."""
    network = functools.partial(MgNO, width=4, layers=1, sweeps=((1, 0), (1, 0)), boundary=Boundary.circular)
    form = Refined(DiffusionRefinement(1))
    data = travelling(n=8, frames=5, dtype=np.float32)
    model = OperatorRegressor(network, form=form, steps=20, validation_fraction=0.0).fit(data)
    losses = model.history_["loss"]
    assert np.isfinite(losses).all()
    refiner = model.model_.operator
    assert isinstance(refiner.network, MgNO)
    assert refiner.stochastic
    one, same, other = (model.rollout(data[:2, :1], 2, seed=seed) for seed in (0, 0, 1))
    assert one.shape == (2, 2, 1, 16)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0
    # Two levels, K + 1: the answer of the network depends on which one it is told.
    guess = jnp.zeros((2, 16))
    answers = [refiner.network(guess, cond=refiner.embedding(jnp.zeros(()) + k)) for k in (0, 1)]
    assert float(jnp.abs(answers[0] - answers[1]).max()) > 0
    save(tmp_path / "refined", model.model_)
    again = load(tmp_path / "refined")
    model.model_ = again
    np.testing.assert_array_equal(model.rollout(data[:2, :1], 2), one)
