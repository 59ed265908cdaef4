"""The page a run leaves behind: `write_report(out)`; `plots` draws its pictures."""

from . import plots as plots
from ._lens_page import write_lens_page as write_lens_page
from ._page import write_report as write_report
