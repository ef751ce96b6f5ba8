"""From X-ray files to a volume: cases, sessions, memory fallbacks, results."""
