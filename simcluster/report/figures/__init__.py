"""Figures: the only room with matplotlib, imported when a figure is asked for."""
