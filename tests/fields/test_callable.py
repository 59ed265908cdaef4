"""Callable fields: sums of second derivatives in one pass, merged orders, derivatives in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from cadlag.fields import AbstractSmooth, Box, CallableField
from cadlag.fields import _callable as implementation

BOX = Box({"t": (0.0, 1.0), "x": (0.0, 1.0), "y": (0.0, 1.0), "z": (0.0, 1.0)})
POINT = jnp.asarray([0.2, 0.5, 0.7, -0.3])


def f(p):
    return jnp.exp(0.5 * p[0]) * jnp.sin(p[1] * p[2]) * (1 + p[3] ** 3)


def field(function=f):
    return CallableField(domain=BOX, f=function)


def test_sums_of_second_derivatives_are_found_in_one_pass():
    u = field()
    laplacian = u.laplacian()
    assert isinstance(laplacian.f, implementation._Seconds)
    written_out = u.d("x", 2) + u.d("y", 2) + u.d("z").d("z")
    assert written_out.f.places == laplacian.f.places == (1, 2, 3)
    exact = jnp.trace(jax.hessian(f)(POINT)[1:, 1:])
    values = jax.jit(lambda p: jnp.stack([laplacian(p), written_out(p), u.laplacian(["x", "y"])(p)]))(POINT)
    np.testing.assert_allclose(values[:2], exact, rtol=1e-12)
    np.testing.assert_allclose(values[2], jnp.trace(jax.hessian(f)(POINT)[1:3, 1:3]), rtol=1e-12)


def test_other_sums_stay_sums():
    u, v = field(), field(lambda p: p[1] ** 2)
    total = u.d("x", 2) + v.d("x", 2) + u.d("y")
    assert not isinstance(total.f, implementation._Seconds)
    exact = jax.hessian(f)(POINT)[1, 1] + 2 + jax.grad(f)(POINT)[2]
    np.testing.assert_allclose(total(POINT), exact, rtol=1e-12)


class Bump(AbstractSmooth):
    """exp(-|p|² / 2) with derivatives by hand; `along` knows the first and second order."""

    def __call__(self, point):
        return jnp.exp(-jnp.sum(point**2) / 2)

    def along(self, point, place, order):
        return (-point[place] if order == 1 else point[place] ** 2 - 1) * self(point)

    def laplacian(self, point, places):
        return (sum(point[i] ** 2 for i in places) - len(places)) * self(point)


def test_derivatives_in_closed_form_are_used():
    u, plain = field(Bump()), field(lambda p: Bump()(p))
    for make in (lambda v: v.d("y"), lambda v: v.d("y", 2), lambda v: v.laplacian(), lambda v: v.laplacian(["x"])):
        np.testing.assert_allclose(make(u)(POINT), make(plain)(POINT), rtol=1e-12)
    assert "exp" in str(jax.make_jaxpr(u.d("x"))(POINT))
    assert str(jax.make_jaxpr(u.laplacian())(POINT)).count("exp") == 1
