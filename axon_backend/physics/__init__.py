"""Acquisition geometry and radiographs computed from CTs."""
