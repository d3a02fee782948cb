"""Measurements: the ledger of them, our error against them, and profiles made from a user's own."""
