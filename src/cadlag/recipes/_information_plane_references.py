"""What `information-plane` holds trained networks against: the bottleneck's equations, and networks as they start."""

import math
from typing import Any

from cadlag.recipes._information_plane_studies import EDGES, LAYERS, binned, group, one_of, task


def betas(model: Any, layers: Any, x: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The beta of each binned layer at the end against soft labels, and where it lies under the bottleneck's curve."""
    import jax
    import numpy as np

    from cadlag.lens import (
        Binned,
        FixedEdges,
        activations,
        icosahedral_task,
        layer_beta,
        layer_information,
        row_symbols,
    )

    joint = np.asarray(icosahedral_task(gamma=settings["gamma"]).labels) / 4096
    edges = FixedEdges(np.linspace(-1, 1, EDGES))
    place = layer_information(layers, model, x, joint * 4096, Binned(edges))
    found = []
    for i, values in enumerate(activations(layers, model, x)):
        symbols = np.asarray(jax.jit(lambda v: row_symbols(edges.codes(v)))(values))
        beta, divergence = layer_beta(joint, symbols)
        found.append(
            {
                "layer": LAYERS[i],
                "beta": beta if math.isfinite(beta) else None,
                "divergence": divergence,
                "input": float(place.input[i]),
                "label": float(place.label[i]),
            }
        )
    return {"gamma": settings["gamma"], "layers": found}


def untrained(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Networks as they start: medians of what each layer keeps."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from cadlag.lens import layer_information, layers_of

    x, y, _ = task(settings, seed)
    found = {}
    for name, activation in (("tanh", jnp.tanh), ("relu", jax.nn.relu)):
        models = group(activation, settings["nets"], seed)
        nets = [one_of(models, n) for n in range(settings["nets"])]
        layers = layers_of(nets[0], final=jax.nn.softmax)
        each = [layer_information(layers, m, x, np.asarray(y), binned()["edges"]) for m in nets]
        found[name] = {
            "input": dict(zip(LAYERS, np.median([e.input for e in each], axis=0).tolist(), strict=True)),
            "label": dict(zip(LAYERS, np.median([e.label for e in each], axis=0).tolist(), strict=True)),
        }
    return found


def bottleneck(settings: dict[str, Any]) -> dict[str, Any]:
    """The curve of the task with soft labels, and the largest distance of three closed forms from the equations."""
    import numpy as np

    from cadlag.lens import icosahedral_task, information_bottleneck, merge_inputs

    joint, _ = merge_inputs(np.asarray(icosahedral_task(gamma=settings["gamma"]).labels) / 4096)
    curve = information_bottleneck(joint, np.geomspace(1.02, 200, settings["betas"]))
    channel = information_bottleneck(np.array([[0.45, 0.05], [0.05, 0.45]]), np.array([1.7, 2.0, 3.0]))
    error = np.abs(np.asarray(channel.label) - _channel(np.asarray(channel.input), 0.1)).max()
    return {
        "gamma": settings["gamma"],
        "beta": np.asarray(curve.beta).tolist(),
        "input": np.asarray(curve.input).tolist(),
        "label": np.asarray(curve.label).tolist(),
        "channel_error": float(error),
    }


def _channel(bits: Any, flip: float) -> Any:
    """I(T;Y) on the curve of a uniform bit sent through a channel that flips it, for I(X;T) of so many bits."""
    import numpy as np
    from scipy.optimize import brentq

    def h(p: float) -> float:
        return 0.0 if p in (0, 1) else float(-p * np.log2(p) - (1 - p) * np.log2(1 - p))

    def one(b: float) -> float:
        delta: Any = brentq(lambda d: h(d) - (1 - b), 0, 0.5) if 0 < b < 1 else 0.5 * (b <= 0)
        return 1 - h(flip * (1 - delta) + delta * (1 - flip))

    return np.array([one(float(b)) for b in bits])
