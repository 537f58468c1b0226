"""What Standfast costs and what it keeps, beside other tools: ``make bench``."""
