"""A small shop with a bug, and the customers who find it."""
