"""Pretraining of an encoder without labels: windows streamed from many scenes and simulations, through instruments drawn by chance."""
