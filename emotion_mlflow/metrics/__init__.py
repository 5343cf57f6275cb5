"""Every figure the project reports: NumPy arrays in, floats out, no TensorFlow.

Used by the rooms that train, evaluate, draw and compare.
"""
