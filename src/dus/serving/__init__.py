"""An OpenAI-compatible server and a live page over the engine."""
