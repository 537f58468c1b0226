"""The journal: the file in which one worker writes down its requests.

Standard library only, Python 3.9 and later: this is loaded by the customer's process.
The layout is described in docs/journal-format.md.
"""
