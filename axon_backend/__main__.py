"""``python -m axon_backend`` is the command line."""

import sys

from axon_backend.cli import main

sys.exit(main())
