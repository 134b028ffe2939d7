"""Torrents made and read without tbt: bencode, v1 and hybrid metainfo, and trees of files to share."""
import hashlib
import os
import random
from pathlib import Path

BLOCK = 16384


def bencode(x):
    if isinstance(x, bool):
        raise TypeError("bencode knows no truth")
    if isinstance(x, int):
        return b"i%de" % x
    if isinstance(x, str):
        x = x.encode("utf-8", "surrogateescape")
    if isinstance(x, bytes):
        return b"%d:%s" % (len(x), x)
    if isinstance(x, (list, tuple)):
        return b"l" + b"".join(map(bencode, x)) + b"e"
    keyed = {k.encode() if isinstance(k, str) else k: v for k, v in x.items()}
    return b"d" + b"".join(bencode(k) + bencode(keyed[k]) for k in sorted(keyed)) + b"e"


def bdecode(data):
    """Bytes to ints, bytes, lists and dicts with bytes as keys; ValueError for anything else or left over."""
    value, end = _decode(data, 0)
    if end != len(data):
        raise ValueError("bytes after the end")
    return value


def _decode(data, at):
    kind = data[at:at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1:end]), end + 1
    if kind in (b"l", b"d"):
        items, at = [], at + 1
        while data[at:at + 1] != b"e":
            item, at = _decode(data, at)
            items.append(item)
        at += 1
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2]))), at
    colon = data.index(b":", at)
    length = int(data[at:colon])
    if colon + 1 + length > len(data):
        raise ValueError("string cut short")
    return data[colon + 1:colon + 1 + length], colon + 1 + length


def noise(size, seed=0):
    """Bytes that look random and are the same each time."""
    return random.Random("%d-%d" % (size, seed)).randbytes(size)


def write_tree(root, files):
    """Make `root` hold exactly these: a dict of path -> bytes, or bytes for one file.  Returns the path."""
    root = Path(root)
    if isinstance(files, bytes):
        root.parent.mkdir(parents=True, exist_ok=True)
        root.write_bytes(files)
        return root
    for path, data in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return root


def list_tree(root):
    """Relative path -> path of every file below `root` (or of the one file that it is, as '')."""
    root = Path(root)
    if root.is_file():
        return {"": root}
    return {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_symlink() or not p.is_dir()}


def differences(one, other):
    """What is not the same in two trees, one text each; an empty list when they are equal."""
    a, b = list_tree(one), list_tree(other)
    found = ["%s: only in %s" % (name, one) for name in a.keys() - b.keys()]
    found += ["%s: only in %s" % (name, other) for name in b.keys() - a.keys()]
    for name in a.keys() & b.keys():
        if a[name].is_symlink() or b[name].is_symlink():
            found.append("%s: a symlink" % name)
        elif a[name].stat().st_size != b[name].stat().st_size:
            found.append("%s: %d and %d bytes" % (name, a[name].stat().st_size, b[name].stat().st_size))
        elif a[name].read_bytes() != b[name].read_bytes():
            found.append("%s: other bytes" % name)
    return found


def tree_equal(one, other):
    return not differences(one, other)


class Torrent:
    """A .torrent file at `path`, the dictionaries in it, and what follows from them."""

    def __init__(self, path, root):
        self.path = Path(path)
        self.root = root
        self.info = root["info"] if "info" in root else root[b"info"]
        self.path.write_bytes(bencode(root))
        self.info_hash = hashlib.sha1(bencode(self.info)).digest()
        self.hex = self.info_hash.hex()

    def _get(self, key, default=None):
        return self.info.get(key, self.info.get(key.encode(), default))

    @property
    def name(self):
        name = self._get("name")
        return name if isinstance(name, str) else os.fsdecode(name)

    @property
    def piece_length(self):
        return self._get("piece length")

    @property
    def size(self):
        if self._get("files") is None:
            return self._get("length")
        return sum(f.get("length", f.get(b"length")) for f in self._get("files"))

    @property
    def piece_count(self):
        return -(-self.size // self.piece_length)

    def piece_size(self, index):
        return min(self.piece_length, self.size - index * self.piece_length)

    @staticmethod
    def read(path):
        return Torrent(path, bdecode(Path(path).read_bytes()))


def piece_hashes(data, piece_length):
    return b"".join(hashlib.sha1(data[i:i + piece_length]).digest() for i in range(0, len(data), piece_length))


def make_torrent(content, out, piece_length=BLOCK * 2, announce=None, align=False, info=None, **root):
    """A v1 torrent of the file or folder `content`, written to `out`.

    announce: a URL, or a list of tiers.  align: pad files, so that files begin
    with a piece (BEP 47).  info, root: further keys of either dictionary."""
    content = Path(content)
    made = {"name": content.name, "piece length": piece_length, **(info or {})}
    if content.is_file():
        data = content.read_bytes()
        made["length"] = len(data)
    else:
        data, made["files"] = _files(content, piece_length, align)
    made["pieces"] = piece_hashes(data, piece_length)
    if isinstance(announce, list):
        root["announce-list"] = announce
    elif announce:
        root["announce"] = announce
    return Torrent(out, {**root, "info": made})


def _files(content, piece_length, align):
    chunks, files, size = [], [], 0
    for name, path in list_tree(content).items():
        gap = -size % piece_length if align and path.stat().st_size > 0 else 0
        if gap:
            files.append({"length": gap, "path": [".pad", str(gap)], "attr": "p"})
            chunks.append(bytes(gap))
        data = path.read_bytes()
        files.append({"length": len(data), "path": name.split("/")})
        chunks.append(data)
        size += gap + len(data)
    return b"".join(chunks), files


def content_bytes(content, torrent):
    """The content of a torrent as one string, pad files included."""
    if torrent._get("files") is None:
        return Path(content).read_bytes()
    parts = []
    for f in torrent._get("files"):
        if "p" in f.get("attr", ""):
            parts.append(bytes(f["length"]))
        else:
            parts.append(Path(content, *f["path"]).read_bytes())
    return b"".join(parts)


def _merkle_root(hashes, width, filler):
    level = hashes + [filler] * (width - len(hashes))
    while len(level) > 1:
        level = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]


def _power_of_two(count):
    return 1 << max(0, count - 1).bit_length()


def file_tree(content, piece_length):
    """(file tree, piece layers) of BEP 52 for a folder or a file."""
    tree, layers = {}, {}
    for name, path in list_tree(content).items():
        data = path.read_bytes()
        entry = {"length": len(data)}
        if data:
            leaves = [hashlib.sha256(data[i:i + BLOCK]).digest() for i in range(0, len(data), BLOCK)]
            if len(data) <= piece_length:
                entry["pieces root"] = _merkle_root(leaves, _power_of_two(len(leaves)), bytes(32))
            else:
                step = piece_length // BLOCK
                layer = [_merkle_root(leaves[i:i + step], step, bytes(32)) for i in range(0, len(leaves), step)]
                pad = _merkle_root([bytes(32)], step, bytes(32))
                entry["pieces root"] = _merkle_root(layer, _power_of_two(len(layer)), pad)
                layers[entry["pieces root"]] = b"".join(layer)
        place = tree
        for part in (name.split("/") if name else [Path(content).name]):
            place = place.setdefault(part, {})
        place[""] = entry
    return tree, layers


def make_hybrid(content, out, piece_length=BLOCK * 2, **kw):
    tree, layers = file_tree(content, piece_length)
    return make_torrent(content, out, piece_length, align=True, info={"meta version": 2, "file tree": tree},
                        **{"piece layers": layers}, **kw)


def make_v2_only(content, out, piece_length=BLOCK * 2, **root):
    tree, layers = file_tree(content, piece_length)
    info = {"name": Path(content).name, "piece length": piece_length, "meta version": 2, "file tree": tree}
    path = Path(out)
    path.write_bytes(bencode({**root, "info": info, "piece layers": layers}))
    return path
