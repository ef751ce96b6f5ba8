"""``axon view``: a case in the browser, on Slicer's own scene and views (trame-slicer).

``scene`` and ``page`` need the extra ``view``; the rest is logic without it.
"""
