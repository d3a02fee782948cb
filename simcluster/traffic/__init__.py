"""What collectives put on the wires: their messages, by algorithm, on their routes, and their time alone."""
