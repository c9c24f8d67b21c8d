"""Evidence on real language: how far dependence reaches in English, and a small denoiser of text that people wrote."""
