"""What is a network, and what is its maths?

Layers, activations, losses, optimizers, schedules, costs; NumPy alone.
"""
