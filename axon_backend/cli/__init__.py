"""The command line: one module a command; ``main`` parses and calls."""

import time

STARTED = time.time()
"""When this process started (Unix seconds): an older request to stop is of an earlier run."""
