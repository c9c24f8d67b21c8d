"""Answers for many: an OpenAI-compatible server with a live page, batches of prompts, and both on a Ray cluster.

Everything here is a client of `dus.decoding.Engine`; `dus serve` and `dus batch` are the commands.
"""
