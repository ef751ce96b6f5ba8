"""Hiding a package: within ``with without("torch"):`` it cannot be imported."""

import contextlib
import importlib
import sys


class _Filter:
    """A finder that delegates to another one except for some names."""

    def __init__(self, finder, blocked):
        self._finder, self._blocked = finder, blocked

    def __getattr__(self, name):
        return getattr(self._finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._blocked:
            return None
        return self._finder.find_spec(name, path, target)

    def find_distributions(self, context=None):
        find = getattr(self._finder, "find_distributions", None)
        for found in find(context) if find and context is not None else ():
            if found.metadata["Name"].lower().replace("-", "_") not in self._blocked:
                yield found


@contextlib.contextmanager
def without(*names):
    """Hide packages by import name; distributions of the same name are hidden as well."""
    blocked = {name.lower().replace("-", "_") for name in names} | set(names)
    finders = list(sys.meta_path)
    hidden = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in blocked}
    sys.meta_path[:] = [_Filter(finder, blocked) for finder in finders]
    for name in hidden:
        del sys.modules[name]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path[:] = finders
        sys.modules.update(hidden)
        importlib.invalidate_caches()
