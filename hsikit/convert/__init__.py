"""A scene into another scene, lazily, and into a file: clipped, warped, orthorectified, written.

Each of the first kind gives a `Source` that wraps a `Source`: nothing is read before a window of it is asked for.
"""
