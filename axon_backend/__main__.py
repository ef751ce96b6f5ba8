"""``python -m axon_backend`` is the command line."""

import sys

try:
    from axon_backend.cli.main import main

    code = main()
except KeyboardInterrupt:  # before the command began to run
    print("axon: stopped as asked; nothing was written.", file=sys.stderr)
    code = 1
sys.exit(code)
