"""The ablation of the paper's Table 4 on a preset of the reference model: rows, their training and measuring."""
