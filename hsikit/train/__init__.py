"""Training: labels on a scene's grid, splits that lie apart on the ground, floors, scores, and the record of it all."""
