"""The activations of every layer of a model: a function `layers(model, x) -> tuple of arrays` of ONE example.

For any model write it by hand, three lines as a rule. `layers_of` writes it for stacks of layers.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from cadlag.nn import MLP

_AFFINE = (eqx.nn.Linear, eqx.nn.Conv, eqx.nn.ConvTranspose)


def layers_of(model: Any, *, final: Callable[[Array], Array] | None = None) -> Callable[[Any, Any], tuple[Array, ...]]:
    """A function `layers(model, x)` for `eqx.nn.MLP`, `eqx.nn.Sequential`, `cadlag.nn.MLP`, and any model with a method
    `layers_at(x)` that returns the tuple itself, as the networks of `cadlag.series` have it.

    Each hidden layer is seen after its activation; of a `Sequential` the output of every member is a layer, but for an
    affine one (linear, convolution) that another member follows, and for dropout. The last entry is the output.

    **Arguments:** `model`: the kind of model, its values do not matter. `final`: applied to the output only, such as
    `jax.nn.softmax` for a model that gives logits.

    **Raises:** TypeError for another model, with what to do.
    """
    kinds: dict[type, Callable] = {eqx.nn.MLP: _equinox_mlp, MLP: _cadlag_mlp, eqx.nn.Sequential: _sequential}
    walk = next((walk for kind, walk in kinds.items() if isinstance(model, kind)), None)
    if callable(getattr(model, "layers_at", None)):
        walk = _own
    if walk is None:
        raise TypeError(
            f"layers_of(model): {type(model).__name__} is not a stack of layers it knows (eqx.nn.MLP, "
            "eqx.nn.Sequential, cadlag.nn.MLP). Write `layers = lambda model, x: (first, second, ...)`, the arrays of "
            "each layer for one example x."
        )

    def layers(model: Any, x: Any) -> tuple[Array, ...]:
        *hidden, output = walk(model, x)
        return (*hidden, output if final is None else final(output))

    return layers


def _own(model: Any, x: Any) -> tuple[Array, ...]:
    return model.layers_at(x)


def _equinox_mlp(model: Any, x: Array) -> tuple[Array, ...]:
    seen = []
    for i, layer in enumerate(model.layers[:-1]):
        # Equinox keeps one activation a unit, with a leading axis over layers, so that it may hold parameters.
        activation = jax.tree.map(lambda a, i=i: a[i] if eqx.is_array(a) else a, model.activation)
        x = eqx.filter_vmap(lambda f, v: f(v))(activation, layer(x))
        seen.append(x)
    x = model.layers[-1](x)
    scalar = model.out_size == "scalar"
    last = model.final_activation
    return (*seen, last(x) if scalar else eqx.filter_vmap(lambda f, v: f(v))(last, x))


def _cadlag_mlp(model: MLP, x: Array) -> tuple[Array, ...]:
    seen = []
    for layer in model.layers[:-1]:
        x = model.activation(layer(x))
        seen.append(x)
    return (*seen, model.final_activation(model.layers[-1](x)))


def _sequential(model: Any, x: Array) -> tuple[Array, ...]:
    seen = []
    for i, layer in enumerate(model.layers):
        if isinstance(layer, eqx.nn.StatefulLayer) and layer.is_stateful():
            raise TypeError(
                f"layers_of(model): member {i}, {type(layer).__name__}, keeps a state. Write "
                "`layers = lambda model, x: (...)` with the state put in."
            )
        x = layer(x)
        last = i == len(model.layers) - 1
        if last or not isinstance(layer, (*_AFFINE, eqx.nn.Dropout)):
            seen.append(x)
    return tuple(seen)
