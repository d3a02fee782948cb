"""One GPU: its datasheet, measured profiles, and how long a kernel takes on it."""
