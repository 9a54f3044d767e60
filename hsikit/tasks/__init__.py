"""What hsikit does with scenes: one folder for each task, one file for each method.

A task's folder says in its docstring which layers its methods deliver and how they are scored. Classical and learned methods
are the same kind of thing (`hsikit.method.Method`), so that one can be put in another's place and a table can rank them.
Nothing is imported here: methods are named in a static table and loaded when they are asked for.
"""
