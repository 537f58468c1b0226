"""Why workers died: suspects, verdict, replay."""
