"""The chart and the table of the README."""

import chart
import pytest

CONTENT = {
    "machine": {"cpu": "Processor", "torch_threads": 2, "versions": {"torch": "2", "jax": None}},
    "options": {"quick": True},
    "summary": [{"what": "LSTM", "measured": "1.40 ×", "asked": "≥ 1.30 ×", "verdict": "pass"}],
    "sections": [
        {
            "title": "LSTM, training step",
            "rows": [
                {"claims": [{"what": "against torch.nn.LSTM", "value": 2.0}]},
                {"claims": [{"what": "against torch.nn.LSTM", "value": 0.5}]},
            ],
        },
        {"title": "memory", "rows": [{"claims": [{"what": "memory", "value": 2.0}]}]},
    ],
}


def test_bars_are_geometric_means_of_what_is_a_ratio():
    groups = chart.groups(CONTENT)
    assert list(groups) == ["LSTM, training step"]
    (bar,) = groups["LSTM, training step"]
    assert (bar.peer, bar.mean) == ("torch.nn.LSTM", 1.0)


def test_the_same_numbers_give_the_same_picture(tmp_path):
    for name in ("a.svg", "b.svg"):
        chart.draw(chart.groups(CONTENT), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "torch.nn.LSTM" in (tmp_path / "a.svg").read_text("utf-8")


def test_only_what_stands_between_the_comments_is_replaced():
    page = f"before\n{chart.OPENS}\nold\n{chart.CLOSES}\nafter"
    shown = chart.markdown(CONTENT)
    assert "| LSTM | 1.40 × | ≥ 1.30 × | pass |" in shown
    assert "(torch 2)" in shown
    new = chart.replaced(page, shown)
    assert new == f"before\n{chart.OPENS}\n{shown}\n{chart.CLOSES}\nafter"
    assert chart.replaced(new, shown) == new
    with pytest.raises(SystemExit, match="the page needs one"):
        chart.replaced("nothing", shown)
