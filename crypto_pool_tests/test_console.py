import io
import logging

from rich.console import Console

from crypto_pool.defs.console import ProgressHandler


def shown(messages, *, terminal):
    screen = io.StringIO()
    handler = ProgressHandler(Console(file=screen, force_terminal=terminal, width=80))
    for message in messages:
        handler.emit(logging.makeLogRecord({"msg": message}))
    handler.close()
    return screen.getvalue()


def test_off_a_terminal_each_message_is_a_line():
    said = shown(["1/2 BTC_uptrend SVC: scored", "no [bars]"], terminal=False)
    assert said.splitlines() == ["  1/2 BTC_uptrend SVC: scored", "  no [bars]"]


def test_on_a_terminal_steps_move_one_bar_and_other_messages_stay_lines():
    said = shown(["1/2 first: scored", "BTC: no bars", "2/2 second: scored"], terminal=True)
    assert "  BTC: no bars" in said
    assert "2/2" in said
    assert "second: scored" in said
    assert "1/2 first" not in said
    assert said.endswith("\x1b[?25h")  # the cursor is back
