"""Foreign frameworks, one file each."""
