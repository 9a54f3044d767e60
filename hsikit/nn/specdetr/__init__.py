"""SpecDETR: a network that finds objects of few pixels, or less than one, in spectral pictures."""
