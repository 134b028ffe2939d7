"""A content of 20 pieces, and who seeds and fetches it."""
from fakepeer import BLOCK, fetch_piece
from lab import finish_equal

PIECE_LENGTH = 2 * BLOCK
PIECES = 20  # so that the bitfield has spare bits


class Swarm:
    """A content of 20 pieces, its torrent, and a tbt-client that seeds it."""

    def __init__(self, lab, size=PIECES * PIECE_LENGTH - 100):
        self.lab = lab
        self.content = lab.noise_file("source/thing", size)
        self.data = self.content.read_bytes()
        self.torrent = lab.torrent(self.content, PIECE_LENGTH)
        self.out = lab.path("out")

    def seed(self, *arguments, **kw):
        return self.lab.seed(self.torrent, self.content, *arguments, **kw)

    def leech(self, *peers, arguments=(), **kw):
        return self.lab.leech(self.torrent, self.out, *arguments, peers=peers, **kw)

    def seeder(self, number=2, **kw):
        return self.lab.seeder(self.torrent, self.data, host="127.0.0.%d" % number, **kw)

    def still_serves(self, client, source="127.0.0.77"):
        assert fetch_piece(client.port, self.torrent, 3, source=source, timeout=15) == self.data[3 * PIECE_LENGTH:4 * PIECE_LENGTH]

    def finish(self, leech, timeout=60):
        finish_equal(leech, self.content, self.out, timeout)
