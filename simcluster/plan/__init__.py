"""How a model is cut over ranks: degrees, the readings of a plan's name, groups, placement and memory."""
