"""Rows and blocks of a Gram matrix over several devices."""

import os
import subprocess
import sys

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from cadlag.kernels import NTK, Dense, ReLU, Serial, network_kernels
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
x = jax.random.normal(jax.random.key(0), (8, 3))
z = jax.random.normal(jax.random.key(1), (5, 3))
over = jax.device_put(x, NamedSharding(mesh, P("data")))
net = Serial(Dense(), ReLU(), Dense())
one, many = network_kernels(net, x, z), network_kernels(net, over, z)
for a, b in zip(one, many):
    np.testing.assert_allclose(a, b, rtol=1e-6)
    assert b.sharding.shard_shape(b.shape) == (2, 5), b.sharding
for block in (None, 3):
    # Symmetric, in blocks that the devices share, three for the last of them repeated; and of two sets.
    for other in (None, z):
        one, many = network_kernels(net, x, other), network_kernels(net, x, other, block=block, mesh=mesh)
        for a, b in zip(one, many):
            np.testing.assert_allclose(a, b, rtol=1e-6)
whole = NTK(net, mesh=mesh)
np.testing.assert_allclose(jax.jit(whole.gram)(x), NTK(net).gram(x), rtol=1e-6)
text = jax.jit(lambda x: whole.gram(x)).lower(x).compile().as_text()
assert "num_partitions=4" in text
print("equal")
"""


def test_rows_stay_on_the_devices_that_hold_their_inputs_and_blocks_are_shared():
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "equal", done.stderr[-2000:]
