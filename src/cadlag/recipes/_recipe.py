"""Recipes: data, arms and claims of one published system."""

import abc
import dataclasses
import enum
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from ._claim import Claim
from ._picture import Picture, Table


class Preset(enum.StrEnum):
    """How much a run measures: seconds, five minutes, an hour, or the paper's own size on an accelerator."""

    SMOKE = "smoke"
    QUICK = "quick"
    STANDARD = "standard"
    GPU = "gpu"


Kind = Literal["ours", "baseline", "ablation", "blind"]


@dataclasses.dataclass(frozen=True)
class Arm:
    """One thing that is measured: a system under one setting.

    `kind` is "ours" (the paper's system), "baseline", "ablation" (ours with a part taken away) or "blind"
    (cannot see what decides the task, so no verdict may rest on beating it). `name` becomes a folder.
    """

    name: str
    kind: Kind = "ours"
    description: str = ""

    def __post_init__(self):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=-]*", self.name):
            raise ValueError(f"Arm name {self.name!r} becomes a folder: use letters, digits and . _ + = - only.")
        if self.kind not in ("ours", "baseline", "ablation", "blind"):
            raise ValueError(f"Arm kind must be ours, baseline, ablation or blind, got {self.kind!r}.")


@dataclasses.dataclass(frozen=True, order=True)
class Unit:
    """One (arm, seed): what is scheduled, cached and resumed."""

    arm: str
    seed: int


Figures = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""All figures of a run: arm name, then seed, then what `measure` returned."""

_SEEDS = {Preset.SMOKE: 1, Preset.QUICK: 3, Preset.STANDARD: 5, Preset.GPU: 5}


class AbstractRecipe(abc.ABC):
    """A published system as an experiment that can come out false.

    To write your own, set `name`, `title` and `precision` (the float width JAX runs with, 32 or 64; every
    task runs in a process of its own), and implement

    - `arms(preset)`: what is measured;
    - `measure(arm, preset, seed, out)`: measure one arm under one seed. Returns JSON-able figures and no
      verdict; `out` is a folder of its own for checkpoints and logs;
    - `judge(figures)`: a pure function from all figures to claims. It lists ALL claims of the recipe,
      whatever is missing (`value_per_seed` and the helpers that compare leave a claim "not measured" by
      themselves).

    The other methods have defaults made to be replaced: `seeds`, `settings` (hyper-parameters; they go to
    `config.json`, and a run folder is only resumed under equal settings), `group`, `tables`, `pictures`. The
    constructor takes `data` (what `--data` named, or `None`), `equation` and `part` (what those options named) and
    nothing else; a recipe that can be run on one equation alone lists those it knows in `equations`, and one that can
    be measured in parts names them, with the arms of each, in `parts`. A module of
    `cadlag.recipes` that holds a recipe binds its class to `RECIPE`; elsewhere it is named as "module:Class".
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str] = ""
    precision: ClassVar[Literal[32, 64]] = 32
    bibtex: ClassVar[str] = ""
    equations: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init__(self, data: pathlib.Path | None = None, equation: str | None = None, part: str | None = None):
        if equation is not None and equation not in self.equations:
            known = f"one of {', '.join(self.equations)}" if self.equations else "none, for it has one subject only"
            raise ValueError(f"--equation {equation} is not known to {self.name}; expected {known}.")
        if part is not None and part not in self.parts:
            known = f"one of {', '.join(self.parts)}" if self.parts else "none, for it is measured as a whole"
            raise ValueError(f"--part {part} is not known to {self.name}; expected {known}.")
        self.data, self.equation, self.part = data, equation, part

    @abc.abstractmethod
    def arms(self, preset: Preset) -> tuple[Arm, ...]:
        """What `preset` measures."""

    @abc.abstractmethod
    def measure(self, arm: Arm, preset: Preset, seed: int, out: pathlib.Path) -> dict[str, Any]:
        """Figures of one arm under one seed, JSON-able."""

    @abc.abstractmethod
    def judge(self, figures: Figures) -> list[Claim]:
        """All claims of the recipe, judged on `figures`."""

    def seeds(self, preset: Preset) -> tuple[int, ...]:
        """The seeds of `preset`; tuning must use others."""
        return tuple(range(_SEEDS[preset]))

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Hyper-parameters under `preset`, JSON-able."""
        return {}

    def group(self, units: Sequence[Unit]) -> list[list[Unit]]:
        """Which units share a process, one after another, and so the code it compiled: those of one arm."""
        arms = dict.fromkeys(unit.arm for unit in units)
        return [[unit for unit in units if unit.arm == arm] for arm in arms]

    def tables(self, figures: Figures) -> list[Table]:
        """Tables of the page."""
        return []

    def pictures(self, figures: Figures, out: pathlib.Path) -> list[Picture]:
        """Pictures of the page; one the recipe draws itself is a file in `out`, named by `Drawn`."""
        return []


def value_per_seed(figures: Figures, arm: str, key: str) -> dict[int, float]:
    """The figure `key` of `arm` under each seed; empty if the arm was not measured.

    `key` may be a path through nested figures: "GunPoint.accuracy".
    """
    found = {}
    for seed, figure in figures.get(arm, {}).items():
        value: Any = figure
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            found[seed] = float(value)
    return found
