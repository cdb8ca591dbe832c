"""Arrays and strings in, numbers or frozen records out; undefined is NaN."""
