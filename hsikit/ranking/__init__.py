"""Detectors ranked on scenes whose targets are known: the part of `hsikit benchmark` that `--truth` begins.

truth (where targets are) + plan (detectors, draws) ──► cells (one map scored) ──► standings ──► table
"""
