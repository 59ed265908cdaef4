"""Fields from files of every known layout and back; what is unclear or damaged is refused, in words that help."""

import h5py
import numpy as np
import pytest
import scipy.io
import xarray

from cadlag.data import FieldDataset, FieldNormaliser, read_fields, write_fields

RNG = np.random.default_rng(0)
N, T, X, Y = 3, 4, 6, 5
LINE = RNG.normal(size=(N, T, X)).astype(np.float32)
PLANE = RNG.normal(size=(N, T, X, Y)).astype(np.float32)
AT_X, AT_Y, AT_T = np.linspace(0, 1, X), np.linspace(0, 2, Y), np.arange(T) / 2


def hdf5(path, **arrays):
    """Data sets by name; dictionaries are groups."""

    def fill(group, content):
        for name, x in content.items():
            if isinstance(x, dict):
                fill(group.create_group(name), x)
            else:
                group[name] = x

    with h5py.File(path, "w") as file:
        fill(file, arrays)
    return path


def plane(steady=False):
    return FieldDataset.from_arrays(
        RNG.normal(size=(N, 1 if steady else T, 2, X, Y)).astype(np.float32),
        channels=("a", "u"),
        coordinates=[AT_X, AT_Y],
        ts=None if steady else AT_T,
        periodic="x",
        parameters=RNG.normal(size=(N, 2)),
        parameter_names=("nu", "drag"),
        boundary={"y": "neumann"},
        units={"u": "m", "x": "km"},
        attributes={"equation": "test", "seed": 7},
    )


def same(a, b):
    fields = ("channels", "axes", "periodic", "parameter_names", "metadata", "boundary")
    assert [getattr(a, f) for f in fields] == [getattr(b, f) for f in fields]
    assert dict(a.units) == dict(b.units)
    for name in ("ts", "parameters", "values"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.coordinates[0], b.coordinates[0])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("suffix", [".nc", ".h5", ".npz", ".zarr"])
def test_what_is_written_is_read_back(tmp_path, suffix, steady, lazy):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    d = plane(steady)
    path = write_fields(tmp_path / f"d{suffix}", d, shard=2)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    back = read_fields(path, lazy=lazy)
    assert (back.lazy, back.values.shape) == (lazy, d.values.shape)
    same(back, d)
    same(read_fields(path, channels=("u", "a"), lazy=lazy), d.select(("u", "a")))
    if lazy:
        # Another file from the lazy record, then everything cut before it is read.
        same(read_fields(write_fields(tmp_path / "copy.nc", back)), d)
        cut = lambda s: s.take([2, 0]).select("u").stride({"y": 2})
        np.testing.assert_array_equal(cut(back).load().values, cut(d).values)
        if not steady:
            later = slice(1, None, 2)
            np.testing.assert_array_equal(np.asarray(back.times(later).values), d.values[:, later])
            got = back.values.windows([2, 0], [0, 2], 2)
            np.testing.assert_array_equal(got, [d.values[2, 0:2], d.values[0, 2:4]])
        scaled = [FieldNormaliser.fit(s, shard=2).sd for s in (d, back)]
        np.testing.assert_array_equal(*scaled)


def pdebench_tensor(p):
    return hdf5(p, tensor=LINE, **{"x-coordinate": AT_X, "t-coordinate": np.append(AT_T, 2.0)}), LINE[:, :, None]


def pdebench_darcy(p):
    a = PLANE[:, 0]
    content = {"tensor": PLANE[:, :1], "nu": a, "x-coordinate": AT_X, "y-coordinate": AT_Y}
    return hdf5(p, **content), np.stack([a, PLANE[:, 0]], 1)[:, None]


def pdebench_cfd(p):
    names = ("density", "pressure", "Vx", "Vy")
    content = {name: (k + 1) * PLANE for k, name in enumerate(names)}
    coordinates = {"x-coordinate": AT_X, "y-coordinate": AT_Y, "t-coordinate": AT_T}
    return hdf5(p, **content, **coordinates), np.stack([content[n] for n in names], 2)


def pdebench_samples(p):
    data = np.stack([PLANE, 2 * PLANE], -1)
    groups = {f"{k:04d}": {"data": data[k], "grid": {"x": AT_X, "y": AT_Y, "t": AT_T}} for k in range(N)}
    return hdf5(p, **groups), np.moveaxis(data, -1, 2)


def pdebench_incompressible(p):
    velocity = np.stack([PLANE, -PLANE], -1)
    content = {"velocity": velocity, "particles": PLANE[..., None], "force": velocity[:, 0], "t": np.tile(AT_T, (N, 1))}
    return hdf5(p, **content), np.stack([PLANE, -PLANE, PLANE], 2)


def pdearena_plane(p):
    x, y = np.tile(AT_X, (N, 1)), np.tile(AT_Y, (N, 1))
    group = {
        "u": PLANE,
        "vx": 2 * PLANE,
        "vy": 3 * PLANE,
        "x": x,
        "y": y,
        "t": np.tile(AT_T, (N, 1)),
        "buo_y": np.arange(N),
    }
    return hdf5(p, train=group), np.stack([PLANE, 2 * PLANE, 3 * PLANE], 2)


def pdearena_line(p):
    group = {"pde_140-256": LINE, "x": np.outer([1, 2, 3], AT_X), "t": np.tile(AT_T, (N, 1)), "dt": np.full(N, 0.5)}
    return hdf5(p, valid=group), LINE[:, :, None]


def well(p):
    order = (
        {"buoyancy": PLANE},
        {"velocity": np.stack([PLANE, -PLANE], -1)},
        {"stress": np.stack([PLANE] * 4, -1).reshape(N, T, X, Y, 2, 2)},
    )
    fields = {f"t{k}_fields": group for k, group in enumerate(order)}
    dims = {"time": AT_T, "x": AT_X, "y": AT_Y}
    wall = {"y_wall": {"mask": np.zeros(Y)}, "x_periodic": {"mask": np.zeros(X)}}
    hdf5(p, dimensions=dims, boundary_conditions=wall, scalars={"Rayleigh": 1e6}, **fields)
    with h5py.File(p, "a") as f:
        f.attrs.update(dataset_name="test", grid_type="cartesian", n_trajectories=N, n_spatial_dims=2)
        f["dimensions"].attrs["spatial_dims"] = ["x", "y"]
        f["t0_fields"]["depth"] = PLANE[0, 0]  # the same in all samples, at all times
        for group in fields:
            for field in f[group].values():
                varies = field.ndim > 2
                field.attrs.update(sample_varying=varies, time_varying=varies, dim_varying=[True, True])
        for name, kind in (("y_wall", "WALL"), ("x_periodic", "PERIODIC")):
            f["boundary_conditions"][name].attrs.update(associated_dims=[name[0]], bc_type=kind)
    return p, np.stack([PLANE, PLANE, -PLANE] + [PLANE] * 4, 2)


LAYOUTS = {
    pdebench_tensor: {"channels": ("u",), "ts": AT_T},
    pdebench_darcy: {"channels": ("nu", "u"), "ts": None, "y": AT_Y},
    pdebench_cfd: {"channels": ("density", "pressure", "Vx", "Vy"), "ts": AT_T, "y": AT_Y},
    pdebench_samples: {"channels": ("u0", "u1"), "ts": AT_T, "y": AT_Y},
    pdebench_incompressible: {"channels": ("Vx", "Vy", "particles"), "ts": AT_T, "constants": "Fx, Fy"},
    pdearena_plane: {"channels": ("u", "vx", "vy"), "ts": AT_T, "y": AT_Y, "parameters": {"buo_y": [0, 1, 2]}},
    pdearena_line: {"channels": ("u",), "ts": AT_T, "parameters": {"dt": [0.5] * 3, "dx": [0.2, 0.4, 0.6]}},
    well: {
        "channels": ("buoyancy", "velocity_x", "velocity_y", "stress_xx", "stress_xy", "stress_yx", "stress_yy"),
        "ts": AT_T,
        "y": AT_Y,
        "constants": "depth",
        "parameters": {"Rayleigh": [1e6] * 3},
        "boundary": {"x": "periodic", "y": "wall"},
    },
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("layout", list(LAYOUTS), ids=lambda f: f.__name__)
def test_known_layouts(layout, lazy, tmp_path):
    path, values = layout(tmp_path / "data.h5")
    found, known = read_fields(path, lazy=lazy), LAYOUTS[layout]
    assert found.channels == known["channels"]
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(found.values), values)
    np.testing.assert_array_equal(found.ts, known["ts"])
    if "y" in known:
        np.testing.assert_array_equal(found.coordinates[1], known["y"])
    assert found.metadata.get("constants") == known.get("constants")
    numbers = dict(zip(found.parameter_names, [] if found.parameters is None else found.parameters.T, strict=True))
    assert numbers.keys() == known.get("parameters", {}).keys()
    for name, column in numbers.items():
        np.testing.assert_allclose(column, known["parameters"][name])
    assert dict(found.boundary) == known.get("boundary", {})
    assert found.periodic == tuple(a for a, kind in dict(found.boundary).items() if kind == "periodic")


def test_constants_are_read_where_they_are_named(tmp_path):
    path, _ = well(tmp_path / "data.hdf5")
    found = read_fields(path, channels=("depth", "buoyancy"))
    np.testing.assert_array_equal(found.values[:, :, 0], np.broadcast_to(PLANE[0, 0], (N, T, X, Y)))
    np.testing.assert_array_equal(found.values[:, :, 1], PLANE)


def test_pdearena_says_which_part(tmp_path):
    path = hdf5(tmp_path / "d.h5", train={"u": PLANE}, test={"u": 2 * PLANE})
    with pytest.raises(ValueError, match="holds the parts train, test; say which with `split=`"):
        read_fields(path)
    np.testing.assert_array_equal(read_fields(path, split="test").values[:, :, 0], 2 * PLANE)
    with pytest.raises(ValueError, match="there is no part 'valid'"):
        read_fields(path, split="valid")


@pytest.mark.parametrize("new", [False, True], ids=["old", "7.3"])
def test_matlab_files_of_fno(tmp_path, new):
    """The same arrays in both versions of the format; version 7.3 is HDF5 with all axes reversed."""

    def write(name, **arrays):
        path = tmp_path / name
        if new:
            return hdf5(path, **{k: np.asarray(x).T for k, x in arrays.items()})
        scipy.io.savemat(path, arrays)
        return path

    flow = np.moveaxis(PLANE, 1, -1)  # n x y t
    found = read_fields(write("ns.mat", a=PLANE[:, 0], u=flow, t=AT_T[None]))
    np.testing.assert_array_equal(found.values[:, :, 0], PLANE)
    np.testing.assert_array_equal(found.ts, AT_T)
    assert found.metadata["constants"] == "a"
    darcy = read_fields(write("darcy.mat", coeff=PLANE[:, 0], sol=PLANE[:, 1]), lazy=True)
    assert (darcy.channels, darcy.ts) == (("coeff", "sol"), None)
    np.testing.assert_array_equal(np.asarray(darcy.values)[:, 0], PLANE[:, :2])
    burgers = read_fields(write("burgers.mat", a=LINE[:, 0], u=LINE[:, 1]))
    np.testing.assert_array_equal(burgers.values[:, 0], LINE[:, :2])
    own = write("own.mat", w=flow, tau=np.arange(2))
    with pytest.raises(ValueError, match=r"neither `a` and `u` nor `coeff` and `sol`.*axes='n x y t'"):
        read_fields(own)
    mine = read_fields(own, axes="n x y t", arrays="w", ts=AT_T)
    np.testing.assert_array_equal(mine.values[:, :, 0], PLANE)
    with pytest.raises(
        ValueError, match=r"not clear what the axes of 'u', shape \(3, 6, 5, 4\), are.*n x y t.*n t x y"
    ):
        read_fields(write("odd.mat", a=PLANE[:, 0], u=flow))


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5", ".nc"])
def test_explicit_axes(tmp_path, suffix):
    """Time last, channels first, and an axis of length 1."""
    path, odd = tmp_path / f"d{suffix}", np.stack([PLANE, 2 * PLANE]).transpose(1, 0, 3, 4, 2)[None]
    if suffix == ".npy":
        np.save(path, odd)
    elif suffix == ".nc":
        dims = [f"dim_{k}" for k in range(6)]
        xarray.Dataset({"values": (dims, odd)}).to_netcdf(path, engine="h5netcdf")
    elif suffix == ".h5":
        hdf5(path, deep={"values": odd})
    else:
        np.savez(path, values=odd, other=np.zeros(3))
    with pytest.raises(ValueError, match=r"not clear|none of the known layouts"):
        read_fields(path)
    found = read_fields(path, axes="1 n c x y t", ts=AT_T, lazy=True, periodic="x", coordinates={"x": AT_X})
    np.testing.assert_array_equal(np.asarray(found.values), np.stack([PLANE, 2 * PLANE], 2))
    assert found.periodic == ("x",)
    np.testing.assert_array_equal(found.coordinates[0], AT_X)
    with pytest.raises(ValueError, match="times of the 4 frames are missing"):
        read_fields(path, axes="1 n c x y t")
    with pytest.raises(ValueError, match=r"different name for each axis"):
        read_fields(path, axes="1 n c x x t")
    with pytest.raises(ValueError, match="calls an axis 1 that has length 3"):
        read_fields(path, axes="n 1 c x y t")
    with pytest.raises(ValueError, match=r"1 arrays have the 3 axes|0 arrays have the 3 axes|has 3 names for an array"):
        read_fields(path, axes="n t x")


def test_npz_whose_lengths_say_what_is_what(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, u=LINE, t=AT_T, x=AT_X)
    found = read_fields(path)
    np.testing.assert_array_equal(found.values[:, :, 0], LINE)
    np.testing.assert_array_equal(found.ts, AT_T)
    # As many times as examples: two readings.
    np.savez(path, u=LINE[:, :3], t=AT_T[:3], x=AT_X)
    with pytest.raises(ValueError, match=r"'u', shape \(3, 3, 6\), are. Say which: axes='n t x' or axes='n x y'"):
        read_fields(path)


def test_named_dims_that_do_not_go_together(tmp_path):
    path = tmp_path / "d.nc"
    both = {"u": (("time", "lat", "lon"), PLANE[0]), "s": (("time", "z"), LINE[0])}
    xarray.Dataset(both, {"time": AT_T}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ValueError, match=r"the variables \{'s': .*do not have the axes of space.*`channels=`"):
        read_fields(path)
    found = read_fields(path, channels="u")
    assert (found.axes, len(found)) == (("lat", "lon"), 1)
    np.testing.assert_array_equal(found.values[0, :, 0], PLANE[0])


def test_packed_netcdf_is_unpacked(tmp_path):
    """Integers with a scale, in NetCDF 4 and in NetCDF 3, which is not HDF5."""
    data = xarray.Dataset({"u": (("n", "time", "x"), np.round(LINE.astype(float), 1))}, {"time": AT_T})
    packed = {"u": {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -999}}
    for engine, options in (("h5netcdf", {}), ("scipy", {"format": "NETCDF3_64BIT"})):
        data.to_netcdf(tmp_path / "d.nc", engine=engine, encoding=packed, **options)
        found = read_fields(tmp_path / "d.nc", lazy=True)
        np.testing.assert_allclose(found.values.read()[:, :, 0], data["u"], atol=1e-12)
    holes = data.where(data["u"] < data["u"].max())
    holes.to_netcdf(tmp_path / "d.nc", engine="h5netcdf", encoding=packed)
    with pytest.raises(ValueError, match=r"d.nc: `values` hold 1 NaN"):
        read_fields(tmp_path / "d.nc")


def test_several_files_are_one_set(tmp_path):
    d = plane()
    for k in range(2):
        write_fields(tmp_path / f"part{k}.nc", d[2 * k : 2 * k + 2])
    same(read_fields(tmp_path), d)
    lazy = read_fields([tmp_path / "part0.nc", tmp_path / "part1.nc"], lazy=True)
    np.testing.assert_array_equal(lazy.values.read([2, 0, 1]), d.values[[2, 0, 1]])
    write_fields(tmp_path / "part2.nc", d.stride({"y": 2}))
    with pytest.raises(ValueError, match=r"set 0 has shape \(6, 5\), set 2 has \(6, 3\). Bring them to one grid"):
        read_fields(tmp_path)


def test_damaged_files(tmp_path):
    whole = write_fields(tmp_path / "whole.nc", plane()).read_bytes()
    for name, content in (
        ("short.nc", whole[:2000]),
        ("short.h5", whole[:2000]),
        ("no.h5", b"text"),
        ("no.mat", b"text"),
        ("no.npz", b"PK"),
        ("no.npy", b"text"),
        ("empty.nc", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}: (this is not a readable|cannot be opened)"):
            read_fields(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_fields(tmp_path / "nowhere.nc")
    (tmp_path / "d.txt").write_text("")
    with pytest.raises(ValueError, match=r"suffix '.txt' is not one of \.nc"):
        read_fields(tmp_path / "d.txt")
    with pytest.raises(ValueError, match=r"suffix '.txt' is not one of \.nc"):
        write_fields(tmp_path / "d.txt", plane())


def test_files_that_break_while_they_are_read(tmp_path):
    """A NaN in one example of a lazy set, and a file that is gone."""
    bad = PLANE.copy()
    bad[2, 1, 0, 3] = np.nan
    path = hdf5(tmp_path / "d.h5", train={"u": bad})
    with pytest.raises(ValueError, match=r"d.h5: `values` hold 1 NaN .*example 2, time 1, channel 0, point \(0, 3\)"):
        read_fields(path)
    lazy = read_fields(path, lazy=True)
    np.testing.assert_array_equal(lazy.take([0, 1]).load().values[:, :, 0], PLANE[:2])
    with pytest.raises(ValueError, match="in the examples 2"):
        lazy.values.read()
    path.unlink()
    with pytest.raises(ValueError, match=r"cannot be read .*damaged or has changed"):
        lazy.load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"tensor": PLANE}, r"'tensor', shape \(3, 4, 6, 5\), are. Say which: axes='1 n t x' or axes='n 1 x y'"),
        ({"tensor": LINE, "x-coordinate": np.arange(9.0)}, "`x-coordinate` has 9 entries for an axis of 6 points"),
        ({"tensor": LINE, "x-coordinate": AT_X}, "times `t-coordinate` of the 4 frames are missing"),
        ({"0000": {"data": LINE, "grid": {"x": AT_X, "t": AT_T}}, "0001": {}}, "samples 0001 have no `data`"),
        ({"train": {"w": LINE}}, r"neither `u` \(n, t, x, y\) nor one `pde_"),
        ({"train": {"u": PLANE, "vx": PLANE[:, :, :3]}}, r"different numbers of points along 'x', \[3, 6\]"),
        ({"a": LINE, "b": PLANE}, r"none of the known layouts .*it holds \{'a': \(3, 4, 6\), 'b'"),
    ],
)
def test_what_does_not_fit_its_layout(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_fields(hdf5(tmp_path / "d.h5", **content))
