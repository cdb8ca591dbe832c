"""From sample sets to scores, domain by domain."""
