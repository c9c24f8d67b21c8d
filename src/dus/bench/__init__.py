"""What is timed, and nothing else: the textbook loop, the cache modes, and the bare forwards below them."""
