"""Recipes: every system as data, arms and claims that can come out false.

`run("stable-sde", preset="quick")` measures, judges and leaves a run folder; `TABLE` lists the forty-three.
Importing this package imports no JAX: each task of a run gets a process of its own.
"""

from ._bootstrap import Bootstrap as Bootstrap
from ._bootstrap import paired_bootstrap as paired_bootstrap
from ._claim import (
    Claim as Claim,
)
from ._claim import (
    Outcome as Outcome,
)
from ._claim import (
    Paper as Paper,
)
from ._claim import (
    Verdict as Verdict,
)
from ._claim import (
    above as above,
)
from ._claim import (
    below as below,
)
from ._claim import (
    compare_paired as compare_paired,
)
from ._claim import (
    decide as decide,
)
from ._claim import (
    standard_error as standard_error,
)
from ._conclude import RunReport as RunReport
from ._conclude import check_claims as check_claims
from ._conclude import judge as judge
from ._picture import (
    Bars as Bars,
)
from ._picture import (
    Curves as Curves,
)
from ._picture import (
    Drawn as Drawn,
)
from ._picture import (
    Line as Line,
)
from ._picture import (
    Paths as Paths,
)
from ._picture import (
    Picture as Picture,
)
from ._picture import (
    Table as Table,
)
from ._picture import (
    Trajectories as Trajectories,
)
from ._recipe import (
    AbstractRecipe as AbstractRecipe,
)
from ._recipe import (
    Arm as Arm,
)
from ._recipe import (
    Figures as Figures,
)
from ._recipe import (
    Preset as Preset,
)
from ._recipe import (
    Unit as Unit,
)
from ._recipe import (
    value_per_seed as value_per_seed,
)
from ._runner import Interrupted as Interrupted
from ._runner import run as run
from ._status import (
    Recorded as Recorded,
)
from ._status import (
    best as best,
)
from ._status import (
    markdown_table as markdown_table,
)
from ._status import (
    read_recorded as read_recorded,
)
from ._status import (
    state as state,
)
from ._status import (
    worse as worse,
)
from ._table import TABLE as TABLE
from ._table import System as System
from ._table import find_system as find_system
from ._table import load_recipe as load_recipe
