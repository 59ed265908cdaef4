"""Equations by name, as the command line knows them; the arguments that are numbers can be set."""

import importlib
import importlib.util
import inspect
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from cadlag.equations._advection import Advection, FlowMixing
from cadlag.equations._allen_cahn import AllenCahn
from cadlag.equations._burgers import Burgers
from cadlag.equations._diffusion import NonlinearDiffusion
from cadlag.equations._elliptic import Helmholtz, Poisson
from cadlag.equations._equation import AbstractEquation
from cadlag.equations._heat import Heat
from cadlag.equations._kdv import KortewegDeVries
from cadlag.equations._klein_gordon import KleinGordon
from cadlag.equations._kuramoto_sivashinsky import KuramotoSivashinsky
from cadlag.equations._lorenz import Lorenz
from cadlag.equations._navier_stokes import NavierStokes
from cadlag.equations._shallow_water import ShallowWater

NAMED: dict[str, Callable[..., AbstractEquation]] = {
    "advection": Advection,
    "allen-cahn": AllenCahn,
    "burgers": Burgers,
    "burgers-walls": Burgers.pinn,
    "flow-mixing": FlowMixing,
    "heat": Heat,
    "helmholtz": Helmholtz,
    "klein-gordon": KleinGordon,
    "korteweg-de-vries": KortewegDeVries,
    "kuramoto-sivashinsky": KuramotoSivashinsky,
    "lorenz": Lorenz,
    "navier-stokes": NavierStokes,
    "nonlinear-diffusion": NonlinearDiffusion,
    "poisson": Poisson,
    "shallow-water": ShallowWater,
}
"""Name → constructor."""


def find_equation(name: str, numbers: Mapping[str, float | int] | None = None) -> AbstractEquation:
    """An equation by its name in `NAMED`, or from Python: "file.py:name" or "module:name".

    What a file or module binds to the name is an equation, or a function that makes one.

    **Arguments:**

    - `numbers`: arguments of the constructor, such as {"nu": 0.01}.

    **Raises:** `ValueError` for an unknown name or number, with those that are known; `TypeError` where the name is
    bound to something else.
    """
    made = _from_python(name) if ":" in name else NAMED.get(name)
    if made is None:
        raise ValueError(f"equation {name!r}: expected one of {', '.join(NAMED)}, or FILE.py:NAME of your own.")
    if not isinstance(made, AbstractEquation):
        if not callable(made):
            raise TypeError(f"{name} is a {type(made).__name__}; expected an equation, or a function that makes one.")
        made = made(**_checked(name, made, numbers or {}))
    elif numbers:
        raise ValueError(f"{name} is made already, so {', '.join(numbers)} cannot be set; bind a function instead.")
    if not isinstance(made, AbstractEquation):
        raise TypeError(f"{name}() made a {type(made).__name__}; expected an equation.")
    return made


def _checked(name: str, make: Callable, numbers: Mapping[str, float | int]) -> dict[str, float | int]:
    known = [p.name for p in inspect.signature(make).parameters.values() if isinstance(p.default, int | float)]
    unknown = [key for key in numbers if key not in known]
    if unknown:
        raise ValueError(f"{name} has no number {', '.join(unknown)}; it has {', '.join(known) or 'none'}.")
    return dict(numbers)


def _from_python(path: str) -> Any:
    where, _, attribute = path.rpartition(":")
    if where.endswith(".py"):
        spec = importlib.util.spec_from_file_location(pathlib.Path(where).stem, where)
        if spec is None or spec.loader is None or not pathlib.Path(where).is_file():
            raise ValueError(f"{path!r}: there is no file {where}.")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise ValueError(f"{path!r}: there is no module {where!r} on the Python path.") from error
    if not hasattr(module, attribute):
        raise ValueError(f"{path!r}: {where} binds no {attribute!r}.")
    return getattr(module, attribute)
