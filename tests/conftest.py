"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell that starts a command in the background has it ignore Ctrl-C, and so do all it starts: tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
