"""Hardware: what a GPU can do, how GPUs are wired, which wires a message crosses."""
