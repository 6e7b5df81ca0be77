"""The examples, as processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"parlour.examples.{name}", *arguments]


@contextmanager
def running(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An example that runs, and ends cleanly at Ctrl-C."""
    with subprocess.Popen(
        command(name, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has those that it runs in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_echo_repeats_a_tone() -> None:
    with running("server") as server:
        echo, you = (line_of(server).split("'")[1] for _ in range(2))
        with running("echo", echo) as echoing:
            assert line_of(echoing) == "in the room as echo, with 0 others"
            said = subprocess.run(command("tone", you), capture_output=True, text=True, timeout=20)
            assert said.stdout == "said one second of a tone\nheard it\n", said.stderr
            assert said.returncode == 0


def test_what_is_no_ticket_is_told_in_a_line() -> None:
    for name in ("echo", "tone"):
        failed = subprocess.run(command(name, "ticket"), capture_output=True, text=True, timeout=20)
        assert failed.returncode == 1 and "ticket" in failed.stderr and "Traceback" not in failed.stderr
        usage = subprocess.run(command(name), capture_output=True, text=True, timeout=20)
        assert usage.returncode == 1 and "usage" in usage.stderr
