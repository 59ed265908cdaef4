"""Windows of fields from memory and from files: each once an epoch, and training that does not see the difference."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cadlag import train
from cadlag.data import FieldDataset, FieldWindows, StoredWindows, read_fields, window_source, write_fields

N, T = 3, 6


def numbered(dtype=np.float64):
    """Channel u holds 100 example + time, v its negative: a value says which frame it comes from."""
    frame = 100 * np.arange(N)[:, None] + np.arange(T)
    values = np.stack([frame, -frame], 2)[..., None] * np.ones(4)
    parameters = np.arange(N, dtype=float)[:, None]
    return FieldDataset.from_arrays(
        values.astype(dtype), channels=("u", "v"), ts=np.arange(T), parameters=parameters, parameter_names="nu"
    )


@pytest.fixture
def stored(tmp_path):
    return lambda d: read_fields(write_fields(tmp_path / "d.nc", d), lazy=True)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_epoch_takes_every_window_once(stored, lazy, stride):
    d = numbered(np.float32)
    options = {"history": 2, "horizon": 1, "batch_size": 2, "inputs": ("v", "u"), "outputs": "u", "stride": stride}
    source = window_source(stored(d) if lazy else d, **options)
    assert isinstance(source, StoredWindows if lazy else FieldWindows)
    draw, state = eqx.filter_jit(source.draw), source.init(jax.random.key(0))
    starts = range(0, T - 2, stride)
    windows = {100 * i + s for i in range(N) for s in starts}
    for epoch in range(2):
        seen = []
        for step in range(source.batches_per_epoch):
            state, batch = draw(state, None, jax.random.key(10 * epoch + step))
            assert (batch.inputs.shape, batch.targets.shape) == ((2, 2, 2, 4), (2, 1, 1, 4))
            assert batch.inputs.dtype == jnp.float32
            first = batch.inputs[:, 0, 1, 0]
            np.testing.assert_array_equal(batch.inputs[:, 0, 0, 3], -first)  # channels in the order asked for
            np.testing.assert_array_equal(batch.inputs[:, 1, 1, 0], first + 1)
            np.testing.assert_array_equal(batch.targets[:, 0, 0, 0], first + 2)
            np.testing.assert_array_equal(batch.parameters[:, 0], first // 100)
            seen += first.tolist()
        assert len(set(seen)) == len(seen) == len(windows) // 2 * 2
        assert set(seen) <= windows
    assert int(state.epoch) == 1


def test_training_from_files_gives_the_bits_of_training_from_memory(stored, tmp_path):
    """In compiled blocks, in single steps, and interrupted half way."""
    d = numbered()
    loss = lambda w, batch, key: (jnp.mean((w["scale"] * batch.inputs - batch.targets) ** 2) * 1e-4, {})
    update = train.gradient(loss, optax.sgd(0.1))
    start = {"scale": jnp.zeros(())}

    def run(dataset, steps=9, **options):
        source = window_source(dataset, batch_size=4)
        return train.fit(update, start, source, steps=steps, key=jax.random.key(1), **options)

    memory = run(d).history["loss"]
    assert memory[-1] < memory[0]
    lazy = stored(d)
    np.testing.assert_array_equal(run(lazy, block=4).history["loss"], memory)
    np.testing.assert_array_equal(run(lazy, block="step").history["loss"], memory)
    run(lazy, steps=4, run=tmp_path / "run", block=2)
    resumed = run(lazy, run=tmp_path / "run", block=2)
    np.testing.assert_array_equal(resumed.history["loss"], memory)


def test_steady_maps(stored):
    values = np.stack([np.arange(N), 10 * np.arange(N)], 1)[:, None, :, None] * np.ones(4)
    d = FieldDataset.from_arrays(values, channels=("a", "u"))
    for dataset in (d, stored(d)):
        source = window_source(dataset, batch_size=N, inputs="a", outputs="u")
        _, batch = source.draw(source.init(jax.random.key(0)), None, jax.random.key(1))
        assert batch.parameters is None
        np.testing.assert_array_equal(batch.targets, 10 * batch.inputs)
        assert sorted(batch.inputs[:, 0, 0, 0].tolist()) == [0, 1, 2]


def test_a_broken_file_stops_the_training_with_its_name(stored, tmp_path):
    source = window_source(stored(numbered()), batch_size=2)
    (tmp_path / "d.nc").unlink()
    with pytest.raises(Exception, match=r"d\.nc: cannot be read"):
        jax.block_until_ready(source.draw(source.init(jax.random.key(0)), None, jax.random.key(1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"history": 4, "horizon": 3}, "history 4 \\+ horizon 3 is longer than the 6 frames"),
        ({"history": 0}, "must be at least 1, got 0, 1, 1"),
        ({"inputs": "w"}, r"\['w'\] asked for; the channels are u, v"),
    ],
)
def test_windows_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        FieldWindows(numbered(), batch_size=2, **options)


def test_steady_sets_need_names_and_files_need_a_lazy_set():
    d = FieldDataset.from_arrays(np.zeros((2, 1, 2, 4)), channels=("a", "u"))
    with pytest.raises(ValueError, match=r"name `inputs` and `outputs` among \('a', 'u'\)"):
        FieldWindows(d, batch_size=1)
    with pytest.raises(ValueError, match="windows of 1 and 1 frame, but got 2 and 1"):
        FieldWindows(d, batch_size=1, inputs="a", outputs="u", history=2)
    with pytest.raises(ValueError, match="the values are in memory; use `FieldWindows`"):
        StoredWindows(d, batch_size=1)
