"""What commands do with the reference model: animate, train, ablation, acceleration."""
