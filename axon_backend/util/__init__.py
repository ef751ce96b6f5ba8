"""Atomic files, locks, output folders, worker pools, run context; standard library only."""
