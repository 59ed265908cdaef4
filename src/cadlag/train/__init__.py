"""Updates, loops, recorders, run folders, saving and loading, and the estimators' base class."""

from ._average import EMA as EMA
from ._average import SWA as SWA
from ._average import AbstractAverage as AbstractAverage
from ._estimator import Estimator as Estimator
from ._fit import fit as fit
from ._hooks import (
    AbstractHook as AbstractHook,
)
from ._hooks import (
    EarlyStopping as EarlyStopping,
)
from ._hooks import (
    ReduceOnPlateau as ReduceOnPlateau,
)
from ._hooks import (
    Stop as Stop,
)
from ._hooks import (
    TimeLimit as TimeLimit,
)
from ._kept import TrainedRun as TrainedRun
from ._kept import read_run as read_run
from ._least_squares import least_squares as least_squares
from ._minimise import advance as advance
from ._minimise import minimise as minimise
from ._optimisers import warmed_adam as warmed_adam
from ._players import Player as Player
from ._players import players as players
from ._precision import enable_x64 as enable_x64
from ._precision import has_x64 as has_x64
from ._precision import require_x64 as require_x64
from ._progress import (
    AbstractProgress as AbstractProgress,
)
from ._progress import (
    Bar as Bar,
)
from ._progress import (
    Lines as Lines,
)
from ._progress import (
    Silent as Silent,
)
from ._progress import (
    progress as progress,
)
from ._recorder import Recorder as Recorder
from ._result import (
    Ending as Ending,
)
from ._result import (
    FitResult as FitResult,
)
from ._result import (
    Interrupted as Interrupted,
)
from ._result import (
    NonFiniteLoss as NonFiniteLoss,
)
from ._result import (
    Outcome as Outcome,
)
from ._run import RunDir as RunDir
from ._save import load as load
from ._save import save as save
from ._seeds import fit_seeds as fit_seeds
from ._timing import steps_within as steps_within
from ._update import AbstractUpdate as AbstractUpdate
from ._update import UpdateState as UpdateState
from ._update import gradient as gradient
