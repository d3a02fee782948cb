"""Reports: text, JSON and figures, from a Result or a Table."""
