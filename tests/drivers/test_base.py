"""From hashes to numbers, without a database."""

from __future__ import annotations

from agent.model.reading import BadRow, Digest
from drivers.base import digest_of_keys, signed64, split_hashes


def test_a_hash_becomes_its_first_48_and_last_64_bits() -> None:
    top, middle, last = "ffffffffffff", "abcd", "8000000000000001"
    ((key, sum48, xor64, *values),), bad = split_hashes([(7, top + middle + last, "a", None)])
    assert (key, sum48, xor64, values) == (7, 2**48 - 1, -(2**63) + 1, ["a", None])
    assert bad == []


def test_rows_leave_in_key_order_whatever_the_server_did() -> None:
    rows = [(9, "0" * 32), (-3, "0" * 32), (4, "0" * 32)]
    assert [row[0] for row in split_hashes(rows)[0]] == [-3, 4, 9]


def test_a_row_the_server_could_not_hash_is_bad_and_the_rest_is_not() -> None:
    good, bad = split_hashes([(1, None, "x"), (2, "0" * 31 + "1", "y")])
    assert good == [(2, 0, 1, "y")]
    assert bad == [BadRow(1, "row.too_large")]


def test_64_bits_are_read_with_their_sign() -> None:
    assert [signed64(n) for n in (0, 2**63 - 1, 2**63, 2**64 - 1)] == [0, 2**63 - 1, -(2**63), -1]


def test_key_digests_add_low_bits_and_mix_whole_keys() -> None:
    assert digest_of_keys([]) == Digest(0, 0, 0)
    assert digest_of_keys([2**48 + 1, 2, 2**62]) == Digest(3, 3, 2**48 ^ 3 ^ 2**62)
