"""Characters that are no part of what somebody says."""

# Marks of direction and order: nobody sees them, and they turn what is written around them. For
# use between the brackets of a regular expression.
MARKS = "\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069\\ufeff"
