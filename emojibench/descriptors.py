"""Standard input, output and error of this process and of those that it starts."""

import os


def fill() -> None:
    """Lead streams that were closed (`>&-`) to the null device, so that no file opened later takes their place."""
    for descriptor in (0, 1, 2):  # in this order: `open` takes the lowest that is free
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
