"""Tiny files in each format's true structure, for tests of readers, writers and commands."""
