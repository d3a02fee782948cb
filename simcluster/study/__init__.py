"""Studies: many scenarios at once, each simulated, none guessed."""
