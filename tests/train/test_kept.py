"""What a run minimises, read back from its folder."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag.train import AbstractUpdate, UpdateState, fit, gradient, read_run

from .problems import KEY, Pairs, model, same_bits, squared, train


def test_loss_batches_and_unknowns_at_every_checkpoint(tmp_path):
    seen = []
    look = lambda state, info: seen.append(state.unknowns) or state
    result = train(60, run=tmp_path, block=20, checkpoint_every=20, hooks=[look])
    # A function of the test's own is handed over, as in `load`.
    run = read_run(tmp_path, {"squared": squared})
    assert run.steps == (0, 40, 60)
    assert same_bits(run.unknowns[0], model())
    assert same_bits(run.unknowns[1], seen[1])
    assert same_bits(run.unknowns[2], result.state.unknowns)
    first = jax.tree.map(lambda x: x[0], run.batches)
    value, _ = run.loss(run.unknowns[0], first, run.key)
    np.testing.assert_allclose(value, result.history["loss"][0], rtol=1e-12)
    with pytest.raises(ValueError, match="squared"):
        read_run(tmp_path)


def test_a_source_less_loss_and_one_without_a_name(tmp_path):
    def closed(unknowns, batch, key):
        return jnp.sum(unknowns**2), {}

    update = gradient(closed, optax.sgd(0.1))
    fit(update, jnp.ones(2), None, steps=3, key=KEY, run=tmp_path / "named")
    assert read_run(tmp_path / "named", {"closed": closed}).batches is None
    nameless = gradient(lambda u, batch, key: (jnp.sum(u**2), {}), optax.sgd(0.1))
    fit(nameless, jnp.ones(2), None, steps=3, key=KEY, run=tmp_path / "nameless")
    with pytest.raises(ValueError, match="lambdas"):
        read_run(tmp_path / "nameless")


def test_layers_with_a_state_are_not_kept(tmp_path):
    update = gradient(lambda u, s, b, k: (jnp.sum(u**2), (s, {})), optax.sgd(0.1), stateful=True)
    fit(update, jnp.ones(2), None, steps=3, key=KEY, run=tmp_path)
    with pytest.raises(ValueError, match="state of layers"):
        read_run(tmp_path)


def test_updates_of_one_s_own_are_not_kept(tmp_path):
    class Halving(AbstractUpdate):
        loss: float = 1.0

        def init(self, unknowns, key, *, model_state=None):
            return UpdateState(unknowns, None, None, None, jnp.zeros((), jnp.int32))

        def step(self, state, batch, key):
            moved = UpdateState(state.unknowns / 2, None, None, None, state.step + 1)
            return moved, {"loss": jnp.sum(state.unknowns)}

    fit(Halving(), jnp.ones(2), None, steps=3, key=KEY, run=tmp_path)
    with pytest.raises(ValueError, match="Halving"):
        read_run(tmp_path)


def test_what_a_killed_process_left_is_replaced(tmp_path):
    (tmp_path / "problem").mkdir()
    (tmp_path / "problem" / "arrays.npz").write_bytes(b"half")
    train(5, run=tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["choices"]["problem"] == "kept"
    assert len(read_run(tmp_path, {"squared": squared}).steps) > 1


def test_folders_that_are_no_run(tmp_path):
    with pytest.raises(ValueError, match="not the folder of a run"):
        read_run(tmp_path)
    (tmp_path / "units").mkdir()
    with pytest.raises(ValueError, match="recipe"):
        read_run(tmp_path)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match="no checkpoints"):
        read_run(tmp_path / "run")


def test_kept_batches_are_bounded(tmp_path):
    class Wide(Pairs):
        def draw(self, source_state, train_state, key):
            return source_state, (jnp.ones((2**20, 3)), jnp.zeros((2**20, 2)))

    fit(gradient(squared, optax.sgd(0.0)), model(), Wide(), steps=1, key=KEY, run=tmp_path)
    x, _ = read_run(tmp_path, {"squared": squared}).batches
    assert len(x) == 1
    assert eqx.is_array(x)
