"""The token index: exact, for whole tokens and prefixes, whatever the number of runs and chunks."""

import numpy as np
import pyarrow as pa
import pytest

from tailrace.errors import Damaged
from tailrace.store.parts import index
from tailrace.store.parts.index import TokenIndex, TokenWriter


def write(path, blocks):
    writer = TokenWriter(path)
    for number, tokens in enumerate(blocks):
        writer.add(number, pa.array(sorted(tokens), pa.string()))
    writer.finish()
    return TokenIndex(path)


def random_blocks(rng, count):
    alphabet = ["a", "b", "ä", "本", "0", "_"]
    return [
        {"".join(rng.choice(alphabet, rng.integers(1, 14))) for _ in range(300)} | {"everywhere", f"only{number}"}
        for number in range(count)
    ]


@pytest.mark.parametrize("run_pairs", [200, 1000, 10**6])
def test_a_token_is_found_in_exactly_the_blocks_that_hold_it(tmp_path, monkeypatch, run_pairs):
    monkeypatch.setattr(index, "RUN_PAIRS", run_pairs)
    monkeypatch.setattr(index, "CHUNK_TOKENS", 64)
    blocks = random_blocks(np.random.default_rng(run_pairs), 9)
    found = write(tmp_path / "tokens", blocks)
    for token in set().union(*blocks):
        assert found.blocks(token).tolist() == [number for number, held in enumerate(blocks) if token in held]
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


@pytest.mark.parametrize("token", ["", "nowhere", "everywher", "everywhere1", "~", "ab"])
def test_a_token_that_is_not_there_is_in_no_block(tmp_path, monkeypatch, token):
    monkeypatch.setattr(index, "CHUNK_TOKENS", 4)
    found = write(tmp_path / "tokens", [{"everywhere", "abc", "b"}, {"everywhere", "x1", "x2", "x3"}])
    assert found.blocks(token).tolist() == []


@pytest.mark.parametrize("prefix", ["a", "ab", "本", "every", "everywhere", "only", "zz", "", "0_"])
def test_a_prefix_is_found_in_exactly_the_blocks_with_such_a_token(tmp_path, monkeypatch, prefix):
    monkeypatch.setattr(index, "CHUNK_TOKENS", 16)
    blocks = random_blocks(np.random.default_rng(5), 6)
    found = write(tmp_path / "tokens", blocks)
    assert found.blocks_of_prefix(prefix).tolist() == [
        number for number, held in enumerate(blocks) if any(token.startswith(prefix) for token in held)
    ]


def test_everything_comes_out_in_the_order_of_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "RUN_PAIRS", 500)
    blocks = random_blocks(np.random.default_rng(6), 5)
    found = [token for piece in write(tmp_path / "tokens", blocks).chunks() for token in piece.tokens.to_pylist()]
    assert found == sorted(set().union(*blocks))


def test_an_empty_index_answers(tmp_path):
    found = write(tmp_path / "tokens", [])
    assert found.blocks("a").tolist() == []
    assert found.blocks_of_prefix("a").tolist() == []


@pytest.mark.parametrize("place", [9, -30, -3])
def test_a_changed_byte_is_noticed(tmp_path, place):
    path = tmp_path / "tokens"
    write(path, random_blocks(np.random.default_rng(7), 2))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged):
        TokenIndex(path).blocks("everywhere")


def test_a_file_that_was_cut_is_noticed(tmp_path):
    path = tmp_path / "tokens"
    write(path, [{"a"}])
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(Damaged):
        TokenIndex(path).blocks("a")
