"""Scores that torchmetrics and scikit-learn lack, or that must run without them."""
