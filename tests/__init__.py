"""The tests: unit, e2e (real servers on loopback), lab (whole machines), browser."""
