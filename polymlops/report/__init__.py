"""Tables, figures and pages from artifacts only."""
