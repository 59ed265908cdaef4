"""`OperatorRegressor`: learn a map between fields from simulations; predict, roll out, score."""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from cadlag.data import FieldDataset, FieldNormaliser, StoredWindows
from cadlag.operators._apply import CallOnce, RollOut, in_chunks
from cadlag.operators._fields import as_fields, fit_parameters, with_boundary
from cadlag.operators._operator import AbstractOperator
from cadlag.operators._scaling import Normalised
from cadlag.operators._train import HELD, OperatorLoss, Training, train
from cadlag.operators._windows import StoredSource, WindowSource, count_starts, sample
from cadlag.operators.forms import AbstractForm, Direct, Task
from cadlag.operators.losses import RelativeL2
from cadlag.operators.objectives import AbstractObjective, Loss
from cadlag.train import Estimator


class OperatorRegressor(Estimator):
    """Learn an operator from fields on a grid: the next frames from the last, or a steady map.

    **Arguments:**

    - `network`: constructor `(channels, out_channels, *, spatial_axes, conditions, key)`; `functools.partial` sets its
      options. None: the Fourier neural operator of `cadlag.operators.fno`. Where the data say that all axes are
      periodic, or none, and the constructor takes `boundary`, it is told.
    - `form`: how the network becomes an operator, `Direct()` by default; `Refined()` is PDE-Refiner.
    - `inputs`, `outputs`: names of channels. In time all channels are both unless told otherwise, and what is an input
      alone must be given along a roll-out (or is held as it was). For a steady map both are needed.
    - `history`, `horizon`: frames in and out of one call; `stride`: stored frames to one of the model's.
    - `objective`: `OneStepLoss()`, `Pushforward()`, `Unrolled()`; None: the form's own. `loss` compares frames,
      `RelativeL2()` by default; it is taken on scaled fields, or in the data's units with `in_units`.
    - `steps`, `batch_size`, `learning_rate`, `weight_decay`: Adam with warm-up and cosine decay; `average`: of the
      weights' moving average, which is used after training (0: none).
    - `validation_fraction`: share of examples held out (rounded down); the state of the best validation is kept.
      `patience`: looks, of 20 in a run, without a better one that end it; None: it is not ended.
    - `condition`: tell the network the parameters of each example, where the data have them.
    - `seed`, `run` (folder for checkpoints; fitting again with the same settings resumes), `progress`.

    Data in files (`read_fields(…, lazy=True)`) are read batch by batch in training and need not fit in memory; with
    `stride` only every stride-th of their frames is used.

    After `fit`: `model_`, an operator in the data's units; `history_` of training; `channels_`, the names of the
    channels in, those predicted first, `outputs_`.
    """

    def __init__(
        self,
        network: Callable | None = None,
        *,
        form: AbstractForm = Direct(),
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        history: int = 1,
        horizon: int = 1,
        stride: int = 1,
        objective: AbstractObjective | None = None,
        loss: Loss | None = None,
        in_units: bool = False,
        steps: int = 2000,
        batch_size: int = 16,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        average: float = 0.99,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        condition: bool = True,
        seed: int = 0,
        run: Any = None,
        progress: Any = None,
    ):
        self.network, self.form, self.inputs, self.outputs = network, form, inputs, outputs
        self.history, self.horizon, self.stride = history, horizon, stride
        self.objective, self.loss, self.in_units = objective, loss, in_units
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate
        self.weight_decay, self.average = weight_decay, average
        self.validation_fraction, self.patience, self.condition = validation_fraction, patience, condition
        self.seed, self.run, self.progress = seed, run, progress

    def fit(self, X: Any, y: Any = None) -> "OperatorRegressor":
        """Train on a `FieldDataset` or an array (example, time, channel, *space); a steady map also from arrays X, y.

        **Raises:** `ValueError` for settings out of range, channels that are not there, values that are not finite,
        trajectories too short for a window.
        """
        self._check_settings()
        fields = as_fields(X, y)
        self.steady_, self.data_channels_ = fields.ts is None, fields.channels
        self.bounded_ = isinstance(X, FieldDataset)
        self.channels_, self.outputs_ = self._names(fields, 0 if y is None else np.shape(X)[1])
        self.dtype_, self.shape_ = str(jnp.zeros(()).dtype), fields.shape
        train_part, held_part = self._hold_out(fields)
        self._fit_scalings(train_part)
        objective = self.form.objective() if self.objective is None else self.objective
        if not objective.uses_loss and (self.loss is not None or self.in_units):
            raise ValueError(f"{type(objective).__name__} has a loss of its own; leave out loss= and in_units=.")
        operator = self._build(train_part)
        self._check_steady(objective.frames(operator))
        loss = OperatorLoss(
            objective,
            RelativeL2() if self.loss is None else self.loss,
            self.outputs_scaling_ if self.in_units else None,
        )
        count = objective.frames(operator)
        held = None if held_part is None else self._source(sample(held_part), count).spread(HELD)
        source = self._stored(train_part, count) if train_part.lazy else self._source(train_part, count)
        trained, self.history_ = train(operator, loss, source, held, self._training())
        self.model_ = Normalised(trained, self.inputs_scaling_, self.outputs_scaling_, self.parameters_scaling_)
        return self

    def predict(self, X: Any, *, seed: int = 0) -> np.ndarray:
        """One call: the frames after the last ones of X, (example, horizon, channel, *space), in the data's units.

        X is a `FieldDataset`, or an array of the channels `channels_` (of a steady map (example, channel, *space), and
        so is the answer). Another resolution than in `fit` is up to the network. `seed`: of a stochastic operator.
        """
        past, cond = self._start(X)
        found = in_chunks(CallOnce(), self.model_, past, cond, seed)
        return found[:, 0] if self.steady_ else found

    def rollout(
        self, X: Any, steps: int, *, inputs: Any = None, samples: int | None = None, seed: int = 0
    ) -> np.ndarray:
        """The `steps` frames after the last ones of X, (example, steps, channel, *space), in the data's units.

        **Arguments:** `inputs` (example, steps, extra, *space), the channels that are not predicted (None: held);
        `samples`: so many roll-outs of each example by a stochastic operator, (example, samples, steps, …).
        """
        past, cond = self._start(X)
        if self.steady_:
            raise ValueError("rollout: the model is a steady map, fitted on data without time; use predict.")
        if inputs is not None:
            inputs = jnp.asarray(np.asarray(inputs), self.dtype_)
            if len(inputs) != len(past):
                raise ValueError(f"inputs: {len(inputs)} examples for {len(past)} of X; give as many.")
        return in_chunks(RollOut(steps, samples), self.model_, past, cond, seed, inputs)

    def score(self, X: Any, y: Any = None) -> float:
        """R² of the prediction of one call, averaged over channels: 1 is perfect, 0 is the mean of the truth."""
        truth, found = self.teacher_forced(X, y)
        axes = tuple(i for i in range(truth.ndim) if i != 2)
        error = np.mean(np.square(truth - found), axis=axes, dtype=np.float64)
        spread = np.var(truth, axis=axes, dtype=np.float64)
        return float(np.mean(1 - error / spread))

    def teacher_forced(self, X: Any, y: Any = None, *, most: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """True frames and those predicted by one call from true ones, (window, horizon, channel, *space).

        At most so many windows, evenly spread over all.
        """
        fields = sample(self.fields_of(X, y))
        window = self._source(fields, self.horizon, scaled=False).spread(most)
        found = in_chunks(CallOnce(), self.model_, window.past, window.cond, seed)
        return np.asarray(window.future), found

    def fields_of(self, X: Any, y: Any = None) -> FieldDataset:
        """Data as this model reads them: an array's channels are named as they were in `fit`."""
        self.check_is_fitted()
        names = [self.data_channels_, self.channels_]
        if self.steady_:
            names = [(*self.channels_, *self.outputs_)] if y is not None else names[::-1]
        return as_fields(X, y, names=names, steady=self.steady_)

    def _build(self, fields: FieldDataset) -> AbstractOperator:
        network = self.network
        if network is None:
            from cadlag.operators.fno import FNO

            network = FNO
        conditions = 0 if self.parameters_scaling_ is None else self.parameters_scaling_.mean.shape[0]
        task = Task(
            self.history, self.horizon, len(self.channels_), len(self.outputs_), len(fields.axes), conditions,
            None if self.steady_ else self._increments(fields),
        )  # fmt: skip
        made = with_boundary(network, fields) if self.bounded_ else network
        return self.form.build(made, task, key=jr.fold_in(jr.key(self.seed), 1))

    def _increments(self, fields: FieldDataset) -> tuple[float, ...]:
        """Deviation, in scaled units, of the frames of one call from the last before them."""
        count_starts(fields.frames, 1, self.horizon, self.stride)
        values = sample(fields.select(self.outputs_)).values
        squares = []
        for ahead in range(self.stride, self.horizon * self.stride + 1, self.stride):
            difference = np.subtract(values[:, ahead:], values[:, :-ahead], dtype=np.float64)
            squares.append(np.mean(np.square(difference), axis=(0, 1, *range(3, values.ndim))))
        deviation = np.sqrt(np.mean(squares, axis=0)) / np.asarray(self.outputs_scaling_.sd, float).ravel()
        return tuple(float(d) if d > 0 else 1.0 for d in deviation)

    def _fit_scalings(self, fields: FieldDataset) -> None:
        self.inputs_scaling_ = FieldNormaliser.fit(fields.select(self.channels_))
        self.outputs_scaling_ = FieldNormaliser.fit(fields.select(self.outputs_))
        told = self.condition and fields.parameters is not None and fields.parameters.shape[1] > 0
        self.parameters_scaling_ = fit_parameters(fields) if told else None

    def _source(self, fields: FieldDataset, count: int, *, scaled: bool = True) -> WindowSource:
        inputs = self._taken(fields, self.channels_, self.inputs_scaling_ if scaled else None)
        outputs = self._taken(fields, self.outputs_, self.outputs_scaling_ if scaled else None)
        options = {"history": self.history, "frames": count, "stride": self.stride, "batch_size": self.batch_size}
        parameters = self._conditions(fields, scaled)
        return WindowSource(
            inputs, outputs if self.steady_ else None, parameters, out_channels=len(self.outputs_), **options
        )

    def _stored(self, fields: FieldDataset, count: int) -> StoredSource:
        given = self.outputs_ if self.steady_ else self.channels_
        every = fields if self.stride == 1 else fields.times(slice(None, None, self.stride))
        count_starts(every.frames, self.history, 0 if self.steady_ else count, 1)
        windows = StoredWindows(
            every, history=self.history, horizon=count, batch_size=self.batch_size, inputs=self.channels_, outputs=given
        )
        scalings = self.inputs_scaling_, self.outputs_scaling_, self.parameters_scaling_
        return StoredSource(windows, *scalings, dtype=self.dtype_)

    def _taken(self, fields: FieldDataset, channels: Sequence[str], scaling: FieldNormaliser | None) -> Array:
        values = jnp.asarray(fields.select(channels).values, self.dtype_)
        return values if scaling is None else scaling.normalise(values)

    def _conditions(self, fields: FieldDataset, scaled: bool) -> Array | None:
        scaling = self.parameters_scaling_
        if scaling is None:
            return None
        size = scaling.mean.shape[0]
        if fields.parameters is None or fields.parameters.shape[1] != size:
            raise ValueError(f"The model was fitted with {size} parameters an example; give data that have as many.")
        parameters = jnp.asarray(fields.parameters, self.dtype_)
        return scaling.normalise(parameters) if scaled else parameters

    def _start(self, X: Any) -> tuple[Array, Array | None]:
        """The last frames of each example, and its conditions, unscaled."""
        fields = self.fields_of(X)
        if len(fields.axes) != len(self.shape_):
            raise ValueError(f"The model was fitted on {len(self.shape_)} axes of space, but X has {len(fields.axes)}.")
        needed = (self.history - 1) * self.stride + 1
        if fields.frames < needed:
            raise ValueError(
                f"X has {fields.frames} frames, but one call looks back over {needed} (history={self.history}, every "
                f"{self.stride})."
            )
        last = fields if self.steady_ else fields.times(slice(-needed, None, self.stride))
        return self._taken(last.load(), self.channels_, None), self._conditions(fields, scaled=False)

    def _names(self, fields: FieldDataset, first: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Channels in, the predicted first, and channels out. `first`: of arrays X, y, the channels of X."""
        inputs, outputs = (None if n is None else tuple(n) for n in (self.inputs, self.outputs))
        if first:
            return inputs or fields.channels[:first], outputs or fields.channels[first:]
        if fields.ts is None:
            if not inputs or not outputs:
                raise ValueError(
                    f"The data have no time axis, so inputs and outputs must be named, among {list(fields.channels)}."
                )
            fields.select(tuple(dict.fromkeys((*inputs, *outputs))))
            return inputs, outputs
        outputs = outputs or tuple(c for c in inputs or fields.channels)
        inputs = inputs or fields.channels
        fields.select(tuple(dict.fromkeys((*inputs, *outputs))))
        if not set(outputs) <= set(inputs):
            raise ValueError(
                f"outputs={list(outputs)} in time must be among the inputs {list(inputs)}: what is predicted is the "
                "next input."
            )
        return (*outputs, *(c for c in inputs if c not in outputs)), outputs

    def _hold_out(self, fields: FieldDataset) -> tuple[FieldDataset, FieldDataset | None]:
        n = len(fields)
        count = int(n * self.validation_fraction)
        if count == 0:
            return fields, None
        order = np.random.default_rng(self.seed).permutation(n)
        return fields.take(np.sort(order[count:])), fields.take(np.sort(order[:count]))

    def _training(self) -> Training:
        return Training(*(getattr(self, name) for name in Training._fields))

    def _check_steady(self, frames: int) -> None:
        if self.steady_ and (self.history, self.horizon, frames) != (1, 1, 1):
            raise ValueError(
                f"The data have no time axis, but history={self.history}, horizon={self.horizon} and an objective of "
                f"{frames} frames were asked for; a steady map has one frame in and one out."
            )

    def _check_settings(self) -> None:
        for name in ("history", "horizon", "stride", "steps", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} of OperatorRegressor must be positive.")
        for name in ("validation_fraction", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} of OperatorRegressor must lie in [0, 1).")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience} of OperatorRegressor must be at least 1, or None.")
