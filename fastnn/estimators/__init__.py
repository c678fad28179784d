"""What does a scikit-learn user see? The estimators, their parameters and their targets."""
