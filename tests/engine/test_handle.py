"""Models that are kept in memory."""

from xgeoml.engine import handle


def test_the_model_that_none_asked_for_longest_is_dropped(monkeypatch):
    monkeypatch.setattr(handle, "_loaded", {})
    monkeypatch.setattr(handle, "_MOST_LOADED", 2)
    made = []

    def ask(key):
        return handle._once(key, lambda: made.append(key) or key)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert ask(key) == key
    assert made == ["a", "b", "c", "b"]
