"""`python drive.py OUT '{"name": ...}'`: a run on the fakes as its own process, to be killed or starved."""

import json
import resource
import sys
from pathlib import Path


def main() -> None:
    import fakes

    from emojibench.errors import UserError
    from emojibench.runs import api

    api.load_dataset, api.open_detector = fakes.load_dataset, fakes.open_detector  # type: ignore[assignment]
    settings = json.loads(sys.argv[2])
    if limit := settings.pop("largest_file", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if address := settings.pop("ray", None):
        from emojibench.parallel.cluster import Ray

        settings["executor"] = Ray(2, address=address)
    try:
        sys.exit(api.run(settings.pop("method", "fake"), out=Path(sys.argv[1]), **settings).exit_code)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
