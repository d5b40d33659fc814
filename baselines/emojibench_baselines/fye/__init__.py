"""The reference model as a method, plain and accelerated."""
