"""Figures: the only room with matplotlib, imported when a figure is asked for."""

KINDS = ("utilization", "timeline", "breakdown", "memory", "links", "topology", "throughput", "latency")
"""What `kinds.draw` draws of a result."""
