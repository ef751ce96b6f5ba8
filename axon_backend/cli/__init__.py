"""The ``axon`` command, one file per subcommand."""

import time

STARTED = time.time()
"""When the command started, Unix seconds: this package is imported before anything heavy."""
