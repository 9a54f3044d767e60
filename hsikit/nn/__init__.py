"""Networks and how they are trained: spectral transformers, low-rank adapters, pretraining without labels. Knows no scene."""
