"""The generated problems: seeded generators, fixed held-out sets, scorers. Imports no torch."""
