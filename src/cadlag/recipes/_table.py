"""The table of the forty-three, and how a name becomes a recipe. Imports no JAX."""

import dataclasses
import difflib
import importlib
import os
import pathlib
from typing import Any

from ._recipe import AbstractRecipe
from ._systems import SYSTEMS


@dataclasses.dataclass(frozen=True)
class System:
    """One row of the table. `module` holds its recipe; it is `None` while the recipe is not built."""

    number: int
    name: str
    wing: str
    title: str
    venue: str
    summary: str

    @property
    def module(self) -> str | None:
        """The module that binds `RECIPE`, found by its file and not imported."""
        stem = self.name.replace("-", "_")
        exists = pathlib.Path(__file__).with_name(f"{stem}.py").exists()
        return f"cadlag.recipes.{stem}" if exists else None


TABLE: tuple[System, ...] = tuple(System(*row) for row in SYSTEMS)
"""The forty-three, by number."""


def find_system(name: str) -> System:
    """The row called `name`."""
    for system in TABLE:
        if system.name == name:
            return system
    close = difflib.get_close_matches(name, [system.name for system in TABLE], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"There is no recipe {name!r}.{hint} 'cadlag list' shows all.")


def load_recipe(
    name: str, *, data: str | os.PathLike | None = None, equation: str | None = None, part: str | None = None
) -> AbstractRecipe:
    """The recipe called `name` in the table, or given as "module:Class"; the rest as on the command line."""
    kind = _from_path(name) if ":" in name else _from_table(name)
    if not (isinstance(kind, type) and issubclass(kind, AbstractRecipe)):
        raise TypeError(f"{name!r} names {kind!r}, which is not a subclass of cadlag.recipes.AbstractRecipe.")
    path = None if data is None else pathlib.Path(data)
    named = {key: value for key, value in (("equation", equation), ("part", part)) if value is not None}
    return kind(path, **named)


def _from_table(name: str) -> type:
    system = find_system(name)
    if system.module is None:
        built = ", ".join(s.name for s in TABLE if s.module) or "none yet"
        raise ValueError(f"The recipe {name!r} is not built yet. Built: {built}.")
    return importlib.import_module(system.module).RECIPE


def _from_path(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ValueError(f"{path!r}: there is no module {module!r} on the Python path.") from error
    except AttributeError as error:
        raise ValueError(f"{path!r}: the module {module!r} has no {attribute!r}.") from error


def source_of(recipe: AbstractRecipe) -> str:
    """The text by which a worker process finds the class of `recipe` again."""
    kind = type(recipe)
    for system in TABLE:
        if system.name == recipe.name and kind.__module__ == system.module:
            return system.name
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise ValueError(
            f"The recipe {kind.__qualname__} is defined in {kind.__module__}, "
            "where no worker process finds it; "
            "put it at the top level of a module on the Python path."
        )
    return f"{kind.__module__}:{kind.__qualname__}"
