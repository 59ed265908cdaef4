"""The record of fields: what it refuses, how it is cut, and its scaling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag import train
from cadlag.data import FieldDataset, FieldNormaliser, from_xarray, join, split, to_xarray

RNG = np.random.default_rng(0)


def flow(n=6, frames=5, shape=(8, 4), dtype=np.float32):
    """Two channels on a box that is periodic in x."""
    values = RNG.normal(size=(n, frames, 2, *shape)).astype(dtype)
    return FieldDataset.from_arrays(
        values,
        channels=("u", "v"),
        coordinates=[np.arange(shape[0]) / shape[0], np.linspace(-1, 1, shape[1])],
        ts=0.5 * np.arange(frames),
        periodic="x",
        parameters=RNG.normal(size=(n, 1)),
        parameter_names="nu",
        boundary={"y": "dirichlet"},
        units={"u": "m/s", "t": "s"},
        attributes={"equation": "test", "seed": 3},
    )


def same(a, b, values=True):
    assert (a.channels, a.axes, a.periodic, a.parameter_names) == (b.channels, b.axes, b.periodic, b.parameter_names)
    assert (dict(a.boundary), dict(a.units), a.metadata) == (dict(b.boundary), dict(b.units), b.metadata)
    assert (a.ts is None) == (b.ts is None)
    for x, y in [*zip(a.coordinates, b.coordinates, strict=True), *([] if a.ts is None else [(a.ts, b.ts)])]:
        np.testing.assert_array_equal(x, y)
    if a.parameters is not None:
        np.testing.assert_array_equal(a.parameters, b.parameters)
    if values:
        np.testing.assert_array_equal(np.asarray(a.values), np.asarray(b.values))
        assert a.values.dtype == b.values.dtype


def test_choosing_examples_channels_frames_and_points():
    d = flow()
    assert (len(d), d.frames, d.shape, d.lazy) == (6, 5, (8, 4), False)
    cut = d[1:4].select("v").times(slice(1, None, 2)).stride({"x": 2})
    np.testing.assert_array_equal(cut.values, d.values[1:4, 1::2, [1], ::2])
    np.testing.assert_array_equal(cut.parameters, d.parameters[1:4])
    np.testing.assert_array_equal(cut.ts, [0.5, 1.5])
    np.testing.assert_array_equal(cut.coordinates[0], np.arange(4) / 4)
    np.testing.assert_array_equal(d.take([4, 0]).values, d.values[[4, 0]])
    np.testing.assert_array_equal(d.take(np.arange(6) % 2 == 0).values, d.values[::2])
    parts = split(d, (0.5, 0.5), seed=0)
    assert sorted(np.concatenate([p.parameters for p in parts]).ravel()) == sorted(np.ravel(d.parameters))
    same(join([d[:2], d[2:]]), d)
    assert d.astype(np.float64).values.dtype == np.float64
    assert len(jax.tree.leaves(d)) == 5  # values, two coordinates, times, parameters


def test_resampling_keeps_the_modes_that_fit():
    """sin(2 pi x) + cos(2 pi 5 x) on 32 points: 8 points hold the first mode only, 64 points both."""
    x, wave = np.arange(32) / 32, lambda x: np.sin(2 * np.pi * x)
    values = (wave(x) + np.cos(10 * np.pi * x))[None, None, None]
    d = FieldDataset.from_arrays(values, coordinates=[x], periodic="x")
    coarse, fine = d.resample(8), d.resample(64)
    np.testing.assert_allclose(coarse.values[0, 0, 0], wave(coarse.coordinates[0]), atol=1e-14)
    y = fine.coordinates[0]
    np.testing.assert_allclose(y, np.arange(64) / 64, atol=1e-15)
    np.testing.assert_allclose(fine.values[0, 0, 0], wave(y) + np.cos(10 * np.pi * y), atol=1e-14)
    # Striding aliases mode 5 to mode 3 of 8 points.
    assert abs(np.fft.rfft(d.stride(4).values[0, 0, 0])[3]) > 1
    with pytest.raises(ValueError, match="axis 'y' is not periodic"):
        flow().resample(2)


def test_the_grid_and_uneven_points():
    grid = flow().grid
    assert grid.domain.bounds("x") == (0, 1)
    assert grid.domain.bounds("y") == (-1, 1)
    np.testing.assert_allclose(grid.points("y"), np.linspace(-1, 1, 4), atol=1e-15)
    uneven = FieldDataset.from_arrays(np.zeros((1, 1, 1, 4)), coordinates=[[0, 1, 2, 4]])
    with pytest.raises(ValueError, match=r"axis 'x' is not uniform: its spacings go from 1 to 2"):
        _ = uneven.grid
    single = np.linspace(0, 1, 1000).astype(np.float32)  # evenly spaced as float32 has it
    assert FieldDataset.from_arrays(np.zeros((1, 1, 1, 1000)), coordinates=[single]).spacing("x") == pytest.approx(
        1 / 999
    )


def bad_values():
    values = np.zeros((3, 2, 1, 4))
    values[2, 1, 0, 3] = np.nan
    return values


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (
            bad_values(),
            {"ts": [0, 1]},
            r"first in example 2, time 1, channel 0, point \(3,\).*in the examples 2\. Leave",
        ),
        ([np.zeros((2, 1, 8)), np.zeros((2, 1, 4))], {}, r"different shapes, \(2, 1, 4\), \(2, 1, 8\).*one resolution"),
        (np.zeros((3, 8)), {}, r"shape \(example, time, channel, \*space\), none 0, but got \(3, 8\)"),
        (np.zeros((0, 1, 1, 8)), {}, r"none 0, but got \(0, 1, 1, 8\)"),
        (np.zeros((3, 2, 1, 8)), {}, r"times of the 2 frames are missing.*If the second axis is not time"),
        (np.zeros((3, 1, 2, 8)), {}, r"`channels`: names are missing for 2 channels"),
        (np.zeros((3, 1, 2, 8)), {"channels": ("u", "u")}, r"one different name for each channel, 2 in all"),
        (np.zeros((3, 1, 1, 8)), {"axes": ("x", "y")}, r"one different name for each axis of space, 1 in all"),
        (np.zeros((3, 1, 1, 8)), {"coordinates": [np.arange(7)]}, r"coordinates of 'x'` must have shape \(8,\)"),
        (np.zeros((3, 1, 1, 4)), {"coordinates": [[0, 2, 1, 3]]}, "ascend strictly"),
        (np.zeros((3, 1, 1, 4)), {"periodic": "y"}, r"`periodic`: \['y'\] are not among x"),
        (np.zeros((3, 1, 1, 4)), {"parameters": np.zeros(3)}, r"`parameters` must have shape \(3, p\)"),
        (np.zeros((3, 1, 1, 4)), {"units": {"w": "m"}}, r"`units`: \['w'\] are not among u, x, t"),
    ],
)
def test_what_is_refused(values, options, message):
    with pytest.raises(ValueError, match=message):
        FieldDataset.from_arrays(values, **options)


def test_wrong_choices_are_refused():
    d = flow()
    with pytest.raises(ValueError, match=r"\['w'\] asked for; the channels are u, v"):
        d.select("w")
    with pytest.raises(ValueError, match="leaves none"):
        d.times(slice(9, None))
    with pytest.raises(ValueError, match="divisors on periodic axes"):
        d.stride(3)
    with pytest.raises(TypeError, match="use `take` for indices"):
        d[0]
    with pytest.raises(ValueError, match=r"set 0 has shape \(8, 4\), set 1 has \(4, 4\)"):
        join([d, d.stride({"x": 2})])
    with pytest.raises(ValueError, match="set 1 has other coordinates or times"):
        join([d.times(slice(0, 2)), d.times(slice(1, 3))])


def test_xarray_to_and_fro():
    d = flow()
    there = to_xarray(d)
    assert there["u"].dims == ("example", "time", "x", "y")
    assert there["u"].attrs["units"] == "m/s"
    same(from_xarray(there), d)
    steady = FieldDataset.from_arrays(RNG.normal(size=(3, 1, 2, 4)), channels=("a", "u"))
    same(from_xarray(to_xarray(steady)), steady)
    # Dims in another order and with names of their own, one variable with a channel axis.
    other = there["v"].transpose("y", "time", "example", "x").rename(x="lon", y="lat", example="member")
    back = from_xarray(other, periodic="lon")
    assert (back.axes, back.channels, back.periodic) == (("lat", "lon"), ("v",), ("lon",))
    np.testing.assert_array_equal(back.values[:, :, 0], d.values[:, :, 1].swapaxes(-1, -2))


@pytest.mark.parametrize("per_pixel", [False, True])
def test_a_scaling_fitted_in_shards(per_pixel, tmp_path):
    """Against NumPy on everything at once, far from zero; saved and loaded bit for bit."""
    d = flow(dtype=np.float64)
    far = d.values + np.asarray([1e6, -3.0]).reshape(2, 1, 1)
    d = FieldDataset.from_arrays(far, channels=("u", "v"), ts=d.ts)
    scaling = FieldNormaliser.fit(d, per_pixel=per_pixel, eps=0, shard=4)
    axes = (0, 1) if per_pixel else (0, 1, 3, 4)
    keep = {"axis": axes, "keepdims": True}
    np.testing.assert_allclose(scaling.mean, far.mean(**keep)[0, 0], rtol=1e-14)
    np.testing.assert_allclose(scaling.sd, far.std(**keep)[0, 0], rtol=1e-9)  # 1e6 costs NumPy's own two passes 1e-10
    z = scaling.normalise(jnp.asarray(far))
    np.testing.assert_allclose(np.std(z, axis=axes), 1, rtol=1e-9)
    np.testing.assert_allclose(scaling.denormalise(z), far, rtol=1e-14)
    assert scaling.normalise(jnp.zeros((2, 8, 4), jnp.float32)).dtype == jnp.float32
    train.save(tmp_path / "scaling", scaling)
    for a, b in zip(jax.tree.leaves(scaling), jax.tree.leaves(train.load(tmp_path / "scaling")), strict=True):
        np.testing.assert_array_equal(a, b)
    v = scaling.select("v")
    # Compiled for other shapes, a division may round the other way.
    np.testing.assert_allclose(v.normalise(jnp.asarray(far[0, 0, 1:])), z[0, 0, 1:], rtol=1e-15)
    with pytest.raises(ValueError, match=r"for \('u', 'v'\): expected \(\.\.\., 2"):
        scaling.normalise(jnp.zeros((1, 8, 4)))
    if per_pixel:
        with pytest.raises(ValueError, match="per pixel, so on this grid only"):
            scaling.normalise(jnp.zeros((2, 4, 4)))


def test_what_does_not_vary_is_scaled_all_the_same():
    values = RNG.normal(size=(5, 1, 2, 6))
    values[:, :, 0, [0, -1]] = 0  # a wall
    values[:, :, 1] = 0.1  # a constant, whose computed deviation is a rounding of 0.1
    d = FieldDataset.from_arrays(values, channels=("u", "c"))
    pixels = FieldNormaliser.fit(d, per_pixel=True)
    z = pixels.normalise(jnp.asarray(values))
    assert np.all(np.isfinite(z))
    assert np.all(z[:, :, 0, 0] == 0)
    np.testing.assert_allclose(z[:, :, 1], 0, atol=1e-15)
    assert np.all(FieldNormaliser.fit(d).sd[1] == 1)
    grad = jax.grad(lambda s: jnp.sum(s.normalise(jnp.asarray(values)) ** 2))(pixels)
    assert all(np.all(g == 0) for g in jax.tree.leaves(grad))
    with pytest.raises(ValueError, match="needs two fields or more"):
        FieldNormaliser.fit(d[:1], per_pixel=True)
