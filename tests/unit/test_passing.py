"""A file goes through a fleet as through a chain; radios come one after another."""

import random

import pytest

from bramble.models.swarm import MOST_GIVERS, From, Member, Origin, Refused, Swarm


def member(name, state="needs", *, wireless=False, there_bytes=0, sized=True):
    return Member(name, wireless, there_bytes, sized, state)


def swarm(*members):
    made = Swarm()
    for one in members:
        made.expect(one)
    return made


def choose(swarm, name, *tried, patient=True):
    return swarm.choose(name, tried, patient=patient)


def test_one_host_reads_the_origin_and_each_takes_from_the_one_before():
    fleet = swarm(*(member(f"n{n}") for n in range(1, 6)))
    assert choose(fleet, "n3") == Origin()
    assert choose(fleet, "n1") == From(("n3",))
    assert choose(fleet, "n5") == From(("n1", "n3"))
    assert choose(fleet, "n2") == From(("n5", "n1", "n3"))
    assert choose(fleet, "n4") == From(("n2", "n5", "n1"))
    assert MOST_GIVERS == 3


def test_hosts_that_have_it_each_begin_a_chain_and_nobody_reads_the_origin():
    fleet = swarm(member("a", "has"), member("b", "has"), *(member(f"n{n}") for n in range(4)))
    chosen = [choose(fleet, f"n{n}").givers[0] for n in range(4)]
    assert chosen == ["a", "b", "n0", "n1"]


def test_a_file_of_unknown_size_is_passed_on_when_it_is_whole_to_one_at_a_time():
    fleet = swarm(*(member(f"n{n}", sized=False) for n in range(4)))
    assert choose(fleet, "n0") == Origin()
    assert [choose(fleet, f"n{n}") for n in (1, 2, 3)] == [None] * 3
    fleet.settle("n0", "has")
    assert choose(fleet, "n1") == From(("n0",))
    assert choose(fleet, "n2") is None
    fleet.settle("n1", "has")
    assert {choose(fleet, name).givers for name in ("n2", "n3")} == {("n0",), ("n1",)}


def test_the_origin_is_left_to_whoever_has_most_of_it_or_a_wire_but_not_for_ever():
    fleet = swarm(member("radio", wireless=True, there_bytes=9), member("n1"), member("n2"))
    fleet.members["n2"].there_bytes = 5
    assert choose(fleet, "radio") is None
    assert choose(fleet, "n1") is None
    assert choose(fleet, "n1", patient=False) == Origin()
    fleet.settle("n1", "needs")
    assert choose(fleet, "n2") == Origin()


def test_a_host_that_failed_before_is_not_waited_for():
    fleet = swarm(member("n1"), member("n2", there_bytes=5))
    fleet.gone = {"n2"}
    assert choose(fleet, "n1") == Origin()
    assert fleet.needs_more("n1") == []


def test_radios_come_one_after_another_and_hold_up_no_wire():
    radios = [member(f"w{n}", wireless=True) for n in (1, 2)]
    fleet = swarm(*radios, member("n1"), member("n2"), member("n3"))
    assert choose(fleet, "n1") == Origin()
    assert choose(fleet, "w1") == From(("n1",))
    assert choose(fleet, "w2") is None
    assert choose(fleet, "n2") == From(("n1",))
    assert choose(fleet, "n3") == From(("n2", "n1"))
    fleet.settle("w1", "has")
    assert choose(fleet, "w2").givers[0] in ("n1", "n2", "n3")


def test_a_radio_gives_where_there_is_no_wire():
    fleet = swarm(member("w1", "has", wireless=True), member("w2", wireless=True), member("n1"))
    assert choose(fleet, "w2") == From(("w1",))
    assert choose(fleet, "n1") == From(("w1",))


def test_a_host_whose_giver_failed_takes_from_another_and_never_from_whom_it_gives_to():
    fleet = swarm(*(member(f"n{n}") for n in range(1, 5)))
    for n in range(1, 5):
        choose(fleet, f"n{n}")
    fleet.settle("n1", "out")
    fleet.settle("n2", "needs")
    assert choose(fleet, "n2", "n1") == Origin()
    fleet.settle("n3", "needs")
    assert choose(fleet, "n3", "n2", "n1") == Origin()


def test_a_host_that_no_peer_reaches_reads_the_origin_itself():
    fleet = swarm(member("n1", "has"), member("n2"))
    assert choose(fleet, "n2") == From(("n1",))
    fleet.settle("n2", "needs")
    assert choose(fleet, "n2", "n1") == Origin()


def test_a_host_that_reached_four_in_vain_does_not_try_forty():
    fleet = swarm(*(member(f"n{n}", "has") for n in range(9)), member("new"))
    tried = []
    for _ in range(4):
        (giver,) = choose(fleet, "new", *tried).givers
        fleet.settle("new", "needs")
        tried.append(giver)
    assert choose(fleet, "new", *tried) == Origin()


def test_a_host_that_cannot_pass_on_is_nobody_s_giver():
    fleet = swarm(member("n1", "has"), member("n2"))
    fleet.members["n1"].passes = False
    assert choose(fleet, "n2") == Origin()


def test_an_origin_that_gives_nothing_is_asked_briefly_and_not_by_all():
    fleet = swarm(*(member(f"n{n}") for n in range(1, 9)))
    for number in range(1, 6):
        assert choose(fleet, f"n{number}") == Origin(brief=number > 2)
        fleet.settle(f"n{number}", "out")
        fleet.unread[f"n{number}"] = "404"
    assert choose(fleet, "n6") == Refused(
        "n1, n2, n3, n4, n5 could not have it, so it is not tried once more: 404"
    )


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_every_host_that_lives_gets_it_and_no_giver_has_two_takers(seed):
    """Hosts come, fail and finish in any order: nobody waits when nothing is under way."""
    dice = random.Random(seed)
    names = [f"n{n}" for n in range(dice.randrange(2, 9))]
    fleet = swarm(
        *(
            member(
                name,
                dice.choice(["needs", "needs", "has"]),
                wireless=dice.random() < 0.3,
                there_bytes=dice.randrange(3),
                sized=dice.random() < 0.7,
            )
            for name in names
        )
    )
    tried = {name: set() for name in names}
    needy = [name for name in names if fleet.members[name].state == "needs"]
    for _ in range(2000):
        waiting = [name for name in needy if fleet.members[name].state == "needs"]
        moved = False
        for name in dice.sample(waiting, len(waiting)):
            choice = choose(fleet, name, *tried[name], patient=False)
            moved |= choice is not None
            if isinstance(choice, From):
                tried[name].update(choice.givers)
                assert name not in choice.givers
        for giver in names:
            takers = [m for m in fleet.members.values() if m.source == giver and m.state == "takes"]
            assert len({m.wireless for m in takers}) == len(takers)
        assert sum(m.wireless and m.state == "takes" for m in fleet.members.values()) <= 1
        under_way = [name for name in needy if fleet.members[name].state == "takes"]
        if not under_way:
            assert not [name for name in needy if fleet.members[name].state == "needs"]
            break
        assert moved or under_way
        fleet.settle(dice.choice(under_way), dice.choice(["has", "has", "needs", "out"]))
    else:
        raise AssertionError("it did not come to an end")
    states = {fleet.members[name].state for name in needy}
    assert states <= {"has", "out"}
