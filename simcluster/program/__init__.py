"""Programs: what every rank must do, in work and in order, without a clock."""
