"""Networks of finite width with the architecture of a kernel."""

from collections.abc import Callable

import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from cadlag.kernels._gram import AbstractGramMap
from cadlag.kernels._gram_layers import Dense, Serial, check_map, out_shape
from cadlag.kernels._gram_networks import Chain


def finite_network(
    architecture: AbstractGramMap, shape: tuple[int, ...], *, width: int, outputs: int = 1, key: PRNGKeyArray
) -> Callable[[Array], Array]:
    """A network of finite width whose NNGP and NTK tend to those of `architecture`, in the NTK parametrisation.

    **Arguments:**

    - `architecture`: a `Serial` that ends with `Dense`.
    - `shape`: of one input, (channels,) or (channels, *space).
    - `width`: units or channels of all layers but the last, which has `outputs`.

    **Returns:** an Equinox module from one input to (outputs,). Its parameters are standard normal; `standard` turns
    it to the usual parametrisation.

    **Raises:** ValueError if the last map is not `Dense`, or a number is not positive.
    """
    check_map("finite_network", architecture)
    *body_maps, head = architecture.maps if isinstance(architecture, Serial) else (architecture,)
    if not isinstance(head, Dense):
        raise ValueError(
            f"finite_network: the last map is {type(head).__name__}; expected Dense, which makes the outputs."
        )
    if width < 1 or outputs < 1:
        raise ValueError(f"finite_network: width={width}, outputs={outputs}; expected positive numbers.")
    body_key, head_key = jr.split(key)
    body = Serial(*body_maps).layer(shape, width, key=body_key).layers if body_maps else ()
    inner = out_shape(Chain(body), shape)
    return Chain((*body, head.layer(inner, outputs, key=head_key)))
