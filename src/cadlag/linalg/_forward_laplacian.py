"""The sum of second derivatives along several directions in one forward pass.

    value y,   slopes J = (∂_1 y, …, ∂_d y),   L = Σ_i ∂_i² y:   for y = g(x),  L_y = g'(x) L_x + Σ_i g''(x)[J_i, J_i]

so second derivatives are summed on the way instead of at the end: d + 2 arrays where one pass for each direction
carries 2 d + 1. Li et al., A computational framework for neural network-based variational Monte Carlo with forward
Laplacian (arXiv 2307.08214).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cadlag.linalg._primitives import BILINEAR, binder, linear_in, trace, walk


class _Triple(NamedTuple):
    value: Any
    slopes: Any = None  # directions first; None: a constant
    laplacian: Any = None  # None: zero


def forward_laplacian(
    f: Callable[[Float[Array, " n"]], Array], x: Float[Array, " n"], directions: Float[Array, "d n"]
) -> Array:
    """Σ_i d²f(x + s v_i)/ds² at s = 0 over the rows v_i of `directions`, of the shape of f(x)."""
    jaxpr, consts, _ = trace(f, x)
    (out,) = walk(jaxpr, consts, [_Triple(x, directions)], _Triple, _apply)
    return jnp.zeros_like(out.value) if out.laplacian is None else out.laplacian


def _apply(equation: Any, xs: list[_Triple]) -> list[_Triple]:
    bind, name = binder(equation), equation.primitive.name
    varying = [x.slopes is not None for x in xs]
    if not any(varying):
        return [_Triple(y) for y in bind(*(x.value for x in xs))]
    if name in ("add", "add_any", "sub") and not all(varying):
        return [_shifted(bind, xs, -1 if name == "sub" and varying[1] else 1)]
    places = linear_in(name, varying)
    if places is not None:
        return [_linear(bind, xs, places)]
    if name in BILINEAR:
        return [_bilinear(lambda a, b: bind(a, b)[0], *xs)]
    if name in _CURVES:
        return [_unary(*_CURVES[name](xs[0].value), xs[0])]
    return _by_nesting(bind, xs, varying)


def _shifted(bind: Callable, xs: list[_Triple], sign: int) -> _Triple:
    """A sum or difference of which one term is constant."""
    value = bind(*(x.value for x in xs))[0]
    (x,) = (x for x in xs if x.slopes is not None)
    shape = jnp.shape(value)
    slopes = jnp.broadcast_to(x.slopes, (x.slopes.shape[0], *shape))
    laplacian = None if x.laplacian is None else sign * jnp.broadcast_to(x.laplacian, shape)
    return _Triple(value, slopes if sign == 1 else -slopes, laplacian)


def _linear(bind: Callable, xs: list[_Triple], places: tuple[int, ...]) -> _Triple:
    moving = [i for i in places if xs[i].slopes is not None]

    def at(*parts: Any) -> Any:
        """The map of these parts, in the places that move, zero in those that do not."""
        given = dict(zip(moving, parts, strict=True))
        rest = lambda i, x: jnp.zeros_like(x.value) if i in places else x.value  # noqa: E731
        return bind(*(given[i] if i in given else rest(i, x) for i, x in enumerate(xs)))[0]

    value = bind(*(x.value for x in xs))[0]
    slopes = jax.vmap(at)(*(xs[i].slopes for i in moving))
    if all(xs[i].laplacian is None for i in moving):
        return _Triple(value, slopes)
    return _Triple(value, slopes, at(*(_or_zeros(xs[i]) for i in moving)))


def _or_zeros(x: _Triple) -> Any:
    return jnp.zeros_like(x.value) if x.laplacian is None else x.laplacian


def _bilinear(times: Callable, a: _Triple, b: _Triple) -> _Triple:
    slopes = jax.vmap(lambda s: times(s, b.value))(a.slopes) + jax.vmap(lambda s: times(a.value, s))(b.slopes)
    laplacian = 2 * jnp.sum(jax.vmap(times)(a.slopes, b.slopes), axis=0)
    for x, part in ((a, lambda v: times(v, b.value)), (b, lambda v: times(a.value, v))):
        laplacian = laplacian if x.laplacian is None else laplacian + part(x.laplacian)
    return _Triple(times(a.value, b.value), slopes, laplacian)


def _unary(y: Any, first: Any, second: Any, x: _Triple) -> _Triple:
    laplacian = second * jnp.sum(x.slopes * x.slopes, axis=0)
    if x.laplacian is not None:
        laplacian = laplacian + first * x.laplacian
    return _Triple(y, jax.vmap(lambda s: first * s)(x.slopes), laplacian)


def _tanh(x: Array) -> tuple[Array, Array, Array]:
    y = jnp.tanh(x)
    w = 1 - y * y
    return y, w, -2 * y * w


def _logistic(x: Array) -> tuple[Array, Array, Array]:
    y = jax.nn.sigmoid(x)
    w = y - y * y
    return y, w, w - 2 * y * w


def _exp(x: Array) -> tuple[Array, Array, Array]:
    y = jnp.exp(x)
    return y, y, y


def _sin(x: Array) -> tuple[Array, Array, Array]:
    y = jnp.sin(x)
    return y, jnp.cos(x), -y


def _cos(x: Array) -> tuple[Array, Array, Array]:
    y = jnp.cos(x)
    return y, -jnp.sin(x), -y


# Value, first and second derivative of functions of one number, entry by entry.
_CURVES: dict[str, Callable] = {"tanh": _tanh, "logistic": _logistic, "exp": _exp, "sin": _sin, "cos": _cos}


def _by_nesting(bind: Callable, xs: list[_Triple], varying: list[bool]) -> list[_Triple]:
    moving = [x for x, moves in zip(xs, varying, strict=True) if moves]
    values = [x.value for x in moving]

    def g(*parts: Any) -> list[Any]:
        given = iter(parts)
        return bind(*(next(given) if moves else x.value for x, moves in zip(xs, varying, strict=True)))

    def twice(*v: Any) -> tuple[list[Any], list[Any]]:
        once = lambda *p: jax.jvp(g, p, v)[1]  # noqa: E731
        return jax.jvp(once, tuple(values), v)

    slopes, second = jax.vmap(twice)(*(x.slopes for x in moving))
    bent = jax.jvp(g, tuple(values), tuple(_or_zeros(x) for x in moving))[1]
    out = []
    for y, J, S, b in zip(g(*values), slopes, second, bent, strict=True):
        smooth = jnp.issubdtype(jnp.result_type(y), jnp.inexact)
        out.append(_Triple(y, J, b + jnp.sum(S, axis=0)) if smooth else _Triple(y))
    return out
