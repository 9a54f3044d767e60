"""Classification: from spectra to a map of classes.

Every method here gives a class map (`map`, uint8), and on request `confidence` (the highest class probability) and
`probabilities`. `base.PixelClassifier` holds what they share; `smooth` regularises any method's probabilities along edges;
`sieve` removes small patches.
"""
