"""How the servers of a site are: seen in one round trip each, judged without any."""
