"""`python -m cadlag`."""

import sys

from cadlag.cli import main

sys.exit(main())
