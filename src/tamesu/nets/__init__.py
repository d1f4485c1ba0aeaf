"""PyTorch modules: backbones, their weights, and the network that joins pictures and table."""
