"""Replaying a program on wires: collectives become loads, loads share wires fairly, a clock turns both into spans."""
