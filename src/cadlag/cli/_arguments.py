"""What the commands take: one dataclass each, from which tyro makes the command line."""

import dataclasses
import pathlib
from typing import Annotated, Literal

import tyro

from cadlag.recipes import Preset

from ._lens_arguments import LensArguments

PresetName = Literal["smoke", "quick", "standard", "gpu"]


@dataclasses.dataclass(frozen=True)
class ListArguments:
    """List the forty-three systems."""

    json: bool = False
    """Print JSON."""
    markdown: bool = False
    """Print the table as Markdown, with the state of each system."""
    results: pathlib.Path | None = None
    """Folder of recorded verdicts the states are read from."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class RunArguments:
    """Measure a system against its baselines, and judge its claims.

    Running again on the same folder goes on where the last run stopped. Exit code 0: measured; 2: something
    could not run.
    """

    name: tyro.conf.Positional[str]
    """A recipe that 'cadlag list' shows, or "module:Class"."""
    preset: PresetName = str(Preset.QUICK)  # pyright: ignore[reportAssignmentType]
    """smoke: seconds; quick: five minutes; standard: an hour; gpu: the paper's own size."""
    seeds: int | None = None
    """How many seeds; the preset's own number if not given."""
    out: pathlib.Path | None = None
    """Run folder; runs/NAME-PRESET if not given."""
    data: pathlib.Path | None = None
    """Data the recipe cannot bring itself."""
    equation: str | None = None
    """Measure on this equation alone, where the recipe knows several: causal-pinn, gp-hm, pig."""
    part: str | None = None
    """Measure this part alone, where the recipe has several: neural-de."""
    workers: int | None = None
    """Processes at once; the number of cores if not given."""
    cluster: str | None = None
    """Address of a Dask scheduler to use instead of local processes."""
    json: bool = False
    """Print claims.json at the end and nothing else."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class VerifyArguments:
    """Run recipes and check their verdicts.

    Exit code 0: no claim fails; 1: one fails; 2: something could not run.
    """

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Recipes; all that are built if none is given."""
    preset: PresetName = str(Preset.SMOKE)  # pyright: ignore[reportAssignmentType]
    """How much to measure."""
    strict: bool = False
    """Count undecided as failing."""
    recorded: pathlib.Path | None = None
    """Folder of recorded verdicts: then only a verdict worse than the recorded one counts."""
    out: pathlib.Path | None = None
    """Keep the run folders here; a temporary folder if not given."""
    workers: int | None = None
    """Processes at once; the number of cores if not given."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class FitSeriesArguments:
    """Fit a model to irregular time series.

    cadlag fit series DATA.csv --label kind --id patient --time hour
    """

    data: tyro.conf.Positional[pathlib.Path]
    """A table in long form: one row an observation."""
    label: str | None = None
    """Column to predict, the same in all rows of one series."""
    id: str | None = None
    """Column that says which series a row belongs to."""
    time: str | None = None
    """Column of time stamps."""
    sort: bool = False
    """Order each series by time; without it times that go back are an error."""
    duplicates: Literal["refuse", "first", "last", "mean"] = "refuse"
    """What to do with several rows of one series at one time."""
    task: Literal["classify", "regress", "forecast", "interpolate", "generate"] = "classify"
    """What to learn; of 'generate', 'cadlag sample' draws new series."""
    model: str | None = None
    """Which model: lnsde (default), lsde, gsde, or a baseline; to generate sde (default), latent-sde, latent-ode."""
    steps: int | None = None
    """Training steps; chosen from the size of the data if not given."""
    seed: int = 0
    """Seed of initial weights, batches and noise."""
    out: pathlib.Path | None = None
    """Folder for the model; runs/fit-DATA if not given."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class FitGenerateArguments:
    """Learn to draw from the law of samples: rows of a table, or the arrays (n, ...) of an .npz.

    cadlag fit generate DATA.npz, then cadlag sample runs/generate-DATA -n 1000 -o out.npz
    """

    data: tyro.conf.Positional[pathlib.Path]
    """A table with one row a sample, or an .npz or .npy with the sample axis first."""
    label: str | None = None
    """Column (or array) of classes, to draw from one class."""
    schedule: Literal["vp", "sub-vp", "ve", "edm", "flow", "cosine"] = "vp"
    """How data turn into noise."""
    network: Literal["mlp", "unet"] = "mlp"
    """Network: mlp for vectors and small images, unet for images (n, channel, height, width) and series."""
    levels: int | None = None
    """How many evenly spaced values integer data can have (256 for bytes)."""
    steps: int | None = None
    """Training steps, 5000 if not given."""
    seed: int = 0
    """Seed of initial weights, batches and noise."""
    out: pathlib.Path | None = None
    """Folder for the model; runs/generate-DATA if not given."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class FitOperatorArguments:
    """Learn what follows fields on a grid, or a map from some to others, from simulations.

    cadlag fit operator ns.nc --model unet, then cadlag predict runs/operator-ns new.nc --steps 20 -o out.nc
    """

    data: tyro.conf.Positional[pathlib.Path]
    """Fields: NetCDF, Zarr, HDF5 (PDEBench, PDEArena, The Well), .mat, .npz."""
    model: Literal["fno", "unet", "dilated-resnet", "mgno", "sinenet", "refiner", "spatiotemporal-fno"] = "fno"
    """Which network; refiner is PDE-Refiner around the U-Net."""
    inputs: tuple[str, ...] = ()
    """Channels that go in; all in time, needed for a steady map."""
    outputs: tuple[str, ...] = ()
    """Channels to predict; all in time, needed for a steady map."""
    axes: str | None = None
    """The order of the axes of a plain array, such as "n t x y c"."""
    lazy: bool = False
    """Read the data batch by batch: for files larger than memory."""
    history: int = 1
    """Frames that go in."""
    horizon: int = 1
    """Frames that come out of one call."""
    stride: int = 1
    """Stored frames to one of the model's."""
    residual: bool = False
    """Predict differences to the last frame."""
    refine: int | None = None
    """Refinement steps of PDE-Refiner around the network."""
    objective: Literal["one-step", "pushforward", "unrolled"] = "one-step"
    """What is minimised."""
    width: int | None = None
    """Hidden channels; as published if not given."""
    batch: int = 16
    """Windows in a batch."""
    steps: int | None = None
    """Training steps, 2000 if not given."""
    seed: int = 0
    """Seed of initial weights, batches and noise."""
    out: pathlib.Path | None = None
    """Folder for the model; runs/operator-DATA if not given."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class FitArguments:
    """Fit a model to your own data."""

    what: (
        Annotated[FitSeriesArguments, tyro.conf.subcommand("series")]
        | Annotated[FitOperatorArguments, tyro.conf.subcommand("operator")]
        | Annotated[FitGenerateArguments, tyro.conf.subcommand("generate")]
    )

    @property
    def debug(self) -> bool:
        """Show the traceback of an error."""
        return self.what.debug


@dataclasses.dataclass(frozen=True)
class SampleArguments:
    """Draw samples from a model that 'cadlag fit generate' or 'cadlag fit series --task generate' left."""

    run: tyro.conf.Positional[pathlib.Path]
    """The folder 'cadlag fit generate' wrote."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1000
    """How many."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])] = pathlib.Path("samples.npz")
    """Where they go: .npz, .npy, .csv, .tsv or .parquet."""
    condition: str | None = None
    """The class to draw from, where the model was fitted with labels."""
    guidance: float = 1.0
    """Weight of classifier-free guidance."""
    seed: int = 0
    """The same seed, the same samples."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class PredictArguments:
    """Predict with a model that 'cadlag fit' left."""

    run: tyro.conf.Positional[pathlib.Path]
    """The folder 'cadlag fit' wrote."""
    data: tyro.conf.Positional[pathlib.Path]
    """New data, with the columns or channels the model was fitted on."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where predictions go; predictions.csv, or predictions.nc for fields."""
    steps: int | None = None
    """Of an operator: how many frames to go on for."""
    seed: int | None = None
    """Of an operator that draws: the same seed, the same frames."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class SolveArguments:
    """Solve an equation without data.

    cadlag solve burgers-walls --set nu=0.01; your own: cadlag solve mine.py:equation
    """

    equation: tyro.conf.Positional[str]
    """advection, allen-cahn, burgers, heat, helmholtz, … (a wrong name lists all), or FILE.py:NAME of your own."""
    method: Literal["network", "fourier", "gaussians", "gp", "simulate"] = "network"
    """network; fourier: on random Fourier features; gaussians that move; gp: a Gaussian process; simulate."""
    settings: Annotated[tuple[str, ...], tyro.conf.arg(name="set"), tyro.conf.UseAppendAction] = ()
    """A number of the equation, NAME=VALUE; may be given again."""
    steps: int | None = None
    """Training steps, 5000 if not given."""
    points: int | None = None
    """Collocation points of a step, or points of each axis for gp and simulate."""
    double: bool = False
    """Work in double precision; gp and simulate always do."""
    seed: int = 0
    """Seed of initial weights and points."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for values, picture and figures; runs/solve-EQUATION if not given."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True)
class DataArguments:
    """Make a data set of fields with the library's own simulators.

    cadlag data navier-stokes --n 200 --resolution 64 -o ns.nc
    """

    name: tyro.conf.Positional[str]
    """navier-stokes, navier-stokes-decaying, navier-stokes-kolmogorov, burgers, kuramoto-sivashinsky, kdv, heat,
    advection, allen-cahn, shallow-water, darcy or darcy-multiscale."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 200
    """How many examples."""
    resolution: int = 64
    """Points an axis. Solved on more where accuracy asks for it."""
    frames: int | None = None
    """Frames of an example; the data set's own number if not given."""
    every: float | None = None
    """Time between frames."""
    nu: float | None = None
    """Viscosity or diffusivity."""
    seed: int = 0
    """The same seed, the same data; more examples begin with the same ones."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where they go, .nc, .h5, .zarr or .npz; NAME.nc if not given."""
    double: bool = False
    """Simulate and keep in float64."""
    debug: bool = False
    """Show the traceback of an error."""


Command = (
    Annotated[ListArguments, tyro.conf.subcommand("list")]
    | Annotated[RunArguments, tyro.conf.subcommand("run")]
    | Annotated[VerifyArguments, tyro.conf.subcommand("verify")]
    | Annotated[FitArguments, tyro.conf.subcommand("fit")]
    | Annotated[PredictArguments, tyro.conf.subcommand("predict")]
    | Annotated[SampleArguments, tyro.conf.subcommand("sample")]
    | Annotated[SolveArguments, tyro.conf.subcommand("solve")]
    | Annotated[DataArguments, tyro.conf.subcommand("data")]
    | Annotated[LensArguments, tyro.conf.subcommand("lens")]
)
