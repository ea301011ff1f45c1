"""The cells of the literature, each its equations and its citation, nothing more.

Every `Cell` that a module in this folder binds to a public name is in the zoo under that
name, so that a new cell is one new file.
"""
