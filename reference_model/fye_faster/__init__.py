"""FYE-Faster: landmarks and motion alignment, networks, loss, training, sampler, pipeline and presets.

Works on arrays and knows nothing of the harness.
"""

import logging

# diffusers imports bitsandbytes where it is installed, which then misses kernels that nothing here uses.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
