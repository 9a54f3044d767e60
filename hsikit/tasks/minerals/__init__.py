"""Minerals: which materials of a library a pixel's absorptions look like, how well, and how deep they are.

Layers: positions in the library (`minerals`, int16), band depths with their uncertainty, and fits, of the best three of each group.
"""
