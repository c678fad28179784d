"""How is a network run by Numba? Kernels compiled when they are first called, and the backend over them."""
