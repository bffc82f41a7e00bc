from __future__ import annotations

from isoaudit.render.picture import picture, things


def shared(what: str, *keys: str, host: bool = False) -> dict[str, object]:
    return {"what": what, "with_host": host, "containers": list(keys)}


def test_nothing_shared_is_no_picture() -> None:
    assert picture([]) is None


def test_who_shares_alike_stands_together() -> None:
    drawn = picture(
        [
            shared("namespace-net", "a", "b", "c", host=True),
            shared("namespace-ipc", "b", "d"),
        ]
    )
    assert drawn is not None
    assert [node.keys for node in drawn.left] == [("a", "c"), ("b",), ("d",)]
    assert [node.text for node in drawn.right] == ["the host's net namespace", "one ipc namespace"]
    assert len(drawn.lines) == 4
    heights = [node.y for node in (*drawn.left, *drawn.right)]
    assert all(0 < height < drawn.height for height in heights)
    assert len(set(heights[:3])) == 3


def test_lines_end_where_labels_stand() -> None:
    drawn = picture([shared("namespace-net", "a", "b"), shared("namespace-user", "a", host=True)])
    assert drawn is not None
    assert {line.start for line in drawn.lines} == {node.y for node in drawn.left}
    assert {line.end for line in drawn.lines} == {node.y for node in drawn.right}
    assert {line.tone for line in drawn.lines} == {"open", "weak"}


def test_more_than_an_eye_can_follow_is_not_drawn() -> None:
    crowd = [shared(f"namespace-net{number}", f"a{number}", f"b{number}") for number in range(30)]
    assert picture(crowd) is None
    assert len(things(crowd)) == 30
