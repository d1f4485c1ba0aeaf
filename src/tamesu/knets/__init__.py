"""Keras layers: the same network as `tamesu.nets`, for TensorFlow, JAX and PyTorch.

Every batch has one shape, so that compilers compile once; rows of weight 0 are padding, which nothing looks at.
"""
