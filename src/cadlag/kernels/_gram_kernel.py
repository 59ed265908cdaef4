"""NNGP and NTK of an architecture, all at once or block by block, as kernels."""

import math
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from cadlag.kernels._gram import AbstractGramMap, Gram, input_gram
from cadlag.kernels._gram_layers import check_map
from cadlag.kernels._kernel import AbstractKernel
from cadlag.linalg import map_tiles

# Entries of one covariance that are held at once where no block is given: 32 MiB in double precision.
_ENTRIES = 2**22


class NetworkKernels(NamedTuple):
    """The covariance of outputs at initialisation, `nngp`, and the tangent kernel, `ntk`, both (n, m)."""

    nngp: Float[Array, "n m"]
    ntk: Float[Array, "n m"]


def network_kernels(
    architecture: AbstractGramMap,
    x: Float[Array, "n ..."],
    z: Float[Array, "m ..."] | None = None,
    *,
    block: int | None = None,
    mesh: Mesh | None = None,
) -> NetworkKernels:
    """Both kernels of an architecture between all x_i and z_j (z = x by default, symmetric, with exact diagonals).

    **Arguments:**

    - `architecture`: usually a `Serial` that ends with `Dense`; it must leave vectors, so images need `Flatten` or
      `AveragePool` at the end.
    - `x`, `z`: vectors (n, channels) or images (n, channels, *space).
    - `block`: how many points of x and of z are taken at once; by default as many as keep a covariance, with its axes
      of space, below four million entries. Symmetric matrices take the blocks on and above the diagonal alone.

    - `mesh`: devices that share the blocks, such as `jax.make_mesh((8,), ("data",))`; the default block then leaves
      each some of them.

    Without a mesh, rows of x that lie on several devices (`jax.device_put` with a sharding of the first axis) give rows
    of both kernels that stay there, where z is given and one block takes all.

    **Raises:** ValueError for shapes that do not fit, TypeError for dtypes that are not floating or differ.
    """
    _check(architecture, x, z)
    return NetworkKernels(*_blocks(architecture, x, z, block, True, mesh))


class NNGP(AbstractKernel):
    """The covariance of an infinitely wide network's outputs at initialisation (Lee et al., ICLR 2018).

    **Arguments:** `architecture`, `block` and `mesh`, see `network_kernels`.
    """

    architecture: AbstractGramMap
    block: int | None = eqx.field(static=True, default=None)
    mesh: Mesh | None = eqx.field(static=True, default=None)

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """K(x, y) of two inputs."""
        return self.gram(x[None], y[None])[0, 0]

    def gram(self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None) -> Float[Array, "n m"]:
        """K(x_i, z_j)."""
        _check(self.architecture, x, z)
        return _blocks(self.architecture, x, z, self.block, False, self.mesh)[0]


class NTK(AbstractKernel):
    """The neural tangent kernel of an infinitely wide network (Jacot et al., NeurIPS 2018).

    **Arguments:** `architecture`, `block` and `mesh`, see `network_kernels`.
    """

    architecture: AbstractGramMap
    block: int | None = eqx.field(static=True, default=None)
    mesh: Mesh | None = eqx.field(static=True, default=None)

    def __call__(self, x: Float[Array, "..."], y: Float[Array, "..."]) -> Float[Array, ""]:
        """T(x, y) of two inputs."""
        return self.gram(x[None], y[None])[0, 0]

    def gram(self, x: Float[Array, "n ..."], z: Float[Array, "m ..."] | None = None) -> Float[Array, "n m"]:
        """T(x_i, z_j)."""
        _check(self.architecture, x, z)
        return _blocks(self.architecture, x, z, self.block, True, self.mesh)[1]


def _check(architecture: AbstractGramMap, x: Array, z: Array | None) -> None:
    check_map("architecture", architecture)
    for name, a in (("x", x), ("z", z)):
        if a is not None and not jnp.issubdtype(a.dtype, jnp.floating):
            raise TypeError(f"{name} is {a.dtype}; expected floating-point inputs.")
        if a is not None and (a.ndim < 2 or 0 in a.shape):
            raise ValueError(f"{name} has shape {a.shape}; expected (n, channels) or (n, channels, *space), not empty.")
    if z is not None and (z.shape[1:] != x.shape[1:] or z.dtype != x.dtype):
        raise ValueError(f"x and z hold inputs {x.shape[1:]} {x.dtype} and {z.shape[1:]} {z.dtype}; expected the same.")


def _blocks(
    architecture: AbstractGramMap, x: Array, z: Array | None, block: int | None, tangent: bool, mesh: Mesh | None
) -> list[Float[Array, "n m"]]:
    n, m = len(x), len(x if z is None else z)
    size = _block_size(architecture, x, block)
    if mesh is not None and block is None:
        # Blocks enough for every device, also of the half that a symmetric matrix needs.
        size = min(size, -(-max(n, m) // (2 * mesh.size)))
    if mesh is None and n <= size and m <= size:
        same = jnp.eye(n, dtype=bool) if z is None else None
        return _kernels(architecture, x, x if z is None else z, same, tangent)
    return _tiled(architecture, x, z, size, tangent, mesh)


def _block_size(architecture: AbstractGramMap, x: Array, block: int | None) -> int:
    if block is not None:
        if block < 1:
            raise ValueError(f"block={block}: expected at least one point, or None.")
        return block
    each = math.prod(x.shape[2:]) ** (2 if architecture.joint else 1)
    return max(1, math.isqrt(_ENTRIES // each))


@eqx.filter_jit
def _kernels(architecture: AbstractGramMap, x: Array, z: Array, same: Array | None, tangent: bool) -> list[Array]:
    state: Gram = architecture(input_gram(x, z, same=same, joint=architecture.joint, tangent=tangent))
    if state.space:
        raise ValueError(
            f"the architecture leaves an image of sizes {state.space}; expected a vector. Add Flatten() or "
            "AveragePool() and Flatten() before the last Dense()."
        )
    return [state.k12] if state.tangent is None else [state.k12, state.tangent]


@eqx.filter_jit
def _tiled(
    architecture: AbstractGramMap, x: Array, z: Array | None, block: int, tangent: bool, mesh: Mesh | None
) -> list[Array]:
    return map_tiles(lambda a, b, same: _kernels(architecture, a, b, same, tangent), x, z, block, mesh)
