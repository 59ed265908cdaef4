import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cadlag.train import (
    Recorder,
    fit_seeds,
)

from .problems import CACHE, KEY, UPDATE, Pairs, arrays, same_bits


def make(key):
    return eqx.nn.MLP(3, 2, 8, 1, key=key, dtype=jnp.float64)


def test_seeds_side_by_side_equal_seeds_in_turn(tmp_path):
    keys = jax.random.split(KEY, 3)
    recorder = Recorder(lambda s, k: jax.random.normal(k) + s.unknowns.layers[0].bias, (0, 20, 60))
    bias = lambda s, k: {"b": s.unknowns.layers[0].bias[0]}
    options = {"keys": keys, "steps": 60, "recorder": recorder, "validate": bias}
    together = fit_seeds(UPDATE, make, Pairs(), side_by_side=True, run=tmp_path, **options)
    in_turn = fit_seeds(UPDATE, make, Pairs(), side_by_side=False, **options)
    for a, b in zip(together, in_turn, strict=True):
        assert set(a.history) == set(b.history)
        for name in a.history:
            np.testing.assert_allclose(a.history[name], b.history[name], rtol=1e-8)
        np.testing.assert_allclose(a.records, b.records, rtol=1e-8)
        for x, y in zip(arrays(a.state), arrays(b.state), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-10)


def test_seeds_are_measured_once(tmp_path):
    options = {"keys": jax.random.split(KEY, 2), "steps": 200, "run": tmp_path}
    results = fit_seeds(UPDATE, make, Pairs(), **options)
    assert len(results) == 2
    choice = json.loads((tmp_path / "config.json").read_text())["choices"]["seeds"]
    assert choice["side_by_side"] == (choice["seconds_per_step_side_by_side"] < choice["seconds_per_step_in_turn"])
    again = fit_seeds(UPDATE, make, Pairs(), **options)
    assert all(same_bits(a.state, b.state) for a, b in zip(results, again, strict=True))


MESH = """
import sys
sys.path.insert(0, {tests!r})
import jax, jax.numpy as jnp, numpy as np, optax
jax.config.update("jax_enable_x64", True)
from cadlag.train import fit, gradient
from problems import Pairs, arrays, model, squared
for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.float64, 1e-10)):
    args = (gradient(squared, optax.sgd(0.05)), model(dtype=dtype), Pairs(size=32, dtype=dtype))
    for block in (10, "step")[: 1 if dtype == jnp.float32 else 2]:
        one = fit(*args, steps=10, key=jax.random.key(0), block=block)
        four = fit(*args, steps=10, key=jax.random.key(0), block=block, mesh="data=4")
        for a, b in zip(arrays(one.state.unknowns), arrays(four.state.unknowns), strict=True):
            assert len(b.sharding.device_set) == 4
            assert np.linalg.norm(a - np.asarray(b)) <= tolerance * np.linalg.norm(a), (dtype, a, b)
try:
    fit(*args[:2], Pairs(size=6, dtype=dtype), steps=10, key=jax.random.key(0), mesh="data=4")
except ValueError as error:
    assert "divisible by 4" in str(error)
else:
    raise AssertionError("an indivisible batch was taken")
print("equal")
"""


def test_four_devices_equal_one():
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        **CACHE,
    }
    script = MESH.format(tests=os.path.dirname(__file__))
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
