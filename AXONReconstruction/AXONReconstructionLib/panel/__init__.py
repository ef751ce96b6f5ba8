"""The panel: one section per step, and the widgets inside the sections."""
