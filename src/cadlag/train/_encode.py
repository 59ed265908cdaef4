"""A module as a tree for JSON beside a table of arrays, and back. Nothing from the file is called."""

import dataclasses
import enum
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from ._names import is_named, name_of, resolve


class Encoder:
    """Turns an object into plain JSON values; arrays go to `arrays`."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, x: Any, where: str) -> Any:
        """The JSON form of `x`, which stands at `where` in the model."""
        if x is None or isinstance(x, bool | str) or type(x) is int:
            return x
        if type(x) is float:
            return x if math.isfinite(x) else {"kind": "float", "value": str(x)}
        if type(x) is complex:
            return {"kind": "complex", "value": [self.encode(v, where) for v in (x.real, x.imag)]}
        if isinstance(x, jax.Array | np.ndarray | np.generic):
            return self._array(x, where)
        if isinstance(x, np.dtype):
            return {"kind": "dtype", "value": x.name}
        return self._composite(x, where)

    def _composite(self, x: Any, where: str) -> Any:
        if isinstance(x, enum.Enum):
            return {"kind": "enum", "name": name_of(type(x)), "value": x.name}
        if is_named(x):
            return {"kind": "name", "name": name_of(x)}
        if isinstance(x, functools.partial) and not x.args:
            return {"kind": "partial", "name": name_of(x.func), "keywords": self._pairs(x.keywords, where)}
        if type(x) is list or type(x) is tuple:
            items = [self.encode(v, f"{where}[{i}]") for i, v in enumerate(x)]
            return {"kind": type(x).__name__, "items": items}
        if type(x) is dict:
            return {"kind": "dict", "items": self._pairs(x, where)}
        if dataclasses.is_dataclass(x):
            return {"kind": "module", "name": name_of(type(x)), "fields": self._fields(x, where)}
        raise TypeError(
            f"save: {where} is a {type(x).__name__}, which cannot be saved; a saved model holds modules, "
            "arrays, numbers, text, lists, tuples, dicts, enums and named functions."
        )

    def _pairs(self, x: dict, where: str) -> list[list[Any]]:
        return [[self.encode(k, f"{where} key"), self.encode(v, f"{where}[{k!r}]")] for k, v in x.items()]

    def _fields(self, x: Any, where: str) -> dict[str, Any]:
        # What stands in the class alone, as a default never set, is not part of the object.
        set_ = getattr(x, "__dict__", None)
        names = [f.name for f in dataclasses.fields(x) if set_ is None or f.name in set_]
        return {name: self.encode(getattr(x, name), f"{where}.{name}") for name in names}

    def _array(self, x: Any, where: str) -> dict[str, Any]:
        tree = {"kind": "numpy"}
        if isinstance(x, np.generic):
            tree = {"kind": "scalar"}
        elif isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            tree, x = {"kind": "key", "impl": str(jax.random.key_impl(x))}, jax.random.key_data(x)
        elif isinstance(x, jax.Array):
            tree = {"kind": "jax"}
        host = np.asarray(x)
        if host.dtype.hasobject:
            raise TypeError(f"save: {where} is an array of Python objects; use numbers, booleans or text.")
        tree |= {
            "array": f"a{len(self.arrays)}",
            "dtype": host.dtype.name if host.dtype.kind != "U" else "str",
        }
        # NumPy's file format does not know bfloat16 and its kin; their bytes go under an unsigned integer.
        plain = host if host.dtype.kind != "V" else host.view(f"u{host.dtype.itemsize}")
        self.arrays[tree["array"]] = plain
        return tree


class Decoder:
    """Turns the tree back, from names in the allowed set and from `parts`."""

    def __init__(self, arrays: dict[str, np.ndarray], parts: dict[str, Any]):
        self.arrays, self.parts = arrays, parts

    def decode(self, tree: Any) -> Any:
        """The object of a JSON form."""
        if tree is None or isinstance(tree, bool | str | int | float):
            return tree
        kind = tree.get("kind") if isinstance(tree, dict) else None
        method = getattr(self, f"_decode_{kind}", None) if isinstance(kind, str) else None
        if method is None:
            raise ValueError(f"load: config.json holds {str(tree)[:80]!r}, which no version writes: damaged.")
        return method(tree)

    def _decode_float(self, tree: dict) -> float:
        return float(tree["value"])

    def _decode_complex(self, tree: dict) -> complex:
        return complex(*map(self.decode, tree["value"]))

    def _decode_dtype(self, tree: dict) -> np.dtype:
        return _dtype(tree["value"])

    def _decode_name(self, tree: dict) -> Any:
        return resolve(tree["name"], self.parts)

    def _decode_partial(self, tree: dict) -> functools.partial:
        return functools.partial(
            resolve(tree["name"], self.parts), **{str(k): self.decode(v) for k, v in tree["keywords"]}
        )

    def _decode_enum(self, tree: dict) -> Any:
        cls = resolve(tree["name"], self.parts)
        if not (isinstance(cls, type) and issubclass(cls, enum.Enum)):
            raise ValueError(f"load: {tree['name']!r} is not an enumeration: damaged.")
        return cls.__members__[tree["value"]]

    def _decode_list(self, tree: dict) -> list:
        return [self.decode(x) for x in tree["items"]]

    def _decode_tuple(self, tree: dict) -> tuple:
        return tuple(self.decode(x) for x in tree["items"])

    def _decode_dict(self, tree: dict) -> dict:
        return {self.decode(k): self.decode(v) for k, v in tree["items"]}

    def _decode_module(self, tree: dict) -> Any:
        cls = resolve(tree["name"], self.parts)
        if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
            raise ValueError(f"load: {tree['name']!r} is not a module: damaged, or wrong in parts=.")
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = set(tree["fields"]) - known
        if unknown:
            raise ValueError(
                f"load: {tree['name']!r} has no fields {sorted(unknown)}, it has {sorted(known)}; "
                "the model was saved by another version of that class."
            )
        module = object.__new__(cls)  # __init__ is not run: it may draw weights anew, or do anything
        for name, value in tree["fields"].items():
            object.__setattr__(module, name, self.decode(value))
        return module

    def _host(self, tree: dict) -> np.ndarray:
        host = self.arrays[tree["array"]]
        return host if tree["dtype"] == "str" or host.dtype.name == tree["dtype"] else host.view(_dtype(tree["dtype"]))

    def _decode_numpy(self, tree: dict) -> np.ndarray:
        return self._host(tree)

    def _decode_scalar(self, tree: dict) -> Any:
        return self._host(tree)[()]

    def _decode_jax(self, tree: dict) -> jax.Array:
        host = self._host(tree)
        if jnp.asarray(host).dtype != host.dtype:
            raise ValueError(
                f"load: the model holds {host.dtype} arrays, which this process would cut to 32 bits. "
                "Set JAX_ENABLE_X64=1, or load inside `with cadlag.train.enable_x64():`."
            )
        return jnp.asarray(host)

    def _decode_key(self, tree: dict) -> jax.Array:
        return jax.random.wrap_key_data(jnp.asarray(self._host(tree)), impl=tree["impl"])


def _dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name)) if hasattr(ml_dtypes, name) else np.dtype(name)
