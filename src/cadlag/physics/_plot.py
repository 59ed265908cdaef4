"""Pictures of solutions over one axis or two."""

from typing import Any

import numpy as np

LINE, SIDE = 401, 121


def picture(solution: Any, path: Any, reference: Any) -> Any:
    """One row of panels for each component: the solution, and the error where the truth is known."""
    import matplotlib.pyplot as plt

    truth = solution.equation.exact if reference is None else reference
    domain, components = solution.field.domain, solution.equation.components
    points, shape = _points(domain)
    ours = solution.predict(points).reshape(len(points), -1)
    theirs = None if truth is None else _truth(truth, points, components)
    columns = 2 if theirs is not None and len(shape) == 2 else 1
    figure, axes = plt.subplots(components, columns, figsize=(5 * columns, 3.5 * components), squeeze=False)
    draw = _line if len(shape) == 1 else _image
    for i in range(components):
        draw(axes[i], domain, shape, points, ours[:, i], None if theirs is None else theirs[:, i])
    figure.tight_layout()
    if path is not None:
        figure.savefig(path)
    return figure


def _points(domain: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """Points of the first two axes, the others in the middle."""
    shape = (LINE,) if domain.dimension == 1 else (SIDE, SIDE)
    lines = [np.linspace(low, high, n) for low, high, n in zip(domain.lower, domain.upper, shape, strict=False)]
    mesh = np.meshgrid(*lines, indexing="ij")
    middle = [0.5 * (a + b) for a, b in zip(domain.lower, domain.upper, strict=True)]
    points = np.tile(np.asarray(middle), (mesh[0].size, 1))
    for i, x in enumerate(mesh):
        points[:, i] = x.ravel()
    return points, shape


def _truth(truth: Any, points: np.ndarray, components: int) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    from cadlag.physics._solution import at_point

    return np.asarray(jax.jit(jax.vmap(at_point(truth)))(jnp.asarray(points))).reshape(len(points), components)


def _line(axes: Any, domain: Any, shape: tuple[int, ...], points: np.ndarray, ours: Any, theirs: Any) -> None:
    axes[0].plot(points[:, 0], ours, label="solution")
    if theirs is not None:
        axes[0].plot(points[:, 0], theirs, "--", label="exact")
    axes[0].set_xlabel(domain.names[0])
    axes[0].legend()


def _image(axes: Any, domain: Any, shape: tuple[int, ...], points: np.ndarray, ours: Any, theirs: Any) -> None:
    panels = [("solution", ours, "viridis")]
    if theirs is not None:
        panels.append(("solution - exact", ours - theirs, "coolwarm"))
    extent = (domain.lower[0], domain.upper[0], domain.lower[1], domain.upper[1])
    for axis, (title, values, colours) in zip(axes, panels, strict=True):
        image = axis.imshow(values.reshape(shape).T, origin="lower", extent=extent, aspect="auto", cmap=colours)
        axis.figure.colorbar(image, ax=axis)
        axis.set(title=title, xlabel=domain.names[0], ylabel=domain.names[1])
