import pytest

from deploy.local import terminal
from deploy.local.terminal import Terminal


def test_a_long_stage_in_a_pipe_reports_its_progress_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    shown.doing("Preparing the demo")
    shown.detail("posts 1 of 60")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(terminal, "DETAIL_SECONDS", 0.0)
    shown.detail("posts 2 of 60")
    assert capsys.readouterr().out == "Preparing the demo: posts 2 of 60\n"
