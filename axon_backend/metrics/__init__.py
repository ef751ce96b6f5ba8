"""Metrics of a reconstructed volume against the true CT, by one registry.

A metric is one registration; tables, reports, ``result.json`` and the Slicer panel are made from
the registry. To add one of your own, see :func:`register_metric`.
"""

from axon_backend.metrics.metric import Metric
from axon_backend.metrics.pair import VolumePair, body_mask
from axon_backend.metrics.registry import (
    compute_metrics,
    metric_names,
    register_metric,
    registered_metrics,
)

__all__ = [
    "Metric",
    "VolumePair",
    "body_mask",
    "compute_metrics",
    "metric_names",
    "register_metric",
    "registered_metrics",
]
