"""Wall-clock speed-up of the acceleration presets on the full-size architecture, beside the counted one.

    python benchmarks/cuda_acceleration.py [--sizes 256 512] [--dtypes bf16 fp16] [--modes eager compiled]

Denoises 64 frames in 30 steps with the released architecture and random weights, which take as long as trained ones, in
windows of 32 frames side by side. Each size and type has a process of its own: side by side they check and compile,
which takes minutes and a core; then they are timed one after another, alone on the device. What a check finds wrong is
said on stderr, and the script ends with code 1:

- same output: in equal windows that wrap, the released attention gives what ours gives;
- full steps: a recipe that skips no step gives what none gives;
- compiled: a short clip with skipped steps, compiled and eager, differs by rounding only;
- waiting: on CUDA, no step but the first of a clip waits for the device (PyTorch's sync debug mode raises).

Then every method is timed, uncached first, the fastest of --repeats. FLOPs are counted while one window runs
(`emojibench_metrics.flops`); windows cost the same. `speed-up` and `counted` are ratios to the uncached row, `share` is
the first divided by the second, `vs released` compares with the row `released loop`: 24-frame windows that wrap,
reference attention for both guidance rows, always eager. `compiled` uses the two functions of
`fye_faster.accel.compiled`.

The bars, for a GPU like an H200: uncached 1.25 times faster than the released loop, eager as well; a share of at least
90 % for `near-lossless` and `balanced`; `fast` 7 times faster than the released loop. `--small` tries the script with a
tiny network on whatever device there is, for which there are no bars.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from multiprocessing.connection import Connection

import torch
from emojibench_metrics.flops import count_flops
from full_size import (
    SMALL,
    TOLERANCES,
    Network,
    Parser,
    build,
    distance,
    released_attention,
    sample,
    seconds,
    wrapping,
)
from fye_faster.accel.accelerator import Accelerator, AcceleratorConfig, Composed
from fye_faster.accel.compiled import Compiled, CompiledDenoiser
from fye_faster.accel.forecast import GuidanceShare
from fye_faster.accel.presets import PRESETS
from fye_faster.accel.tic import TaylorCacheConfig, uniform
from fye_faster.diffusion.sampler import Progress, pieces
from fye_faster.diffusion.solvers import Solver
from fye_faster.models.released import RELEASED, ReleasedPreset
from fye_faster.pipelines.mini import silent
from fye_faster.pipelines.precision import DTYPES
from torch import Tensor

STEPS, CHECKED_STEPS = 30, 4
UNCACHED, RELEASED_LOOP = "uncached", "released loop"
METHODS: dict[str, AcceleratorConfig] = {
    UNCACHED: AcceleratorConfig(STEPS),
    **PRESETS,
    "tic": AcceleratorConfig(STEPS, cache=TaylorCacheConfig(uniform(STEPS, 3), scope="head")),
    "deepcache": AcceleratorConfig(
        STEPS, cache=TaylorCacheConfig(uniform(STEPS, 3), 0, 0, "none", scope="deep")
    ),
}
"""TIC in the paper's setting: N = 3, expression mask; order 1, which is ours. DeepCache: N = 3, cut 0."""


class Modes:
    """Eager and compiled accelerators of one network; compiled code is shared wherever it is the same."""

    def __init__(self, network: Network, backend: str, *, graphs: bool) -> None:
        self._network, self._backend, self._graphs = network, backend, graphs
        self._compiled: dict[str, CompiledDenoiser] = {}

    def accelerator(self, recipe: AcceleratorConfig, mode: str) -> Accelerator:
        """To sample the network with."""
        if mode == "eager":
            return Composed(recipe)
        scope = recipe.cache.scope if isinstance(recipe.cache, TaylorCacheConfig) else ""
        if scope not in self._compiled:
            self._compiled[scope] = CompiledDenoiser(
                self._network.model.animator.denoiser, self._backend, graphs=self._graphs
            )
        return Compiled(recipe, self._compiled[scope])


def shortened(recipe: AcceleratorConfig, interval: int) -> AcceleratorConfig:
    """The same means in few steps, of which every `interval`-th is full; all rows at each step if that is 1."""
    cache = recipe.cache and replace(recipe.cache, schedule=uniform(CHECKED_STEPS, interval))
    share = recipe.guidance and (GuidanceShare((0,)) if interval > 1 else None)
    return AcceleratorConfig(CHECKED_STEPS, recipe.solver, cache, share)


def check(network: Network, modes: Modes, dtype: str, options: argparse.Namespace) -> tuple[str, list[str]]:
    """What was found, in a line, and what is wrong with it."""
    worst = {"same output": 0.0, "full steps": 0.0, "compiled": 0.0}
    wrong, whole = [], dict[Solver, Tensor]()
    on_cuda = network.device.type == "cuda"

    def run(recipe: AcceleratorConfig, mode: str = "eager", progress: Progress = silent) -> Tensor:
        accelerator = modes.accelerator(recipe, mode)
        return sample(
            network, options.frames, CHECKED_STEPS, accelerator, window=options.window, progress=progress
        )

    def compare(name: str, what: str, a: Tensor, b: Tensor) -> None:
        value = distance(a, b)
        worst[what] = max(worst[what], value)
        if not value <= TOLERANCES[dtype]:
            wrong.append(f"{name}, {what}: relative distance {value:.2g}, tolerance {TOLERANCES[dtype]:g}")

    def looped() -> Tensor:
        return sample(network, options.frames, CHECKED_STEPS, window=network.preset.window, sampler=wrapping)

    with released_attention(network):
        theirs = looped()
    compare(UNCACHED, "same output", looped(), theirs)
    for name in (UNCACHED, *options.methods):
        recipe = METHODS[name]
        if recipe.solver not in whole:
            whole[recipe.solver] = run(AcceleratorConfig(CHECKED_STEPS, recipe.solver))
        compare(name, "full steps", run(shortened(recipe, 1)), whole[recipe.solver])
        short = shortened(recipe, 2)
        if "compiled" in options.modes:
            compare(name, "compiled", run(short, "compiled"), run(short))
        for mode in options.modes if on_cuda else ():
            try:
                run(short, mode, progress=_Strict(len(pieces(options.frames, options.window))))
            except RuntimeError as error:
                wrong.append(f"{name}, {mode}: waits for the device within the loop ({error})")
            finally:
                torch.cuda.set_sync_debug_mode("default")
    waiting = "some steps wait" if any("waits" in line for line in wrong) else "no step waits"
    parts = [f"{what} {value:.2g}" for what, value in worst.items()]
    if "compiled" not in options.modes:
        parts[-1] = "compiled –"
    return ", ".join([*parts, waiting if on_cuda else "waiting not checked, no CUDA device"]), wrong


class _Strict:
    """From the second step of all windows on, waiting for the device is an error."""

    def __init__(self, windows: int) -> None:
        self._windows = windows

    def __call__(self, done: int, total: int) -> None:
        torch.cuda.set_sync_debug_mode("error" if self._windows <= done < total else "default")


def count(network: Network, recipe: AcceleratorConfig | None, options: argparse.Namespace) -> int:
    """FLOPs of a clip by those of one of its windows; None: of the released loop, whose steps all cost the same."""
    if recipe is None:
        length = min(options.frames, network.preset.window)
        with released_attention(network), count_flops() as counter:
            sample(network, length, 1, window=length, sampler=wrapping)
        return counter.total * STEPS * -(-options.frames // length)
    length = min(options.frames, options.window)
    with count_flops() as counter:
        sample(network, length, recipe.steps, Composed(recipe), window=length)
    return counter.total * len(pieces(options.frames, options.window))


@dataclass(frozen=True)
class Timing:
    """One method's cost."""

    method: str
    flops: int
    seconds: float
    peak: int
    """Bytes of device memory, weights included; 0 on a CPU."""


def timed(
    network: Network, modes: Modes, mode: str, flops: dict[str, int], options: argparse.Namespace
) -> Iterator[Timing]:
    """The methods of one mode, uncached first."""
    for name in (UNCACHED, *options.methods):
        recipe = METHODS[name]
        accelerator = modes.accelerator(recipe, mode)

        def work(recipe: AcceleratorConfig = recipe, accelerator: Accelerator = accelerator) -> None:
            sample(network, options.frames, recipe.steps, accelerator, window=options.window)

        yield measured(name, flops[name], work, network.device, options.repeats)


def released(network: Network, flops: int, options: argparse.Namespace) -> Timing:
    """The released loop, eager."""

    def work() -> None:
        sample(network, options.frames, STEPS, window=network.preset.window, sampler=wrapping)

    with released_attention(network):
        return measured(RELEASED_LOOP, flops, work, network.device, options.repeats)


def measured(name: str, flops: int, work: Callable[[], None], device: torch.device, repeats: int) -> Timing:
    """One method's cost."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    spent = seconds(work, device, repeats)
    return Timing(name, flops, spent, torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0)


def report(title: str, rows: Iterator[Timing], loop: Timing, frames: int, *, bars: bool) -> None:
    """The table of one mode, row by row, and its bars if wanted."""
    print(f"\n{title}")
    header = ("TFLOP", "counted", "seconds", "speed-up", "share", "vs released", "frames/s", "peak GiB")
    print(f"{'method':14s}", *(f"{column:>11s}" for column in header))
    base = next(rows)
    shares, factors = {}, {}
    for row in chain((loop, base), rows):
        counted, speedup = base.flops / row.flops, base.seconds / row.seconds
        shares[row.method], factors[row.method] = speedup / counted, loop.seconds / row.seconds
        print(
            f"{row.method:14s} {row.flops / 1e12:11.4g} {counted:11.3f} {row.seconds:11.3f} {speedup:11.3f}"
            f" {shares[row.method]:11.1%} {factors[row.method]:11.3f} {frames / row.seconds:11.3f}"
            f" {f'{row.peak / 2**30:.2f}' if row.peak else '–':>11s}",
            flush=True,
        )
    wanted = [(UNCACHED, 1.25, "times the released loop"), ("fast", 7.0, "times the released loop")]
    wanted += [(name, 0.9, "of the counted speed-up") for name in ("near-lossless", "balanced")]
    for name, bar, what in wanted if bars else ():
        if name in shares:
            value = (factors if "loop" in what else shares)[name]
            print(f"{'met' if value >= bar else 'missed'}: {name} has {value:.2f} {what}, the bar is {bar:g}")
    sys.stdout.flush()


def parsed() -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[256, 512], help="pixels, multiples of 64 from 128 on"
    )
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=["bf16", "fp16"])
    parser.add_argument("--modes", nargs="+", choices=("eager", "compiled"), default=["eager", "compiled"])
    methods = [name for name in METHODS if name != UNCACHED]
    parser.add_argument(
        "--methods", nargs="+", choices=methods, default=methods, help="beside the uncached one"
    )
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--window", type=int, default=32, help="frames denoised together, at most 32")
    parser.add_argument("--repeats", type=int, default=2, help="of each timing; the fastest counts")
    parser.add_argument("--backend", default="inductor", help="of torch.compile")
    parser.add_argument(
        "--graphs",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether compiled code records its steps as CUDA graphs",
    )
    parser.add_argument("--small", action="store_true", help="a tiny network, on the CPU if there is no GPU")
    options = parser.parse_args()
    if min(options.frames, options.repeats) < 1 or not 1 <= options.window <= 32:
        parser.error("expected --frames and --repeats from 1 on and --window from 1 to 32")
    if options.frames > options.window and options.frames % options.window:
        parser.error(
            f"argument --frames: expected a multiple of --window {options.window}, got {options.frames}"
        )
    if any(size < 128 or size % 64 for size in options.sizes):  # norms over one cell would blow rounding up
        parser.error(f"argument --sizes: expected multiples of 64 from 128 on, got {options.sizes}")
    if not options.small and not torch.cuda.is_available():
        parser.error("no CUDA device; --small tries the script without one")
    return options


def prepare_and_time(size: int, dtype: str, options: argparse.Namespace, parent: Connection) -> None:
    """A process: sends what the checks found; at its turn the released loop, then the rows of each mode one by one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build(replace(_preset(options), resolution=size), device, DTYPES[dtype])
    modes = Modes(network, options.backend, graphs=options.graphs and device.type == "cuda")
    found = check(network, modes, dtype, options)
    flops = {name: count(network, METHODS[name], options) for name in (UNCACHED, *options.methods)}
    flops[RELEASED_LOOP] = count(network, None, options)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the others need memory, too
    parent.send(found)
    parent.recv()
    parent.send(released(network, flops[RELEASED_LOOP], options))
    for mode in options.modes:
        for row in timed(network, modes, mode, flops, options):
            parent.send(row)


def main() -> int:
    options = parsed()
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{name}, PyTorch {torch.__version__}, architecture {_preset(options).name}", end=", ")
    print(f"{options.frames} frames, {STEPS} steps", flush=True)
    spawn, preparing = torch.multiprocessing.get_context("spawn"), []
    for size in options.sizes:
        for dtype in options.dtypes:
            here, there = spawn.Pipe()
            arguments = size, dtype, options, there
            spawn.Process(target=prepare_and_time, args=arguments, daemon=True).start()
            there.close()  # here, so that the end of the process is seen
            preparing.append((f"{size} px, {dtype}", here))
    ready, failures, start = [], 0, time.monotonic()
    for title, connection in preparing:
        try:
            found, wrong = connection.recv()
        except EOFError:
            failures += _failed(title)
            continue
        print(f"{title}, {time.monotonic() - start:.0f} s, checks: {found}", flush=True)
        for line in wrong:
            print(f"wrong: {title}, {line}", file=sys.stderr)
        failures += len(wrong)
        ready.append((title, connection))
    for title, connection in ready:
        connection.send("your turn")
        try:
            loop = connection.recv()
            for mode in options.modes:
                rows = (connection.recv() for _ in (UNCACHED, *options.methods))
                report(f"{title}, {mode}", rows, loop, options.frames, bars=not options.small)
        except EOFError:
            failures += _failed(title)
    return min(failures, 1)


def _preset(options: argparse.Namespace) -> ReleasedPreset:
    return SMALL if options.small else RELEASED


def _failed(title: str) -> int:
    print(f"{title}: its process failed, see above", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
