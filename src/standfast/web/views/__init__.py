"""The pages, one module each: a view asks the store, and names the template that shows it."""
