"""Learners: what turns training rows and a recipe into something that predicts."""
