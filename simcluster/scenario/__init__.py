"""The scenario file: read with a guard, checked against its form, compiled into a frozen value, and written back."""
