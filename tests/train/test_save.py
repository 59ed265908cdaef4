import enum
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cadlag.train import EMA, Outcome, enable_x64, has_x64, load, require_x64, save

from .problems import arrays, same_bits


class MyDrift(eqx.Module):
    net: eqx.nn.MLP
    rate: jax.Array
    table: np.ndarray
    names: tuple[str, ...] = eqx.field(static=True)
    extra: dict
    cut: float = float("inf")

    def __init__(self, key):
        if key is None:
            raise AssertionError("loading must not run __init__")
        self.net = eqx.nn.MLP(2, 3, 4, 2, activation=jax.nn.silu, final_activation=jnp.sin, key=key)
        self.rate = jnp.asarray(0.5, jnp.bfloat16)
        self.table = np.arange(6, dtype=np.int16).reshape(2, 3)
        self.names = ("a", "b")
        self.extra = {
            "key": jax.random.key(7),
            "many": [True, None, 1.5, -0.0, 2**70],
            "how": Outcome.stopped,
        }


def double(x):
    return 2 * x


class Mode(enum.Enum):
    on = 1


def roundtrip(tmp_path, x, **parts):
    save(tmp_path / "m", x)
    return load(tmp_path / "m", parts=parts)


def test_round_trip_is_bit_identical(tmp_path):
    drift = MyDrift(jax.random.key(0))
    back = roundtrip(tmp_path, drift, MyDrift=MyDrift)
    assert jax.tree.structure(back) == jax.tree.structure(drift)
    a, b = eqx.filter(drift, lambda x: eqx.is_array(x) and x.dtype != drift.extra["key"].dtype), back
    assert same_bits(a, eqx.filter(b, lambda x: eqx.is_array(x) and x.dtype != drift.extra["key"].dtype))
    assert [x.dtype for x in arrays(drift)] == [x.dtype for x in arrays(back)]
    assert (jax.random.key_data(back.extra["key"]) == jax.random.key_data(drift.extra["key"])).all()
    assert isinstance(back.table, np.ndarray)
    assert not isinstance(back.table, jax.Array)
    assert back.extra["many"] == [True, None, 1.5, -0.0, 2**70]
    assert back.extra["how"] is Outcome.stopped
    assert (back.names, back.cut) == (("a", "b"), float("inf"))
    x = jnp.ones(2)
    assert (eqx.filter_jit(back.net)(x) == eqx.filter_jit(drift.net)(x)).all()


@pytest.mark.parametrize(
    "layer",
    [
        lambda k: eqx.nn.GRUCell(2, 3, key=k),
        lambda k: eqx.nn.LayerNorm(3),
        lambda k: eqx.nn.Dropout(0.5),
        lambda k: eqx.nn.Sequential([eqx.nn.Linear(2, 2, key=k), eqx.nn.Lambda(jax.nn.relu), eqx.nn.Identity()]),
        lambda k: eqx.nn.Conv2d(1, 2, 3, padding="SAME", key=k),
        lambda k: eqx.nn.MultiheadAttention(2, 4, key=k),
        lambda k: EMA(0.99),
    ],
)
def test_layers_of_the_list_come_back(tmp_path, layer):
    before = layer(jax.random.key(1))
    after = roundtrip(tmp_path, before)
    assert type(after) is type(before)
    assert bool(eqx.tree_equal(before, after))


def test_an_mlp_with_equinox_s_defaults_comes_back(tmp_path):
    net = eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(0))
    back = roundtrip(tmp_path, net)
    assert jax.tree.structure(back) == jax.tree.structure(net)
    assert back.final_activation is net.final_activation
    assert same_bits(back, net)


def test_dicts_keep_keys_of_any_kind_and_their_order(tmp_path):
    x = {3: "a", "b": (1, [2.0]), ("c", None): float("-inf"), 1 + 2j: np.float32(0.1)}
    back = roundtrip(tmp_path, x)
    assert list(back.items()) == list(x.items())
    assert type(back[1 + 2j]) is np.float32


def test_the_file_holds_public_names_only(tmp_path):
    save(tmp_path / "m", {"average": EMA(0.5), "act": jax.nn.softplus, "own": double})
    text = (tmp_path / "m" / "config.json").read_text()
    assert all(name in text for name in ("cadlag.train:EMA", "jax.nn:softplus", "part:double"))
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["arrays.npz", "config.json"]


def test_an_own_part_must_be_handed_over(tmp_path):
    save(tmp_path / "m", {"own": double, "mode": Mode.on})
    with pytest.raises(ValueError, match=r"load\(path, parts=\{'double': double\}\)"):
        load(tmp_path / "m")
    back = load(tmp_path / "m", parts={"double": double, "Mode": Mode})
    assert back == {"own": double, "mode": Mode.on}


@pytest.mark.parametrize("name", [
    "os:system", "builtins:eval", "subprocess:Popen", "cadlag.train._run:os.system",
    "cadlag.train._save:io.open",
    "cadlagged:x", "cadlag.train._names:resolve.__globals__", "jax.numpy:load", "cadlag.train:nothing", "os",
    "cadlag.train._checkpoint:zipfile.ZipFile", "cadlag..train:fit",
])  # fmt: skip
@pytest.mark.parametrize("kind", ["name", "module", "enum"])
def test_other_names_are_refused(tmp_path, name, kind):
    save(tmp_path / "m", {"x": 1})
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["model"] = {"kind": kind, "name": name, "fields": {"x": 1}, "value": "x"}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is refused|saved by another version"):
        load(tmp_path / "m")


def test_pickled_arrays_are_refused(tmp_path):
    save(tmp_path / "m", np.zeros(2))
    np.savez(tmp_path / "m" / "arrays.npz", a0=np.array([print], dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        load(tmp_path / "m")


def edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_damaged_folders_and_other_versions_are_named(tmp_path):
    folder = tmp_path / "m"
    with pytest.raises(ValueError, match="not a saved model"):
        load(folder)
    save(folder, {"w": jnp.ones(3)})
    edit(folder, model={"kind": "jax", "array": "a7", "dtype": "float64"})
    with pytest.raises(ValueError, match="do not fit together"):
        load(folder)
    edit(folder, model={"kind": "surprise"})
    with pytest.raises(ValueError, match="no version writes"):
        load(folder)
    edit(folder, format=2)
    with pytest.raises(ValueError, match="format version 2, this cadlag reads 1"):
        load(folder)
    edit(folder, format=1)
    (folder / "arrays.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="cannot be read"):
        load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        load(folder)


def test_changed_fields_are_named(tmp_path):
    save(tmp_path / "m", EMA(0.5))
    text = (tmp_path / "m" / "config.json").read_text().replace('"decay"', '"rate"')
    (tmp_path / "m" / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"has no fields \['rate'\]"):
        load(tmp_path / "m")


def test_a_rename_is_migrated(tmp_path, monkeypatch):
    save(tmp_path / "m", EMA(0.5))
    text = (tmp_path / "m" / "config.json").read_text().replace("cadlag.train:EMA", "cadlag.old:Mean")
    (tmp_path / "m" / "config.json").write_text(text)
    monkeypatch.setitem(
        __import__("cadlag.train._names", fromlist="x")._MIGRATIONS, "cadlag.old:Mean", "cadlag.train:EMA"
    )
    assert load(tmp_path / "m") == EMA(0.5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ({"f": lambda x: x}, "has no name to be saved under"),
        ({"f": [1, object()]}, r"model\['f'\]\[1\] is a object"),
        ({"f": np.array([None])}, "array of Python objects"),
    ],
)
def test_what_cannot_be_saved_is_refused(tmp_path, x, message):
    with pytest.raises(TypeError, match=message):
        save(tmp_path / "m", x)
    assert not (tmp_path / "m").exists()


def test_other_folders_are_not_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="not a saved model"):
        save(tmp_path, 1)
    save(tmp_path / "m", 1)
    save(tmp_path / "m", 2)
    assert load(tmp_path / "m") == 2


def test_float32_processes_refuse_float64_instead_of_cutting_it(tmp_path):
    save(tmp_path / "m", jnp.asarray(1 / 3, jnp.float64))
    with jax.enable_x64(False):
        assert jnp.asarray(np.float64(1 / 3)).dtype == jnp.float32  # what JAX does without a word
        assert not has_x64()
        with pytest.raises(ValueError, match=r"kernel regression needs float64.*JAX_ENABLE_X64=1"):
            require_x64("kernel regression")
        with pytest.raises(ValueError, match="cut to 32 bits"):
            load(tmp_path / "m")
        with enable_x64():
            require_x64("kernel regression")
            inside = jnp.asarray(np.float64(1 / 3))
            assert float(load(tmp_path / "m")) == 1 / 3
        assert not has_x64()
        assert inside.dtype == jnp.float64
