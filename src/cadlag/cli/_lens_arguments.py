"""What `cadlag lens` takes."""

import dataclasses
import pathlib
from typing import Annotated

import tyro


@dataclasses.dataclass(frozen=True)
class LensCurvatureArguments:
    """Eigenvalues of the loss's Hessian, their spectrum, and the rates they allow."""

    run: tyro.conf.Positional[pathlib.Path]
    """The folder that 'cadlag fit' wrote, or any run folder of 'cadlag.train.fit'."""
    steps: int = 30
    """Lanczos steps."""
    probes: int = 4
    """Random vectors that the spectrum is an average over."""
    seed: int = 0
    """Of the random vectors."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class LensInformationArguments:
    """How many bits each layer keeps of the input and of the classes."""

    run: tyro.conf.Positional[pathlib.Path]
    """The folder of a run that was trained on classes."""
    width: float = 0.07
    """Width of the bins, in units of the activations; the figures belong to it."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class LensOscillationArguments:
    """Whether the loss has converged, drifts, alternates, fluctuates or has diverged."""

    run: tyro.conf.Positional[pathlib.Path]
    """The folder of a run."""
    window: int | None = None
    """How many of the last steps to look at; half of them if not given."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class LensArguments:
    """Look into a trained network: figures and a page in the folder 'lens' of its run."""

    what: (
        Annotated[LensCurvatureArguments, tyro.conf.subcommand("curvature")]
        | Annotated[LensInformationArguments, tyro.conf.subcommand("information")]
        | Annotated[LensOscillationArguments, tyro.conf.subcommand("oscillation")]
    )

    @property
    def debug(self) -> bool:
        """Show the traceback of an error."""
        return self.what.debug
