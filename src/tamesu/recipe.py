"""What is trained: the study without its ideas, patched, expanded into arms, and hashed."""
