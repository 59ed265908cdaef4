"""The page a run leaves behind: `write_report(out)`; `plots` draws its pictures."""

from . import plots as plots
from ._page import write_report as write_report
