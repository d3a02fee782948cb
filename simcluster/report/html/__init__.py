"""Pages: one file each, that opens without a network, and says the verdict first."""
