"""The recorder: what runs inside the application's process.

Standard library only, Python 3.9 and later; no thread, no network, and never an exception into
the application.
"""
