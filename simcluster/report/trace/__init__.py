"""Trace files: a run as Chrome trace JSON in Kineto's manner, for Perfetto, chrome://tracing and HolisticTraceAnalysis.

One file holds every replayed class of ranks, a process each.  HolisticTraceAnalysis takes a file for one rank and would
add the processes up, so it wants a folder: a file for each class there, under the number of its first rank.
"""
