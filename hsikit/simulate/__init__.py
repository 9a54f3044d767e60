"""Simulation: scenes whose truth is known everywhere.

`scene.simulate_scene` writes a whole small landscape with its truth and labelled fields; `noise` holds the models of sensor noise.
"""
