"""What `information-plane` measures of groups of small networks that learn the twelve-bit task."""

import itertools
import math
from typing import Any

SIZES = (12, 10, 7, 5, 4, 3, 2)
EDGES, WIDTH, VARIANCE = 30, 0.07, 1e-3
# Layers whose figures the claims take, from 0; the softmax is the last.
LAYERS = ("T1", "T2", "T3", "T4", "T5", "out")


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """About so many epochs, evenly spaced in the logarithm, with 0, 63 (where the card's table looks) and the last."""
    spaced = {round(math.exp(math.log(epochs) * i / (count - 1))) for i in range(count)}
    return sorted(spaced | {0, min(63, epochs), epochs})


def network(activation: Any, rng: Any) -> Any:
    """12-10-7-5-4-3-2 in single precision: weights normal of deviation 1/sqrt(fan-in), cut at two of them."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np
    from scipy.stats import truncnorm

    members = []
    for m, n in itertools.pairwise(SIZES):
        empty = eqx.filter_eval_shape(eqx.nn.Linear, m, n, key=jax.random.key(0))
        weight = np.asarray(truncnorm.rvs(-2, 2, size=(n, m), random_state=rng)) / m**0.5
        arrays = (jnp.asarray(weight.astype(np.float32)), jnp.asarray(np.zeros(n, np.float32)))
        members += [eqx.tree_at(lambda q: (q.weight, q.bias), empty, arrays)]
        members += [eqx.nn.Lambda(activation)] if n != SIZES[-1] else []
    return eqx.nn.Sequential(members)


def cross_entropy(model: Any, batch: Any, key: Any) -> tuple[Any, dict]:
    """Mean cross-entropy of two logits with labels 0 and 1, in nats: softplus of the wrong logit less the right one."""
    import jax
    import jax.numpy as jnp

    del key
    x, y = batch
    # Examples go along the last axis: narrow layers then cost a quarter on a CPU of what rows cost.
    h = x.T
    for member in model.layers:
        h = member(h) if not hasattr(member, "weight") else jnp.matmul(member.weight, h) + member.bias[:, None]
    wrong = jnp.where(y == 1, h[0] - h[1], h[1] - h[0])
    return jnp.mean(jax.nn.softplus(wrong)), {}


def group_loss(models: Any, batch: Any, key: Any) -> tuple[Any, dict]:
    """The sum over networks of the loss on a batch of its own, (examples, networks, ...): each learns as if alone."""
    import equinox as eqx
    import jax.numpy as jnp

    def one(model: Any, x: Any, y: Any) -> Any:
        return cross_entropy(model, (x, y), key)[0]

    return jnp.sum(eqx.filter_vmap(one, in_axes=(eqx.if_array(0), 1, 1))(models, *batch)), {}


def task(settings: dict[str, Any], seed: int, *, random_labels: bool = False) -> tuple[Any, Any, Any]:
    """All patterns, their labels, and an order whose first part is to learn from."""
    import jax.numpy as jnp
    import numpy as np

    from cadlag.lens import icosahedral_task

    rng = np.random.default_rng(seed)
    samples = icosahedral_task()
    labels = np.asarray(samples.labels, np.int32)
    if random_labels:
        labels = rng.permutation(labels)
    return jnp.asarray(samples.values, jnp.float32), jnp.asarray(labels), rng.permutation(len(labels))


def train(arm: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Networks side by side, their plane recorded in the training loop; figures are medians over networks."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from cadlag.data.sources import Batches, FullBatch
    from cadlag.lens import layers_of
    from cadlag.recipes._information_plane_references import betas
    from cadlag.train import Recorder, fit, gradient

    x, y, order = task(settings, seed, random_labels=arm == "random-labels")
    part = order[: round(settings["train"] * len(y))]
    activation = jax.nn.relu if arm == "relu" else jnp.tanh
    models = group(activation, settings["nets"], seed)
    layers = layers_of(one_of(models, 0), final=jax.nn.softmax)
    whole = arm == "full-batch"
    # Every network has the examples in an order of its own, so one source shuffles them differently for each.
    own = np.stack([np.random.default_rng([seed, n]).permutation(part) for n in range(settings["nets"])], axis=1)
    batches = Batches((x[own], y[own]), settings["batch"])
    per_epoch = settings["full_steps"] / settings["epochs"] if whole else batches.batches_per_epoch
    epochs = snapshot_epochs(settings["epochs"], settings["snapshots"])
    steps = list(dict.fromkeys(round(e * per_epoch) for e in epochs))
    result = fit(
        gradient(group_loss, optax.adam(settings["full_rate"] if whole else settings["rate"])),
        models,
        FullBatch(batches.data) if whole else batches,
        key=jax.random.key(seed),
        steps=steps[-1],
        block=1000,
        log_every=steps[-1],
        recorder=Recorder(observer(layers, x, y, (x[part], y[part]), settings["batch"]), steps),
    )
    # (networks, snapshots, ...)
    records = jax.tree.map(lambda a: np.swapaxes(np.asarray(a), 0, 1), result.records)
    epochs = [s / per_epoch for s in steps]
    models, some = result.state.unknowns, settings["noisy"]
    return {
        **accuracies(models, x, y, part),
        **summary(records, epochs),
        "noisy": noisy(records["model"], models, layers, x[:some], y[:some], epochs)
        if arm in ("tanh", "relu")
        else None,
        "layer_beta": betas(one_of(models, 0), layers, x, settings) if arm == "tanh" else None,
    }


def group(activation: Any, nets: int, seed: int) -> Any:
    """Fresh networks with a leading axis."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    each = [network(activation, np.random.default_rng([seed, net])) for net in range(nets)]
    return jax.tree.map(lambda *a: jnp.stack(a) if eqx.is_array(a[0]) else a[0], *each)


def one_of(models: Any, net: int) -> Any:
    """One network of a group."""
    import equinox as eqx
    import jax

    return jax.tree.map(lambda a: a[net] if eqx.is_array(a) else a, models)


def observer(layers: Any, x: Any, y: Any, data: Any, batch: int) -> Any:
    """What the recorder looks at: the plane by three ways of counting, the gradients' noise, the weights."""
    import equinox as eqx
    import jax

    from cadlag.lens import gradient_noise, information

    plane = information(layers, x, y, binned(), model=lambda net: net)

    def one(net: Any, k: Any) -> dict[str, Any]:
        noise = gradient_noise(cross_entropy, net, data, batch_size=batch, key=k)
        return {"plane": plane(net, k), "noise": noise, "model": eqx.filter(net, eqx.is_array)}

    def observe(state: Any, key: Any) -> Any:
        nets = jax.tree.leaves(eqx.filter(state.unknowns, eqx.is_array))[0].shape[0]
        return eqx.filter_vmap(one)(state.unknowns, jax.random.split(key, nets))

    return observe


def binned() -> dict[str, Any]:
    """The three ways to count: the paper's edges, the critique's width, bins over the current range."""
    import numpy as np

    from cadlag.lens import Binned, CurrentRange, FixedEdges, FixedWidth

    return {
        "edges": Binned(FixedEdges(np.linspace(-1, 1, EDGES))),
        "width": Binned(FixedWidth(WIDTH)),
        "range": Binned(CurrentRange(EDGES - 1)),
    }


def accuracies(models: Any, x: Any, y: Any, part: Any) -> dict[str, Any]:
    """Of each network, on the part it learnt from and on the rest."""
    import equinox as eqx
    import jax
    import numpy as np

    logits = eqx.filter_vmap(lambda m: jax.vmap(m)(x))(models)
    right = np.asarray(logits).argmax(axis=2) == np.asarray(y)
    seen = np.zeros(len(y), bool)
    seen[np.asarray(part)] = True
    train, test = right[:, seen].mean(axis=1), right[:, ~seen].mean(axis=1)
    return {
        "train_accuracy": float(np.median(train)),
        "test_accuracy": float(np.median(test)),
        "each_test_accuracy": test.tolist(),
    }


def summary(records: Any, epochs: list[float]) -> dict[str, Any]:
    """Medians over the networks: the plane of each estimator, what the claims need, signal over noise."""
    import numpy as np

    from cadlag.lens import compression, phase_switch

    def median(a: Any) -> Any:
        return np.median(a, axis=0)

    at = int(np.argmin(np.abs(np.asarray(epochs) - 63)))
    planes, changes, drops = {}, {}, {}
    for name, info in records["plane"].items():
        planes[name] = {"input": median(info.input).tolist(), "label": median(info.label).tolist()}
        planes[name]["resolution"] = median(info.resolution).tolist()
        changes[name] = dict(zip(LAYERS, median(info.input[:, -1] - info.input[:, at]).tolist(), strict=True))
        lost = median(np.stack([compression(net) for net in info.input]))
        drops[name] = dict(zip(LAYERS, lost.tolist(), strict=True))
    ratio = records["noise"].ratio
    each = np.stack([phase_switch(net, np.asarray(epochs)) for net in ratio])  # (nets, layers)
    # A network that never turns counts with the last epoch, a bound from below.
    switch = median(np.where(np.isnan(each), epochs[-1], each))
    return {
        "epochs": epochs,
        "planes": planes,
        "changes": changes,
        "drops": drops,
        "final_label": dict(zip(LAYERS, planes["edges"]["label"][-1], strict=True)),
        "ratio": median(ratio).tolist(),
        "switch": dict(zip(LAYERS, switch.tolist(), strict=True)),
    }


def noisy(stack: Any, like: Any, layers: Any, x: Any, y: Any, epochs: list[float]) -> dict[str, Any]:
    """Bounds by distances of pairs after the first epoch, at epoch 63 and at the end; medians over networks."""
    import equinox as eqx
    import jax
    import numpy as np

    from cadlag.lens import PairwiseLower, PairwiseUpper, layer_information

    static = eqx.filter(like, eqx.is_array, inverse=True)
    nets = jax.tree.leaves(stack)[0].shape[0]
    y = np.asarray(y)
    places = sorted({int(np.argmin(np.abs(np.asarray(epochs) - e))) for e in (1, 63, epochs[-1])})
    found: dict[str, Any] = {"epochs": [epochs[p] for p in places]}
    for name, estimator in (("upper", PairwiseUpper(VARIANCE)), ("lower", PairwiseLower(VARIANCE))):
        rows = []
        for place in places:
            weights = [jax.tree.map(lambda a, n=n, p=place: a[n, p], stack) for n in range(nets)]
            each = [layer_information(layers, eqx.combine(w, static), x, y, estimator).input for w in weights]
            rows.append(np.median(np.stack(each), axis=0).tolist())
        found[name] = rows
    found["changes"] = {
        name: dict(zip(LAYERS, (np.subtract(found[name][-1], found[name][-2])).tolist(), strict=True))
        for name in ("upper", "lower")
    }
    return found
