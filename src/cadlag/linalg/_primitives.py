"""Walking through a traced function, primitive by primitive: what the transformations of this room share."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal
from jaxtyping import PyTree

# Jointly linear in all operands, and linear in the first operand alone.
_LINEAR_IN_ALL = {"add", "add_any", "sub", "concatenate", "pad"}
_LINEAR_IN_FIRST = {
    "neg", "reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "reduce_sum", "slice", "rev", "copy",
    "copy_p", "convert_element_type", "cumsum", "dynamic_slice", "gather",
}  # fmt: skip
BILINEAR = {"mul", "dot_general", "conv_general_dilated"}
_CALLS = {"jit", "pjit", "closed_call", "core_call"}
_SMALL = 4096
_COMMUTE = {"add", "add_any", "mul"}


def trace(f: Callable, *args: Any) -> tuple[Any, Sequence[Any], Any]:
    """The primitives of f at these arguments, its constants, and the structure of its output."""
    closed, shape = jax.make_jaxpr(f, return_shape=True)(*args)
    return closed.jaxpr, closed.consts, jax.tree.structure(shape)


def binder(equation: Any) -> Callable[..., list[Any]]:
    """The primitive of one equation as a function of its operands; a list of results.

    A matrix times a vector is bound as the vector times the matrix: a batch of points then keeps its axis first,
    where the other order leaves transposed arrays that every later operation pays for.
    """
    if _is_matrix_vector(equation):
        swapped = _swapped(equation)
        return lambda matrix, vector: [equation.primitive.bind(vector, matrix, **swapped)]
    found = equation.primitive.get_bind_params(equation.params)
    functions, parameters = found if isinstance(found, tuple) else ((), found)
    context = getattr(getattr(equation, "ctx", None), "manager", None)

    def bind(*operands: Any) -> list[Any]:
        with nullcontext() if context is None else context:
            out = equation.primitive.bind(*functions, *operands, **parameters)
        return list(out) if equation.primitive.multiple_results else [out]

    return bind


def _is_matrix_vector(equation: Any) -> bool:
    if equation.primitive.name != "dot_general" or equation.params["dimension_numbers"][1] != ((), ()):
        return False
    return [atom.aval.ndim for atom in equation.invars] == [2, 1]


def _swapped(equation: Any) -> dict[str, Any]:
    (left, right), none = equation.params["dimension_numbers"]
    return equation.params | {"dimension_numbers": ((right, left), none)}


def walk(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any], constant: Callable, apply: Callable) -> list[Any]:
    """The outputs of a program over values of another kind: `constant(array)` makes one, `apply(equation, values)`
    gives the results of a primitive. Calls of jitted functions are walked through.
    """
    values = dict(zip(jaxpr.constvars, map(constant, consts), strict=True))
    values |= dict(zip(jaxpr.invars, args, strict=True))

    def read(atom: Any) -> Any:
        return constant(atom.val) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        inner = called(equation)
        if inner is None:
            results = apply(equation, operands)
        else:
            results = walk(inner.jaxpr, inner.consts, operands, constant, apply)
        values |= dict(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def called(equation: Any) -> Any:
    """The closed program that a call runs; None for other primitives."""
    return equation.params["jaxpr"] if equation.primitive.name in _CALLS and "jaxpr" in equation.params else None


def linear_in(name: str, varying: Sequence[bool]) -> tuple[int, ...] | None:
    """The places of the operands in which a primitive is jointly linear, where those that vary are among them."""
    where = tuple(i for i, moves in enumerate(varying) if moves)
    if name in _LINEAR_IN_ALL:
        return tuple(range(len(varying)))
    if name == "select_n" and 0 not in where:
        return tuple(range(1, len(varying)))
    first = name in _LINEAR_IN_FIRST or name == "div"
    return where if (first and where == (0,)) or (name in BILINEAR and len(where) == 1) else None


def share(f: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """f with every repeated computation done once.

    The compiler merges repetitions too, but only after reverse mode has given each of them a backward pass of its
    own; so a residual made of several derivatives of one network is shared before it is differentiated.
    """

    def shared(*args: Any) -> PyTree:
        jaxpr, consts, structure = trace(f, *args)
        consts = _one_of_each(consts)
        known: dict[Any, list[Any]] = {}

        def apply(equation: Any, operands: list[Any]) -> list[Any]:
            key = _key(equation, operands)
            if key not in known:
                # The operands are kept beside the results: an id is that of one object only while it lives.
                known[key] = [binder(equation)(*operands), operands]
            return known[key][0]

        return jax.tree.unflatten(structure, walk(jaxpr, consts, jax.tree.leaves(args), lambda x: x, apply))

    return shared


def _one_of_each(consts: Sequence[Any]) -> list[Any]:
    """Small constants of equal value made one object, since every trace of f makes its own."""
    first: dict[Any, Any] = {}

    def one(x: Any) -> Any:
        if isinstance(x, jax.core.Tracer) or not hasattr(x, "dtype") or np.size(x) > _SMALL:
            return x
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.extended):
            return x
        return first.setdefault((str(x.dtype), np.shape(x), np.asarray(x).tobytes()), x)

    return [one(x) for x in consts]


def _key(equation: Any, operands: list[Any]) -> Any:
    name, parameters = equation.primitive.name, equation.params
    atoms = [
        ("literal", str(atom.val), str(atom.aval)) if isinstance(atom, Literal) else ("value", id(x))
        for atom, x in zip(equation.invars, operands, strict=True)
    ]
    if name in _COMMUTE:
        atoms = sorted(atoms, key=str)
    if _is_matrix_vector(equation):
        atoms, parameters = atoms[::-1], _swapped(equation)
    return name, tuple(atoms), tuple((k, str(v)) for k, v in sorted(parameters.items()))
