"""What the core never needs: generated problems, training, theory, and the analysis of traces."""
