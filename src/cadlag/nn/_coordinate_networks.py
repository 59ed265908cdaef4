"""Networks of a point: layers for them, and what joins an encoder to a body."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from cadlag.nn._coordinates import AbstractEncoder
from cadlag.nn._init import normal, uniform


def glorot_linear(in_size: int, out_size: int, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    """An affine map with Glorot-normal weights, variance 2 / (in_size + out_size), and a zero bias."""
    bare = eqx.filter_eval_shape(lambda: eqx.nn.Linear(in_size, out_size, key=key))
    weight = normal(key, (out_size, in_size), math.sqrt(2 / (in_size + out_size)))
    return eqx.tree_at(lambda x: (x.weight, x.bias), bare, (weight, jnp.zeros(out_size, weight.dtype)))


class FactorisedLinear(eqx.Module):
    """An affine map whose weight is diag(g) V: one scale for each output, trained beside the directions.

    g = exp(N(mean, std²)) at first and V = diag(1/g) W_0, W_0 Glorot normal, so that the map starts as W_0. Wang,
    Wang, Seidman, Perdikaris, Random weight factorization … (arXiv 2210.01274).

    **Arguments:** `in_size`, `out_size`; `mean`, `std` of log g; `key`.
    """

    scale: Float[Array, " out"]
    directions: Float[Array, "out in"]
    bias: Float[Array, " out"]

    def __init__(
        self, in_size: int, out_size: int, *, mean: float | int = 1.0, std: float | int = 0.1, key: PRNGKeyArray
    ):
        first, second = jr.split(key)
        linear = glorot_linear(in_size, out_size, key=first)
        assert linear.bias is not None
        self.scale = jnp.exp(mean + normal(second, (out_size,), float(std)))
        self.directions = linear.weight / self.scale[:, None]
        self.bias = linear.bias

    @property
    def weight(self) -> Float[Array, "out in"]:
        """diag(g) V."""
        return self.scale[:, None] * self.directions

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        """g (V x) + b."""
        return self.scale * (self.directions @ x) + self.bias


class ModifiedMLP(eqx.Module):
    """A perceptron whose hidden layers mix two gates of the input z:

        U = s(W_1 z + b_1),   V = s(W_2 z + b_2),   Z_l = s(A_l H_{l-1} + c_l),   H_l = Z_l U + (1 - Z_l) V,   H_0 = z.

    Wang, Teng, Perdikaris, Understanding and mitigating gradient flow pathologies … (2021), eqs. 43-47.

    **Arguments:** `in_size`, `out_size`, `width`, `depth` (hidden layers, at least one); `activation`; `layer`,
    constructor `(in_size, out_size, *, key)` of the affine maps; `key`.
    """

    gates: tuple[Callable, Callable]
    layers: tuple[Callable, ...]
    last: Callable
    activation: Callable

    def __init__(
        self,
        in_size: int,
        out_size: int,
        width: int,
        depth: int,
        *,
        activation: Callable = jnp.tanh,
        layer: Callable = glorot_linear,
        key: PRNGKeyArray,
    ):
        check_sizes("ModifiedMLP", in_size=in_size, out_size=out_size, width=width, depth=depth)
        keys = jr.split(key, depth + 3)
        self.gates = (layer(in_size, width, key=keys[0]), layer(in_size, width, key=keys[1]))
        sizes = [in_size, *[width] * depth]
        self.layers = tuple(layer(m, n, key=k) for m, n, k in zip(sizes[:-1], sizes[1:], keys[3:], strict=True))
        self.last = layer(width, out_size, key=keys[2])
        self.activation = activation

    def __call__(self, z: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        """The output, shape (out_size,)."""
        U, V = (self.activation(gate(z)) for gate in self.gates)
        H = z
        for layer in self.layers:
            H = V + self.activation(layer(H)) * (U - V)
        return self.last(H)


class SIREN(eqx.Module):
    """A perceptron with sines: h = sin(ω (W x + b)), weights uniform so that every layer's input keeps its law.

    The first layer's weights and biases are uniform in ±1/in_size, the others' in ±sqrt(6/width)/ω. Sitzmann et al.,
    Implicit neural representations with periodic activation functions (2020), section 3.2.

    **Arguments:** `in_size`, `out_size`, `width`, `depth` (hidden layers, at least one); `first_omega`, the highest
    frequency at first on inputs in [-1, 1]; `omega` of the other layers; `key`.
    """

    layers: tuple[eqx.nn.Linear, ...]
    first_omega: float = eqx.field(static=True)
    omega: float = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        width: int,
        depth: int,
        *,
        first_omega: float | int = 30.0,
        omega: float | int = 30.0,
        key: PRNGKeyArray,
    ):
        check_sizes("SIREN", in_size=in_size, out_size=out_size, width=width, depth=depth)
        if not (first_omega > 0 and omega > 0):
            raise ValueError(f"first_omega={first_omega}, omega={omega} of a SIREN must be positive.")
        sizes = [in_size, *[width] * depth, out_size]
        bounds = [1 / in_size, *[np.sqrt(6 / width) / omega] * depth]
        keys = jr.split(key, depth + 1)
        self.layers = tuple(
            _uniform_linear(m, n, float(bound), key=k)
            for m, n, bound, k in zip(sizes[:-1], sizes[1:], bounds, keys, strict=True)
        )
        self.first_omega, self.omega = float(first_omega), float(omega)

    def __call__(self, x: Float[Array, " in_size"]) -> Float[Array, " out_size"]:
        """The output, shape (out_size,)."""
        h = jnp.sin(self.first_omega * self.layers[0](x))
        for layer in self.layers[1:-1]:
            h = jnp.sin(self.omega * layer(h))
        return self.layers[-1](h)


def _uniform_linear(in_size: int, out_size: int, bound: float, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    bare = eqx.filter_eval_shape(lambda: eqx.nn.Linear(in_size, out_size, key=key))
    keys = jr.split(key)
    return eqx.tree_at(
        lambda x: (x.weight, x.bias),
        bare,
        (uniform(keys[0], (out_size, in_size), bound), uniform(keys[1], (out_size,), bound)),
    )


class CoordinateNetwork(eqx.Module):
    """u(point) = shift + scale * body(encoder(point)): a scalar for one component, else (components,).

    **Arguments:**

    - `encoder`: features of a point; `body`: a function of the features, returning (components,).
    - `components`: of the output.
    - `scale`, `shift`: magnitude and level that u is expected to have, so that the body's output is of order one.
    """

    encoder: AbstractEncoder
    body: Callable[[Float[Array, " size"]], Float[Array, " components"]]
    components: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)
    shift: float = eqx.field(static=True)

    def __init__(
        self,
        encoder: AbstractEncoder,
        body: Callable[[Float[Array, " size"]], Float[Array, " components"]],
        components: int = 1,
        *,
        scale: float | int = 1.0,
        shift: float | int = 0.0,
    ):
        self.encoder, self.body, self.components = encoder, body, components
        self.scale, self.shift = float(scale), float(shift)
        features = jax.ShapeDtypeStruct((encoder.size,), jnp.zeros(()).dtype)
        found = eqx.filter_eval_shape(body, features).shape
        if found != (components,):
            raise ValueError(
                f"CoordinateNetwork: the body returns {found} for {encoder.size} features, expected ({components},)."
            )

    def __call__(self, point: Float[Array, " d"]) -> Float[Array, "..."]:
        """The value at one point."""
        out = self.body(self.encoder(point))
        if self.scale != 1 or self.shift != 0:
            out = self.shift + self.scale * out
        return out[0] if self.components == 1 else out


def check_sizes(owner: str, **sizes: int) -> None:
    """Refuse sizes below one."""
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name}={value} of {owner} must be at least 1.")
