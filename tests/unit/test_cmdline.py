"""Editing and reading a kernel command line: one line, its order kept, the last word counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bramble.roles.boot.cmdline import Desired, edited, is_one_line, missing, tokens
from tests.unit.looks import recorded

FRESH = (
    "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 "
    "fsck.repair=yes rootwait\n"
)
WISH = Desired(flags={"cgroup_enable=memory": "cgroup_disable=memory"}, values={"psi": "1"})

WORD = some.text("abcxyz=.,-0123456789_:/", min_size=1, max_size=12)
QUOTED = some.text("abc =", max_size=8).map(lambda value: f'dyndbg="{value}"')
OURS = some.sampled_from(
    [
        *("psi=0", "psi=1", "psi", "cgroup_enable=memory", "cgroup_disable=memory"),
        *("cgroup_enable=cpu", "cgroup_disable=cpu,memory", "cgroup_enable=memory,cpu"),
    ]
)
LINE = some.lists(some.one_of(WORD, QUOTED, OURS), max_size=8).map(" ".join)
TEXT = some.lists(LINE, max_size=3).flatmap(
    lambda lines: some.sampled_from(["\n".join(lines), "\n".join(lines) + "\n", "\r\n".join(lines)])
)


def test_a_fresh_line_gets_the_tokens_at_its_end():
    assert edited(FRESH, WISH) == f"{FRESH.rstrip()} cgroup_enable=memory psi=1\n"


def test_a_text_without_an_end_of_line_gets_none():
    assert edited("root=a", WISH) == "root=a cgroup_enable=memory psi=1"


def test_a_value_is_replaced_in_its_place_and_given_once():
    assert edited("a psi=0 b psi=2\n", Desired(values={"psi": "1"})) == "a psi=1 b\n"


def test_a_flag_leaves_others_of_its_name_alone():
    found = edited("cgroup_enable=cpuset root=a\n", WISH)
    assert found == "cgroup_enable=cpuset root=a cgroup_enable=memory psi=1\n"


def test_a_token_that_undoes_a_flag_goes():
    assert edited("cgroup_disable=memory root=a psi=1\n", WISH) == (
        "root=a psi=1 cgroup_enable=memory\n"
    )


def test_what_undoes_a_flag_in_a_list_is_seen_and_taken_out_of_it():
    line = "root=a psi=1 cgroup_enable=memory cgroup_disable=cpu,memory,io"
    assert missing(line, WISH) == ("cgroup_enable=memory",)
    assert edited(f"{line}\n", WISH) == "root=a psi=1 cgroup_enable=memory cgroup_disable=cpu,io\n"


def test_a_flag_that_is_given_in_a_list_is_given():
    line = "root=a psi=1 cgroup_enable=cpuset,memory"
    assert missing(line, WISH) == ()
    assert edited(f"{line}\n", WISH) == f"{line}\n"


def test_a_second_line_goes_and_is_not_joined():
    assert edited("root=a\npsi=1\n", WISH) == "root=a cgroup_enable=memory psi=1\n"


def test_an_ending_of_windows_goes_with_the_first_edit_and_a_quoted_value_stays_whole():
    assert edited('dyndbg="a b" root=a\r\n', WISH) == (
        'dyndbg="a b" root=a cgroup_enable=memory psi=1\n'
    )


@pytest.mark.parametrize("empty", ["", "\n", " \n\n"])
def test_a_file_with_nothing_to_boot_from_is_left_alone(empty):
    assert edited(empty, WISH) == empty


@given(TEXT)
def test_editing_twice_is_editing_once(text):
    once = edited(text, WISH)
    assert edited(once, WISH) == once


@given(TEXT)
def test_what_is_edited_is_one_line_with_everything_in_force(text):
    found = edited(text, WISH)
    if text.strip():
        assert is_one_line(found)
        assert missing(found, WISH) == ()


@given(TEXT)
def test_all_other_tokens_stay_in_their_order(text):
    def others(line):
        names = ("psi", "cgroup_enable=memory", "cgroup_disable=memory")
        single = [
            f"{name}{equals}{part}"
            for name, equals, value in (token.partition("=") for token in tokens(line))
            for part in (value.split(",") if name.startswith("cgroup_") else [value])
        ]
        return [t for t in single if t not in names and not t.startswith("psi=")]

    first = next((line for line in text.split("\n") if line.strip()), "")
    assert others(edited(text, WISH)) == others(first)


@given(TEXT)
def test_no_wish_changes_no_single_line(text):
    if is_one_line(text):
        assert edited(text, Desired()) == text


def test_the_running_kernels_line_is_read_as_the_kernel_does():
    pi4 = recorded("cmdline.pi4-bookworm-arm64.txt")
    assert missing(pi4, WISH) == ("cgroup_enable=memory", "psi=1")
    assert missing(f"cgroup_disable=memory {pi4} cgroup_enable=memory psi=1", WISH) == ()
    assert missing(f"psi=1 cgroup_enable=memory {pi4} cgroup_disable=memory", WISH) == (
        "cgroup_enable=memory",
    )
    assert missing("psi=1 cgroup_enable=memory psi=0", WISH) == ("psi=1",)
    assert missing("psi=10 cgroup_enable=memory2", WISH) == WISH.tokens


@pytest.mark.parametrize(
    ("text", "one"),
    [("a b", True), ("a\n", True), ("a\n\n", False), ("\na\n", False), ("", False), (" \n", False)],
)
def test_one_line_is_one_line(text, one):
    assert is_one_line(text) is one
