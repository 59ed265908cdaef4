"""Which names a saved model may hold, and how they are resolved: `cadlag.` and a short list of others."""

import functools
import importlib
import inspect
import re
from typing import Any

# Old public name -> new public name, for models saved before a rename.
_MIGRATIONS: dict[str, str] = {}

_EQUINOX = (
    "Linear", "Identity", "MLP", "Sequential", "Lambda", "GRUCell", "LSTMCell", "LayerNorm", "RMSNorm",
    "GroupNorm", "Dropout", "Embedding", "Conv", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose",
    "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "MultiheadAttention",
    "AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d", "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d", "PReLU", "SpectralNorm", "WeightNorm",
)  # fmt: skip
_JAX_NN = (
    "relu", "relu6", "tanh", "silu", "swish", "softplus", "sigmoid", "gelu", "elu", "celu", "selu",
    "leaky_relu", "softmax", "log_softmax", "soft_sign", "hard_tanh", "log_sigmoid", "mish", "identity",
)  # fmt: skip
_JNP = (
    "sin", "cos", "tanh", "exp", "log", "abs", "sqrt", "square", "arctan", "sinh", "cosh", "sign", "log1p",
    "expm1", "maximum", "minimum", "mean", "sum",
)  # fmt: skip

ALLOWED: tuple[str, ...] = (
    *(f"equinox.nn:{name}" for name in _EQUINOX),
    *(f"jax.nn:{name}" for name in _JAX_NN),
    *(f"jax.numpy:{name}" for name in _JNP),
    "jax.lax:tanh", "jax.lax:logistic",
    "builtins:int", "builtins:float", "builtins:bool", "builtins:str",
)  # fmt: skip

# The last activation of an Equinox MLP where none was given, a lambda without a name of its own.
_MLP_END = "equinox.nn:MLP.final_activation"
_OURS = re.compile(r"cadlag(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@functools.cache
def _by_identity() -> dict[int, str]:
    """Allowed objects by id; the first name wins. They live as long as their modules."""
    table: dict[int, str] = {}
    for name in ALLOWED:
        module, attribute = name.split(":")
        found = getattr(importlib.import_module(module), attribute, None)
        if found is not None:
            table.setdefault(id(found), name)
    table.setdefault(id(_walk(_MLP_END)), _MLP_END)
    return table


def _walk(name: str) -> Any:
    if name == _MLP_END:
        return (
            inspect.signature(importlib.import_module("equinox").nn.MLP.__init__).parameters["final_activation"].default
        )
    module, attribute = name.split(":")
    found = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def is_named(x: Any) -> bool:
    """Whether a leaf is a class or function, to be saved by name."""
    return isinstance(x, type) or inspect.isroutine(x) or id(x) in _by_identity()


def name_of(x: Any) -> str:
    """The public name of a class or function, or `part:Name` for what belongs to neither list."""
    if id(x) in _by_identity():
        return _by_identity()[id(x)]
    module, qualified = getattr(x, "__module__", "") or "", getattr(x, "__qualname__", "")
    if module == "cadlag" or module.startswith("cadlag."):
        for candidate in (f"{_public(module)}:{qualified}", f"{module}:{qualified}"):
            if _OURS.fullmatch(candidate) and _same(candidate, x):
                return candidate
    short = getattr(x, "__name__", "")
    if not short.isidentifier():
        raise TypeError(
            f"save: {x!r} has no name to be saved under. Replace lambdas and inner functions by a function "
            "at the top of a module, or by an eqx.Module with fields."
        )
    return f"part:{short}"


def _public(module: str) -> str:
    parts = module.split(".")
    hidden = [i for i, part in enumerate(parts) if part.startswith("_")]
    return ".".join(parts[: hidden[0]] if hidden else parts)


def _same(name: str, x: Any) -> bool:
    try:
        return _walk(name) is x
    except (ImportError, AttributeError):
        return False


def resolve(name: str, parts: dict[str, Any]) -> Any:
    """The object of a saved name; raises `ValueError` for anything that is not allowed or not there."""
    name = _MIGRATIONS.get(name, name)
    if name.startswith("part:"):
        short = name.removeprefix("part:")
        if short not in parts:
            raise ValueError(
                f"load: the model holds a part of your own, {short!r}. "
                f"Hand it over: load(path, parts={{{short!r}: {short}}})."
            )
        return parts[short]
    if name in ALLOWED or name == _MLP_END:
        return _walk(name)
    if not _OURS.fullmatch(name):
        raise ValueError(
            f"load: the name {name!r} is refused; a saved model may hold names under 'cadlag.', a few of "
            "Equinox and JAX, and your own parts handed over by parts=."
        )
    try:
        found = _walk(name)
    except (ImportError, AttributeError):
        raise ValueError(
            f"load: cadlag has no {name!r}; the model was saved by another version, see its config.json."
        ) from None
    # A path through one of our modules may still lead out of the library, to what that module imports.
    module = getattr(found, "__module__", "") or ""
    named = isinstance(found, type) or inspect.isfunction(found)
    if not named or not (module == "cadlag" or module.startswith("cadlag.")):
        raise ValueError(f"load: the name {name!r} is refused; it is not a class or function of cadlag.")
    return found
