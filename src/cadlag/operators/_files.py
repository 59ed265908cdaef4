"""From a file of fields to a fitted operator and from there to roll-outs: what the command line calls."""

import functools
import inspect
import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cadlag.data import FieldDataset, read_fields, write_fields
from cadlag.operators._evaluate import Evaluation, evaluate
from cadlag.operators._refinement import DiffusionRefinement
from cadlag.operators._windows import sample
from cadlag.operators.dilated_resnet import DilatedResNet
from cadlag.operators.fno import FNO
from cadlag.operators.forms import Direct
from cadlag.operators.multigrid import MgNO
from cadlag.operators.objectives import OneStepLoss, Pushforward, Unrolled
from cadlag.operators.refiner import Refined
from cadlag.operators.regressor import OperatorRegressor
from cadlag.operators.sinenet import SineNet
from cadlag.operators.spatiotemporal import SpatiotemporalFNO
from cadlag.operators.unet import UNet
from cadlag.train import progress

MODELS = {
    "fno": FNO,
    "unet": UNet,
    "dilated-resnet": DilatedResNet,
    "mgno": MgNO,
    "sinenet": SineNet,
    "refiner": UNet,
    "spatiotemporal-fno": SpatiotemporalFNO,
}
OBJECTIVES = {"one-step": OneStepLoss(), "pushforward": Pushforward(), "unrolled": Unrolled()}
DEFAULT_STEPS, REFINEMENTS = 2000, 3


class Fitted(NamedTuple):
    """What was fitted: what to tell the user, and an example held out (or the last one), for a picture.

    `truth` and `prediction` (frames, channels, *space), at the times `ts`; of a steady map one frame, `ts` None.
    """

    text: str
    out: pathlib.Path
    channels: tuple[str, ...]
    truth: np.ndarray
    prediction: np.ndarray
    ts: np.ndarray | None


def fit_file(
    *,
    data: pathlib.Path,
    model: str = "fno",
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
    axes: str | None = None,
    lazy: bool = False,
    history: int = 1,
    horizon: int = 1,
    stride: int = 1,
    residual: bool = False,
    refine: int | None = None,
    objective: str = "one-step",
    width: int | None = None,
    batch: int = 16,
    steps: int | None = None,
    seed: int = 0,
    out: pathlib.Path | None = None,
) -> Fitted:
    """Fit an operator to a file of fields and save it to a folder.

    Of ten examples or more a tenth is held out, and the errors on them are reported; another tenth of the rest chooses
    the best state in training.
    """
    for name, value, known in (("model", model, MODELS), ("objective", objective, OBJECTIVES)):
        if value not in known:
            raise ValueError(f"--{name} {value} is not one of {', '.join(known)}.")
    if steps is not None and steps < 1:
        raise ValueError(f"--steps {steps} must be at least 1.")
    fields = read_fields(data, axes=axes, lazy=lazy)
    out = pathlib.Path("runs") / f"operator-{pathlib.Path(data).stem}" if out is None else pathlib.Path(out)
    train, held = _hold_out(fields, seed)
    form, refined = _form(model, refine, residual)
    estimator = OperatorRegressor(
        _network(model, width), form=form, inputs=tuple(inputs) or None, outputs=tuple(outputs) or None,
        history=history, horizon=horizon, stride=stride, batch_size=batch, seed=seed,
        objective=None if refined else OBJECTIVES[objective], average=0.995 if refined else 0.99,
        steps=DEFAULT_STEPS if steps is None else steps, run=out / "training", progress=progress(),
    )  # fmt: skip
    estimator.fit(train)
    estimator.run = estimator.progress = None
    estimator.save(out / "model")
    (out / "fit.json").write_text(json.dumps({"wing": "operators", "axes": axes}, indent=2))
    test = sample(held)
    figures = evaluate(estimator, test)
    return _fitted(estimator, fields, test, figures, pathlib.Path(data), out)


def predict_file(
    *,
    run: pathlib.Path,
    data: pathlib.Path,
    out: pathlib.Path | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> str:
    """Continue every example of a file with the operator in a run folder; returns what to tell the user.

    `steps` frames after the last ones (default: the operator's horizon); of a steady map its outputs.
    """
    note = json.loads((pathlib.Path(run) / "fit.json").read_text())
    estimator = OperatorRegressor.load(pathlib.Path(run) / "model")
    fields = read_fields(data, axes=note["axes"])
    out = pathlib.Path("predictions.nc") if out is None else pathlib.Path(out)
    if steps is not None and (steps < 1 or estimator.steady_):
        raise ValueError(f"--steps {steps}: expected a positive number, and an operator of fields in time.")
    if estimator.steady_:
        values = estimator.predict(fields, seed=seed)[:, None]
    else:
        values = estimator.rollout(fields, estimator.horizon if steps is None else steps, seed=seed)
    write_fields(out, predicted(fields, values, estimator))
    return f"{len(values)} examples, {values.shape[1]} frames of {', '.join(estimator.outputs_)}: {out}"


def predicted(fields: FieldDataset, values: np.ndarray, estimator: OperatorRegressor) -> FieldDataset:
    """Predictions as a record beside the one they continue."""
    ts = None
    if fields.ts is not None and not estimator.steady_:
        step = (fields.ts[-1] - fields.ts[0]) / (len(fields.ts) - 1) if len(fields.ts) > 1 else 1.0
        ts = fields.ts[-1] + estimator.stride * step * np.arange(1, values.shape[1] + 1)
    return FieldDataset.from_arrays(
        values, channels=estimator.outputs_, axes=fields.axes, coordinates=fields.coordinates, ts=ts,
        periodic=fields.periodic, parameters=fields.parameters, parameter_names=fields.parameter_names or None,
    )  # fmt: skip


def _form(model: str, refine: int | None, residual: bool) -> tuple[Any, bool]:
    count = REFINEMENTS if refine is None and model == "refiner" else refine
    if count is None:
        return Direct(residual=residual), False
    return Refined(DiffusionRefinement(count)), True


def _network(model: str, width: int | None) -> Any:
    network = MODELS[model]
    if width is None:
        return network
    assert "width" in inspect.signature(network).parameters
    return functools.partial(network, width=width)


def _hold_out(fields: FieldDataset, seed: int) -> tuple[FieldDataset, FieldDataset]:
    """Training part and the rest; below ten examples all are both."""
    if len(fields) < 10:
        return fields, fields
    order = np.random.default_rng(seed).permutation(len(fields))
    count = max(1, len(fields) // 10)
    return fields.take(np.sort(order[count:])), fields.take(np.sort(order[:count]))


def _fitted(
    estimator: OperatorRegressor,
    fields: FieldDataset,
    test: FieldDataset,
    figures: Evaluation,
    data: pathlib.Path,
    out: pathlib.Path,
) -> Fitted:
    kind = "" if len(fields) >= 10 else " (all of them trained on: too few to hold any out)"
    told = f"Relative L2 error of one step {_percent(figures.relative_l2)}"
    if figures.rollout_l2 is not None:
        told += (
            f", after {len(figures.rollout_l2)} steps {_percent(figures.rollout_l2[-1])}; mean correlation above 0.8 "
            f"until t = {figures.horizon:.4g} of {figures.ts[-1]:.4g}"  # pyright: ignore[reportOptionalSubscript]
        )
    grid = "x".join(map(str, fields.shape))
    text = (
        f"operator: {len(fields)} examples, {fields.frames} frames of {', '.join(fields.channels)} on {grid}.\n"
        f"{told}, on {len(test)} examples{kind}.\nModel: {out / 'model'}\nNext: cadlag predict {out} NEW{data.suffix}"
        f"{'' if estimator.steady_ else ' --steps 10'} -o out.nc"
    )
    return Fitted(text, out, estimator.outputs_, *_example(estimator, test))


def _example(estimator: OperatorRegressor, test: FieldDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The first example of the held-out part, true and predicted from its first frames."""
    one = test.take([0])
    truth = one.select(estimator.outputs_).values[0]
    if estimator.steady_:
        return truth, estimator.predict(one)[:1], None
    first, stride = (estimator.history - 1) * estimator.stride, estimator.stride
    given = one.select(estimator.channels_).values[:, first + stride :: stride, len(estimator.outputs_) :]
    truth = truth[first + stride :: stride]
    found = estimator.rollout(one.times(slice(0, first + 1)), len(truth), inputs=given if given.shape[2] else None)[0]
    return truth, found, np.asarray(one.ts)[first + stride :: stride]


def _percent(error: np.ndarray) -> str:
    return f"{100 * float(np.mean(error)):.3g} %"
