"""The command line: one module per command; ``main`` parses the arguments and calls it."""

import time

STARTED = time.time()
"""When this process started (Unix seconds). An older stop request belongs to an earlier run."""
