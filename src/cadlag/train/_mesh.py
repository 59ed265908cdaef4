"""Data-parallel training: the batch sharded along the axis `data`, everything else replicated."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def as_mesh(mesh: str | Mesh | None) -> Mesh | None:
    """Read `"data=4"`, or check a `jax.sharding.Mesh` that has an axis `data`."""
    if mesh is None:
        return None
    if isinstance(mesh, str):
        return _parse(mesh)
    if "data" not in mesh.axis_names:
        raise ValueError(f"mesh: its axes are {mesh.axis_names}, expected one called 'data' for the batch.")
    # The partitioner decides about all arrays but the batch, which needs automatic axes.
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def _parse(text: str) -> Mesh:
    name, _, number = text.partition("=")
    if name.strip() != "data" or not number.strip().isdigit() or int(number) < 1:
        raise ValueError(f"mesh: got {text!r}, expected 'data=N' with N devices, for instance 'data=4'.")
    n, devices = int(number), jax.devices()
    if n > len(devices):
        raise ValueError(
            f"mesh: {text!r} asks for {n} devices, but this process sees {len(devices)}. On a CPU set "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={n} before JAX starts."
        )
    return Mesh(np.array(devices[:n]), ("data",), axis_types=(AxisType.Auto,))


def replicate(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Put a copy of every array on each device of the mesh."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda x: jax.device_put(x, sharding) if eqx.is_array(x) else x, tree)


def keep_replicated(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Inside jit: ask that the arrays be whole on each device."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, sharding), tree)


def shard_batch(batch: PyTree, mesh: Mesh | None) -> PyTree:
    """Inside jit: split the batch's arrays along their first axis; what does not divide stays whole."""
    if mesh is None:
        return batch
    parts = mesh.shape["data"]
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    shapes = [x.shape for x in jax.tree.leaves(batch) if eqx.is_array(x)]
    if not any(shape and shape[0] % parts == 0 for shape in shapes):
        raise ValueError(
            f"mesh: no array of the batch, shapes {shapes}, has a first axis divisible by {parts} devices; "
            "choose a batch size that is a multiple of it."
        )

    def one(x: Any) -> Any:
        if eqx.is_array(x) and x.ndim > 0 and x.shape[0] % parts == 0:
            return jax.lax.with_sharding_constraint(x, sharding)
        return x

    return jax.tree.map(one, batch)
