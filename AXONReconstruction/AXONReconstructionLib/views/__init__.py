"""The views: layouts, slice and 3D display, overlays and plots."""
