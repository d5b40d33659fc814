"""Other people's methods, as entry points name them: `rows:face_vid2vid` is the row of face-vid2vid.yaml."""

import json

from emojibench.methods import Options
from emojibench.methods.command import Command
from emojibench.methods.places import Places
from emojibench_baselines.external import records
from emojibench_baselines.external.description import FOLDER, Description, names


def factory(name: str) -> Command:
    """What builds the method of a row. Raises `UserError` when it is called before `baselines setup`."""
    return Command(FOLDER / f"{name}.yaml", model=Description, places=places)


def places(description: Description, options: Options) -> Places:
    """Where `setup` has put the parts of a baseline.

    Raises:
        UserError: something is missing; the message says what to type.
    """
    record = records.read(description.name)
    records.check(description, record)
    return Places(
        here=FOLDER,
        repo=record.repo,
        weights=records.weights(description.name, record),
        environment=records.environment(description.name),
        fingerprint=json.dumps({file: facts.sha256 for file, facts in sorted(record.files.items())}),
        random_weights=record.random_weights,
    )


def __getattr__(attribute: str) -> Command:
    name = attribute.replace("_", "-")
    if name not in names():
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    return factory(name)
