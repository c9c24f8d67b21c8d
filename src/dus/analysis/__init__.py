"""What a trace shows: spacing statistics, entropy maps, pictures."""
