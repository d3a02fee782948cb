"""Layouts of a wiring: where its switches, machines and cables are drawn, whatever draws them."""
