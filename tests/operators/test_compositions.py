"""Compositions that no paper has: a refiner around a multigrid operator, and around waves."""

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.nn import Boundary
from cadlag.operators import DiffusionRefinement, MgNO, OperatorRegressor, Refined, SineNet
from cadlag.train import load, save

from .small import travelling

WRAP = {"width": 4, "boundary": Boundary.circular}
NETWORKS = {
    "mgno": functools.partial(MgNO, layers=1, sweeps=((1, 0), (1, 0)), **WRAP),
    "sinenet": functools.partial(SineNet, waves=2, levels=1, growth=1.5, **WRAP),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_refiner_around_a_network_of_another_paper(name, tmp_path):
    """Trained, rolled out, saved; told the level of noise by the network's own conditions."""
    network = NETWORKS[name]
    data = travelling(n=8, frames=5, dtype=np.float32)
    options = {"steps": 60, "learning_rate": 1e-2, "average": 0.0, "validation_fraction": 0.0}
    model = OperatorRegressor(network, form=Refined(DiffusionRefinement(1)), **options).fit(data)
    loss = model.history_["loss"]
    assert np.isfinite(loss).all()
    # v is noise of variance one at both levels: an answer of 0 costs 1.
    assert np.mean(loss[-5:]) < 0.9
    refiner = model.model_.operator
    assert isinstance(refiner.network, network.func)
    assert refiner.stochastic
    one, same, other = (model.rollout(data[:2, :1], 2, seed=seed) for seed in (0, 0, 1))
    assert one.shape == (2, 2, 1, 16)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0
    # Two levels, K + 1: the answer of the network depends on which one it is told.
    levels = eqx.filter_vmap(lambda k: refiner.network(jnp.zeros((2, 16)), cond=refiner.embedding(k)))
    answers = eqx.filter_jit(levels)(jnp.arange(2.0))
    assert float(jnp.abs(answers[0] - answers[1]).max()) > 0
    save(tmp_path / "refined", model.model_)
    model.model_ = load(tmp_path / "refined")
    np.testing.assert_array_equal(model.rollout(data[:2, :1], 2), one)
