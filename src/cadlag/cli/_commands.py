"""The commands. Each takes its arguments and returns an exit code; what is heavy is imported inside."""

import dataclasses
import importlib
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from cadlag.recipes import TABLE, Preset, RunReport, Verdict, markdown_table, read_recorded, run, worse

from ._arguments import (
    DataArguments,
    FitArguments,
    FitOperatorArguments,
    FitSeriesArguments,
    ListArguments,
    PredictArguments,
    RunArguments,
    SampleArguments,
    SolveArguments,
    VerifyArguments,
)
from ._lens_arguments import LensArguments
from ._show import make_progress, show_systems, show_verdicts


def list_systems(arguments: ListArguments) -> int:
    """`cadlag list`."""
    recorded = [] if arguments.results is None else read_recorded(arguments.results)
    if arguments.json:
        rows = [{**dataclasses.asdict(system), "module": system.module} for system in TABLE]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif arguments.markdown:
        print(markdown_table(recorded), end="")
    else:
        show_systems(recorded)
    return 0


def run_recipe(arguments: RunArguments) -> int:
    """`cadlag run`."""
    report, page = _run(arguments, quiet=arguments.json)
    if arguments.json:
        print((report.out / "claims.json").read_text(encoding="utf8"))
    else:
        show_verdicts(report, page)
    return report.exit_code


def _run(arguments: RunArguments, *, quiet: bool) -> tuple[RunReport, pathlib.Path]:
    with make_progress(arguments.name, quiet=quiet) as progress:
        report = run(
            arguments.name,
            preset=arguments.preset,
            seeds=arguments.seeds,
            out=arguments.out,
            data=arguments.data,
            equation=arguments.equation,
            part=arguments.part,
            workers=arguments.workers,
            cluster=arguments.cluster,
            progress=progress,
        )
    from cadlag.report import write_report

    return report, write_report(report.out)


def verify(arguments: VerifyArguments) -> int:
    """`cadlag verify`."""
    names = arguments.names or tuple(system.name for system in TABLE if system.module)
    if not names:
        raise ValueError("No recipe is built, so there is nothing to verify.")
    if arguments.out is not None:
        return max(_verify(name, arguments, arguments.out) for name in names)
    with tempfile.TemporaryDirectory(prefix="cadlag-verify-") as folder:
        return max(_verify(name, arguments, pathlib.Path(folder)) for name in names)


def _verify(name: str, arguments: VerifyArguments, folder: pathlib.Path) -> int:
    out = folder / f"{name.replace(':', '.')}-{arguments.preset}"
    options = RunArguments(name, preset=arguments.preset, out=out, workers=arguments.workers)
    try:
        report, page = _run(options, quiet=False)
    except (ValueError, TypeError, OSError) as error:
        if arguments.debug:
            raise
        print(f"cadlag: {name}: {error}", file=sys.stderr)
        return 2
    show_verdicts(report, page if arguments.out is not None else None)
    if report.failed:
        return 2
    known = _recorded(report.recipe, arguments)
    bad = [c.id for c in report.claims if worse(c.verdict, known.get(c.id), strict=arguments.strict)]
    for claim in bad:
        before = f", recorded as {known[claim]}" if claim in known else ""
        print(f"{name}: claim {claim!r} is worse than expected{before}", file=sys.stderr)
    return 1 if bad else 0


def _recorded(name: str, arguments: VerifyArguments) -> dict[str, Verdict]:
    if arguments.recorded is None:
        return {}
    runs = read_recorded(arguments.recorded)
    found = [r for r in runs if r.recipe == name and r.preset is Preset(arguments.preset)]
    return found[-1].verdicts if found else {}


def fit(arguments: FitArguments) -> int:
    """`cadlag fit`."""
    what = arguments.what
    if isinstance(what, FitOperatorArguments):
        return _files("operators", "fit_file", what, what.data, show=_show_fields)
    wing = "series" if isinstance(what, FitSeriesArguments) else "generate"
    return _files(wing, "fit_file", what, what.data)


def predict(arguments: PredictArguments) -> int:
    """`cadlag predict`."""
    note = arguments.run / "fit.json"
    known = json.loads(note.read_text(encoding="utf8")) if note.is_file() else {}
    wing = known.get("wing", "series")
    given = {key: value for key, value in vars(arguments).items() if value is not None}
    if wing == "series" and {"steps", "seed"} & set(given):
        raise ValueError(f"--steps and --seed are for operators, but {arguments.run} holds a model of time series.")
    return _files(wing, "predict_file", given, arguments.data)


def _show_fields(fitted: Any) -> str:
    """Pictures of an example beside the model; the text that names them."""
    from cadlag.report import fields, plots

    figures = fitted.out / "figures"
    for place, channel in enumerate(fitted.channels):
        truth, prediction = fitted.truth[:, place], fitted.prediction[:, place]
        plots.save_svg(figures / f"{channel}.svg", fields.field_panels(truth, prediction, ts=fitted.ts, name=channel))
        if len(truth) > 1:
            fields.save_field_animation(figures / f"{channel}.gif", truth, prediction, ts=fitted.ts)
    return f"{fitted.text}\nPictures of one example: {figures}"


def sample(arguments: SampleArguments) -> int:
    """`cadlag sample`."""
    from cadlag.series._files import is_law

    wing = "series" if is_law(arguments.run) else "generate"
    return _files(wing, "sample_file", arguments, arguments.run)


def solve(arguments: SolveArguments) -> int:
    """`cadlag solve`."""
    return _files("physics", "solve_file", arguments)


def data(arguments: DataArguments) -> int:
    """`cadlag data`."""
    return _files("equations", "data_file", arguments)


def lens(arguments: LensArguments) -> int:
    """`cadlag lens`."""
    what = arguments.what
    kind = type(what).__name__.removeprefix("Lens").removesuffix("Arguments").lower()
    return _files("lens", f"{kind}_file", what, what.run, show=_show_seen)


def _show_seen(seen: Any) -> str:
    """The page with all that was seen in the run; the text that names it."""
    from cadlag.report import write_lens_page

    return f"{seen}\n{write_lens_page(seen.out)}"


def _files(
    wing: str,
    function: str,
    arguments: Any,
    needed: pathlib.Path | None = None,
    *,
    show: Callable[[Any], str] = str,
) -> int:
    """Call a file function of a wing; what it returns is shown, if anything."""
    if needed is not None and not needed.exists():
        raise ValueError(f"{needed} does not exist.")
    given = arguments if isinstance(arguments, dict) else vars(arguments)
    keywords = {key: value for key, value in given.items() if key != "debug"}
    result = getattr(importlib.import_module(f"cadlag.{wing}._files"), function)(**keywords)
    if result is not None:
        print(show(result))
    return 0
