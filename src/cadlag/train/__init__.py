"""Updates, loops, recorders, run folders, saving and loading, and the estimators' base class."""

from ._average import EMA as EMA, SWA as SWA, AbstractAverage as AbstractAverage
from ._fit import fit as fit
from ._hooks import (
    AbstractHook as AbstractHook,
    EarlyStopping as EarlyStopping,
    ReduceOnPlateau as ReduceOnPlateau,
    Stop as Stop,
)
from ._least_squares import least_squares as least_squares
from ._minimise import advance as advance, minimise as minimise
from ._players import Player as Player, players as players
from ._progress import (
    AbstractProgress as AbstractProgress,
    Bar as Bar,
    Lines as Lines,
    Silent as Silent,
    progress as progress,
)
from ._recorder import Recorder as Recorder
from ._result import (
    Ending as Ending,
    FitResult as FitResult,
    Interrupted as Interrupted,
    NonFiniteLoss as NonFiniteLoss,
    Outcome as Outcome,
)
from ._run import RunDir as RunDir
from ._update import AbstractUpdate as AbstractUpdate, UpdateState as UpdateState, gradient as gradient
