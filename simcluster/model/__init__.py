"""A transformer as arithmetic: its shape, its parameters, and the work of each operation."""
