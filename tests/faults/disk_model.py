"""A disk as a power cut leaves it: what a process did to its files, read from `strace`, less what was not made durable.

The bytes of a file are durable with `fsync` of the file, the names in a directory with `fsync` of the directory, and
nothing else is. Of the rest a cut keeps what it likes: of the writes any, of the changes of names the first so many.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,ftruncate,truncate,fallocate,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,sendfile,copy_file_range"
)
"""Everything that may change a file; what the model does not know stops the replay."""

_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (\d+)")
_HEX = re.compile(r'(["<])((?:\\x[0-9a-f]{2})*)[">]')


@dataclass(frozen=True, slots=True)
class Call:
    """A call that succeeded. `texts`: its strings and the paths of its descriptors, in order; `rest`: without them."""

    name: str
    texts: list[bytes]
    rest: list[str]


def calls(log: Path) -> Iterator[Call]:
    """What `strace -f -y -xx -e trace=CALLS` has written, calls that failed left out."""
    with log.open(encoding="ascii") as lines:
        for line in lines:
            if "resumed>" in line or "unfinished" in line:
                raise AssertionError(f"two threads at once cannot be replayed: {line[:200]}")
            found = _CALL.match(line)
            if found is not None:
                texts = [bytes.fromhex(each[2].replace("\\x", "")) for each in _HEX.finditer(found[2])]
                yield Call(found[1], texts, [each.strip() for each in _HEX.sub("", found[2]).split(",")])


Change = tuple[int, bytes] | int
"""Bytes at an offset, or a new length."""


@dataclass(slots=True, eq=False)
class File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        self.durable = self.content(self.pending)
        self.pending = []

    def content(self, changes: Iterable[Change]) -> bytearray:
        content = bytearray(self.durable)
        for change in changes:
            if isinstance(change, int):
                del content[change:]
                content.extend(bytes(change - len(content)))
            else:
                offset, data = change
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(data)] = data
        return content


Entry = File | None
"""What a name stands for; None for a directory."""
Naming = list[tuple[str, Entry, bool]]
"""Names that change together: which, what for, and whether it is there."""


class Disk:
    """The files below `root` as the calls leave them, and as a cut would."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, Entry] = {self._root: None}
        self._durable: dict[str, Entry] = {self._root: None}
        self._pending: defaultdict[str, list[Naming]] = defaultdict(list)
        self._written: defaultdict[str, int] = defaultdict(int)

    def apply(self, call: Call) -> bool:
        """:returns: whether the call concerned these files."""
        paths = [text.decode("utf-8", "replace") for text in call.texts[:2]]
        match call.name:
            case "openat":
                path = paths[1]
                concerns = self._has(path)
                if concerns:
                    self._open(path, call.rest[2])
            case "rename" | "unlink" | "mkdir":
                concerns = self._has(paths[0])
                if concerns:
                    self._rename(call.name, paths)
            case "write" | "pwrite64" | "ftruncate" | "fsync" | "fdatasync":
                concerns = self._has(paths[0]) and paths[0] in self._names
                if concerns:
                    self._change(call, paths[0])
            case _:
                concerns = any(map(self._has, paths))
                assert not concerns, f"the model does not know {call.name}"
        return concerns

    def now(self, path: Path) -> bytes:
        """A file as the process sees it."""
        file = self._names[str(path)]
        assert file is not None
        return bytes(file.content(file.pending))

    def cut(self, target: Path, dice: random.Random, luck: float) -> None:
        """Put into `target` what a power cut now would leave; `luck`: the share kept of what was not durable."""
        names = dict(self._durable)
        for namings in self._pending.values():
            kept = sum(1 for _ in iter(lambda: dice.random() < luck, False))
            _apply_namings(names, namings[:kept])
        contents: dict[int, bytes] = {}
        for path, file in sorted(names.items(), key=lambda item: item[0]):
            place = target / path[len(self._root) :].lstrip("/")
            if file is None and place.parent.exists():
                place.mkdir(exist_ok=True)
            elif file is not None and place.parent.exists():
                lucky = (change for change in file.pending if dice.random() < luck)
                place.write_bytes(contents.setdefault(id(file), bytes(file.content(lucky))))

    def _has(self, path: str) -> bool:
        # The index of the write-ahead log is made anew after every start of the machine.
        return (path == self._root or path.startswith(f"{self._root}/")) and not path.endswith("-shm")

    def _open(self, path: str, flags: str) -> None:
        if "O_CREAT" in flags and path not in self._names:
            self._name([(path, File(), True)])
        file = self._names.get(path)
        if file is not None and "O_TRUNC" in flags:
            file.pending.append(0)
        if file is not None and ("O_WRONLY" in flags or "O_RDWR" in flags):
            self._written[path] = len(file.content(file.pending)) if "O_APPEND" in flags else 0

    def _rename(self, name: str, paths: list[str]) -> None:
        if name == "mkdir":
            self._name([(paths[0], None, True)])
        elif name == "unlink":
            self._name([(paths[0], self._names[paths[0]], False)])
        else:
            self._name([(paths[0], None, False), (paths[1], self._names[paths[0]], True)])

    def _change(self, call: Call, path: str) -> None:
        file = self._names[path]
        if call.name in ("fsync", "fdatasync"):
            if file is not None:
                file.sync()
            else:
                _apply_namings(self._durable, self._pending.pop(path, []))
            return
        assert file is not None
        if call.name == "ftruncate":
            file.pending.append(int(call.rest[1]))
        elif call.name == "pwrite64":
            file.pending.append((int(call.rest[3]), call.texts[1]))
        else:
            file.pending.append((self._written[path], call.texts[1]))
            self._written[path] += len(call.texts[1])

    def _name(self, naming: Naming) -> None:
        _apply_namings(self._names, [naming])
        self._pending[str(Path(naming[-1][0]).parent)].append(naming)


def _apply_namings(names: dict[str, Entry], namings: Iterable[Naming]) -> None:
    for naming in namings:
        for path, entry, is_there in naming:
            if is_there:
                names[path] = entry
            else:
                names.pop(path, None)
