"""Networks, built from diffusers blocks."""
