"""How long is a network trained? The loop, its state, who watches and stops it, and the network."""
