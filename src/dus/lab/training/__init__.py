"""Trains small denoisers on generated problems; the bundled model is made here."""
