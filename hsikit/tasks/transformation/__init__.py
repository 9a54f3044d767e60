"""Transformation: a scene's spectra as a few components, learned on the scene itself.

Two passes: the statistics of all valid pixels, then the components. For analysts who look at what varies, or want fewer bands before
they cluster or classify.
"""
