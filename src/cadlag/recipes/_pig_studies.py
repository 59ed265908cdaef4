"""What `pig` measures: one equation solved by Gaussians and by other networks, in the same time."""

from functools import partial
from typing import Any

from cadlag.recipes._physics import solved


def solve(arm: str, problem: str, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train until the time is over; the error on points that nobody trained on."""
    import numpy as np

    from cadlag.physics import PINN, Adam, FixedWeights, Uniform
    from cadlag.train import TimeLimit

    equation = equations(problem)
    rate, decay, weight = settings["training"][arm]
    method = PINN(
        network(arm, settings),
        sampler=Uniform(settings["points"]),
        on_faces=settings["faces"],
        weights=FixedWeights({"residual": weight}),
        phases=Adam(settings["most_steps"], learning_rate=rate, decay=decay, decay_every=1),
        hooks=(TimeLimit(settings["seconds"]),),
        block=10,
    )
    solution, found = solved(equation, method, seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, 41),) * 2, indexing="ij"), -1).reshape(-1, 2)
    if equation.domain.dimension == 2:
        values = np.asarray(solution.predict(grid), float)
        exact = np.asarray(equation.exact(*grid.T))
        found["images"] = {"solution": _image(values), "error": _image(np.abs(values - exact))}
        if arm == "pig":
            found["centres"] = _centres(solution)
    if problem == "helmholtz" and arm == "pig":
        found["classical"] = five_points(127)
    return found


def equations(problem: str) -> Any:
    """Helmholtz with four half waves one way, or Klein-Gordon in two dimensions and time (card of the method)."""
    from cadlag.equations import Helmholtz, KleinGordon

    return Helmholtz(a=(1, 4)) if problem == "helmholtz" else KleinGordon()


def network(arm: str, settings: dict[str, Any]) -> Any:
    """The constructor of an arm's network."""
    from cadlag.nn import RandomFourierFeatures
    from cadlag.physics import gaussians, mlp

    bumps = {"count": settings["gaussians"], "width": settings["width"]}
    return {
        "pig": partial(gaussians, **bumps),
        "frozen": partial(gaussians, **bumps, moving=False),
        "no-head": partial(gaussians, count=4 * settings["gaussians"], width=settings["width"], head=None),
        "pinn": partial(mlp, width=64, depth=4),
        "fourier": partial(mlp, width=64, depth=4, encoder=partial(RandomFourierFeatures, size=128, scale=4.0)),
    }[arm]


def five_points(n: int) -> dict[str, float]:
    """Second-order differences on (n + 2)² points and a sparse solve: the classical answer to Helmholtz."""
    import time

    import numpy as np
    import scipy.sparse as sp
    from scipy.sparse.linalg import spsolve

    start = time.perf_counter()
    x = np.linspace(-1, 1, n + 2)[1:-1]
    h = x[1] - x[0]
    beside = sp.eye(n, k=1) + sp.eye(n, k=-1)
    second = (beside - 2 * sp.eye(n)) / h**2
    matrix = sp.kron(second, sp.eye(n)) + sp.kron(sp.eye(n), second) + sp.eye(n * n)
    exact = np.outer(np.sin(np.pi * x), np.sin(4 * np.pi * x)).ravel()
    u = spsolve(matrix.tocsc(), (1 - 17 * np.pi**2) * exact)
    seconds = time.perf_counter() - start
    return {"error": float(np.linalg.norm(u - exact) / np.linalg.norm(exact)), "seconds": seconds}


def _image(values: Any) -> list:
    return [values.reshape(41, 41).round(4).tolist()]


def _centres(solution: Any) -> list:
    import numpy as np

    return np.asarray(solution.field.f.encoder.centres).reshape(-1, 2).round(3).tolist()
