"""EmojiBench++: the benchmark of landmark-driven portrait animation."""
