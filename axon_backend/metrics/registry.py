"""The registry of metrics, and their computation for a pair of volumes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.metrics.metric import Metric
from axon_backend.metrics.pair import VolumePair
from axon_backend.metrics.standard import METRICS
from axon_backend.util.plugins import load_plugins

#: Entry-point group in which packages declare metrics.
ENTRY_POINTS = "axon_backend.metrics"
DEFAULT_WINDOW_HU = (-1000.0, 900.0)


_METRICS: dict[str, Metric] = {metric.name: metric for metric in METRICS}
_plugins_loaded = False


def register_metric(metric: Metric) -> Metric:
    """Add a metric. It then appears in ``result.json``, the tables of ``axon evaluate``, the HTML
    report and the table of the Slicer panel.

    A separate package declares it as an entry point, which AXON loads automatically::

        # lung_mae.py
        from axon_backend.metrics import Metric

        def mae_of_dark_voxels(pair, region):
            dark = pair.truth < 0.3
            return float(abs(pair.prediction - pair.truth)[dark].mean())

        metric = Metric("mae_dark", "MAE, dark voxels", "mean absolute error where the CT is dark",
                        mae_of_dark_voxels, "lower", grey_difference=True)

        # pyproject.toml
        [project.entry-points."axon_backend.metrics"]
        mae_dark = "lung_mae:metric"

    Raises:
        ValueError: another metric has this name.
    """
    if metric.name in _METRICS:
        raise ValueError(f"a metric named {metric.name!r} is already registered")
    _METRICS[metric.name] = metric
    return metric


def registered_metrics() -> Mapping[str, Metric]:
    """All metrics by name: first AXON's own in the order of the tables, then those added."""
    global _plugins_loaded
    if not _plugins_loaded:
        _plugins_loaded = True
        for plugin in load_plugins(ENTRY_POINTS):
            if not isinstance(plugin, Metric) or plugin.name in _METRICS:
                warnings.warn(
                    f"An entry point of {ENTRY_POINTS} refers to {plugin!r}, which is not a Metric "
                    "with a unique name; it is ignored.",
                    stacklevel=2,
                )
                continue
            register_metric(plugin)
    return _METRICS


def metric_names() -> tuple[str, ...]:
    """Names of the registered metrics, in the order of the tables."""
    return tuple(registered_metrics())


def compute_metrics(
    prediction: Any,
    truth: Any,
    window_hu: tuple[float, float] = DEFAULT_WINDOW_HU,
    names: Iterable[str] | None = None,
    spacing_mm: tuple[float, float, float] | None = None,
) -> dict[str, float]:
    """Compare a reconstruction with the true CT.

    Args:
        prediction: reconstructed volume ``[z, y, x]``, NumPy or torch, in [0, 1] after the HU
            window; values outside are clipped, as by the window.
        truth: the true CT, same shape and window.
        window_hu: the HU window of both, needed only to find the body and structures.
        names: names of the metrics; by default all registered ones.
        spacing_mm: voxel size (x, y, z); without it, distances are NaN.

    Returns:
        Values by name. Values inside the body are NaN if the truth shows no body.

    Raises:
        AxonInputError: the shapes differ, a side is too short for a metric's window (11 voxels for
            all metrics), the truth is not in [0, 1], or a metric is not registered.
    """
    known = registered_metrics()
    wanted = tuple(known) if names is None else tuple(names)
    if unknown := [name for name in wanted if name not in known]:
        raise AxonInputError(
            f"The metric {unknown[0]!r} is not registered; the metrics are {', '.join(known)}."
        )
    pair = VolumePair.of(prediction, truth, window_hu, spacing_mm)
    values = {}
    for name in wanted:
        metric = known[name]
        empty = metric.region == "body" and not pair.body.any()
        values[name] = math.nan if empty else float(metric.function(pair, metric.region))
    return values
