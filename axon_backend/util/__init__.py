"""Files written whole, locks, output folders, the context of a run; only Python."""
