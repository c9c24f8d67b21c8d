"""What planners do on problems with checkable answers: sweeps that resume, and the report made from them."""
