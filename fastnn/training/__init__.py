"""How long is a network trained? The loop over passes, its state and its observers, the solvers, and the trained network."""
