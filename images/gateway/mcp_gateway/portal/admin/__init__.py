"""The administrators' pages: who has what, and what is wrong. None shows a value or a log of anybody's instance."""
