"""What happened: spans and link loads as columns, and the Result that answers questions about them."""
