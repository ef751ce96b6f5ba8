"""Acquisition geometry, and simulation of radiographs from CTs."""
