"""What a hostile algorithm tries, as source; each ends in a row that says it worked.

``outside`` says that the same source does work without the sandbox, so that a refusal inside is the sandbox's doing
(the test runs it); the rest would hurt the machine, or needs privileges that not every tester has.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.hostile.sandbox_harness import DETOUR, ROW


@dataclass(frozen=True)
class Attack:
    body: str
    rule: str
    kind: str = ""
    outside: bool = False
    wall_s: int = 3

    @property
    def source(self) -> str:
        lines = "".join(f"    {line}\n" for line in self.body.strip("\n").split("\n"))
        return f"{DETOUR}\ndef run(tables, parameters):\n{lines}    return [{ROW}]\n"


def refused(body: str, kind: str = "PermissionError", *, outside: bool = True) -> Attack:
    """The kernel refuses a call, Python raises, nobody catches it."""
    return Attack(body, "run-failed", kind, outside)


def killed(body: str, *, outside: bool = False) -> Attack:
    """The kernel ends the process at the call."""
    return Attack(body, "run-died", outside=outside)


def raw(call: str) -> str:
    """A system call through ctypes that raises what Python would."""
    return f"""
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
if libc.syscall({call}) == -1:
    raise OSError(ctypes.get_errno(), "refused")
"""


MAP = """\
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
def area(protection):
    at = libc.mmap(None, ctypes.c_size_t(4096), protection, 0x22, -1, ctypes.c_long(0))
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "refused")
    return at
"""

ATTACKS = {
    # -- files -----------------------------------------------------------------------------------------------------
    "opens-a-file": refused('open("/etc/passwd").read()'),
    "creates-a-file": refused('os.close(os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR))'),
    "lists-a-folder": refused('os.listdir("/")'),
    "looks-whether-a-path-exists": refused('os.stat("/etc/passwd")'),
    "maps-anonymous-files": killed('os.memfd_create("code")', outside=True),
    "imports-code-from-disk": refused('sys.modules["importlib"].import_module("colorsys")', "ModuleNotFoundError"),
    "changes-its-root": killed('os.chroot("/")'),
    "mounts-a-file-system": killed(raw('165, b"none", b"/", b"proc", 0, None')),
    # -- the network -----------------------------------------------------------------------------------------------
    "opens-a-tcp-socket": refused("socket.socket().close()"),
    "opens-a-unix-socket": refused("socket.socket(socket.AF_UNIX).close()"),
    "opens-a-socket-pair": refused("socket.socketpair()"),
    "talks-to-the-kernel-over-netlink": refused("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()"),
    # -- processes -------------------------------------------------------------------------------------------------
    "forks": refused("if os.fork() == 0:\n    os._exit(0)"),
    "forks-past-libc": refused(raw("57"), outside=False),
    "spawns": refused('os.posix_spawn("/bin/true", ["true"], {})'),
    "runs-a-program": killed('os.execv("/bin/true", ["true"])'),
    "starts-a-thread": refused(
        'thread = sys.modules["threading"].Thread(target=print)\nthread.start()\nthread.join()', "RuntimeError"
    ),
    "starts-threads-through-a-library": killed(
        "import pyarrow as pa\nacero = sys.modules['pyarrow._acero']\n"
        "plan = acero.Declaration('table_source', acero.TableSourceNodeOptions(pa.table({'a': [1]})))\n"
        "plan.to_table(use_threads=True)",
        outside=True,
    ),
    "kills-another-process": refused("os.kill(1, 0)", outside=False),
    "kills-everybody": refused("os.kill(-1, 0)", outside=False),
    "stops-a-process-by-handle": killed("os.close(os.pidfd_open(os.getpid()))", outside=True),
    "changes-its-uid": refused("os.setuid(os.getuid())"),
    "makes-namespaces": killed(raw("272, 0x10000000")),
    # -- the memory of others --------------------------------------------------------------------------------------
    "reads-another-process-through-proc": refused('open("/proc/1/mem", "rb").read(1)', outside=False),
    "reads-its-own-memory-through-proc": refused('open("/proc/self/maps").read()'),
    "reads-another-process": killed(raw("310, 1, None, 0, None, 0, 0")),
    "writes-to-another-process": killed(raw("311, 1, None, 0, None, 0, 0")),
    "traces-its-parent": killed(raw("101, 16, os.getppid(), None, None")),
    "traces-itself": killed(raw("101, 0, 0, None, None"), outside=True),
    "shares-memory": killed(raw("29, 0, 4096, 0o1600")),
    # -- holes of the kernel ---------------------------------------------------------------------------------------
    "sets-up-io-uring": killed(raw("425, 1, ctypes.create_string_buffer(120)")),
    "loads-bpf": killed(raw("321, 0, None, 0")),
    "handles-page-faults": killed(raw("323, 0")),
    "adds-a-key": killed(raw("250, 0, -3, 1")),
    "calls-with-x32-numbers": killed(raw("0x40000000 + 39")),
    "puts-on-a-filter-of-its-own": killed(raw("317, 0, 0, None")),
    "makes-itself-readable": refused(raw("157, 4, 1, 0, 0, 0")),
    "maps-executable-memory": refused(MAP + "area(7)"),
    "makes-memory-executable": refused(
        MAP + "if libc.mprotect(ctypes.c_void_p(area(3)), 4096, 5):\n    raise OSError(ctypes.get_errno(), 'refused')"
    ),
    # -- more than its share ---------------------------------------------------------------------------------------
    "loops": Attack("while True: pass", "run-timeout"),
    "loops-inside-a-library": Attack("import itertools\nsum(itertools.repeat(0))", "run-timeout"),
    "loops-and-ignores-signals": Attack(
        'signal = sys.modules["signal"]\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass', "run-timeout"
    ),
    "loops-and-catches-everything": Attack(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "run-timeout"
    ),
    "sleeps": refused('sys.modules["time"].sleep(0.001)'),
    "waits-for-a-lock": killed(
        'lock = sys.modules["threading"].Lock()\nlock.acquire()\nlock.acquire(timeout=0.001)', outside=True
    ),
    "waits-for-an-event": refused('sys.modules["select"].select([], [], [], 0.001)'),
    "waits-for-a-signal": refused('sys.modules["signal"].sigwait({10})', outside=False),
    "takes-memory": Attack("bytearray(256 << 20)", "run-memory", outside=True),
    "takes-memory-bit-by-bit": Attack(
        "kept = []\nfor _ in range(200):\n    kept.append(bytes(1 << 20))", "run-memory", outside=True
    ),
    "takes-memory-through-numpy": Attack("import numpy\nnumpy.ones(1 << 25)", "run-memory", outside=True),
    "takes-memory-through-arrow": Attack(
        "import pyarrow\npyarrow.allocate_buffer(256 << 20)", "run-memory", outside=True
    ),
    "raises-its-memory-limit": refused(
        'resource = sys.modules["resource"]\nresource.setrlimit(resource.RLIMIT_AS, (1 << 50, 1 << 50))', "ValueError"
    ),
    "raises-its-time-limit": refused(
        'resource = sys.modules["resource"]\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))',
        "ValueError",
        outside=False,
    ),
    "recurses": Attack("return run(tables, parameters)", "run-failed", "RecursionError"),
    "recurses-without-a-limit": killed(
        "class Loop:\n    def __repr__(self): return repr(self)\nsys.setrecursionlimit(10**9)\nrepr(Loop())"
    ),
    # -- the pipes -------------------------------------------------------------------------------------------------
    "ends": killed("os._exit(0)"),
    "leaves": Attack("raise SystemExit(0)", "run-failed", "SystemExit"),
    "crashes": killed("ctypes.string_at(1)"),
    "aborts": killed("os.abort()"),
    "closes-its-pipes": killed("os.closerange(0, 1024)"),
    "opens-another-pipe": refused("os.pipe()"),
    "copies-a-descriptor": refused("os.dup(1)"),
    "waits-on-its-pipe": Attack(
        "for fd in range(64):\n    try: os.read(fd, 1)\n    except OSError: pass", "run-timeout", wall_s=1
    ),
}


def sends(payload: str, rule: str) -> tuple[str, str]:
    """One whole frame in place of the child's own answer."""
    return f"os.write(fd, frame({payload}))\nos._exit(0)", rule


RAW_ANSWERS = {
    # What goes into the pipe past the child's own code, and the rule of the front's refusal.
    # `fd` is the pipe to the front, `read_fd` that from it.
    "floods": ("while True: os.write(fd, bytes(1 << 16))", "run-answered-twice"),
    "floods-with-ones": ("while True: os.write(fd, b'\\xff' * (1 << 16))", "result-too-large"),
    "announces-too-much": ("os.write(fd, b'\\xff\\xff\\xff\\xff')", "result-too-large"),
    "writes-half-a-length": ("os.write(fd, b'\\0'); os._exit(0)", "run-died"),
    "writes-half-a-frame": ("os.write(fd, frame(b'\\x80')[:-1]); os._exit(0)", "run-died"),
    "writes-a-frame-and-keeps-the-pipe": ("os.write(fd, frame(b'\\x80')); os.read(read_fd, 1)", "run-timeout"),
    "answers-twice": ("os.write(fd, 2 * frame(pack({'rows': [ROW]}))); os._exit(0)", "run-answered-twice"),
    "answers-before-it-returns": ("os.write(fd, frame(pack({'rows': [ROW]})))", "run-answered-twice"),
    "writes-garbage": sends("b'\\xc1garbage'", "result-malformed"),
    "nests": sends("b'\\x81\\xa4rows' + b'\\x91' * 4000", "result-malformed"),
    "announces-many-empty-rows": sends("b'\\x81\\xa4rows\\xdc\\xff\\xff' + b'\\x80' * 4000", "result-malformed"),
    "adds-an-unknown-key": sends("pack({'rows': [ROW], 'more': 1})", "result-malformed"),
    "answers-with-a-float": sends("pack({'rows': [ROW | {'count': 1.5}]})", "result-malformed"),
    "answers-with-bytes": sends("pack({'rows': [ROW | {'mode': b'walk'}]})", "result-malformed"),
    "answers-beyond-a-range": sends("pack({'rows': [ROW | {'count': 2001}]})", "result-range"),
    "answers-with-a-free-word": sends("pack({'rows': [ROW | {'mode': '48.13'}]})", "result-range"),
    "answers-with-a-bool-for-an-integer": sends("pack({'rows': [ROW | {'count': True}]})", "result-type"),
    "answers-with-a-field-more": sends("pack({'rows': [ROW | {'home': 1}]})", "result-fields"),
    "answers-with-too-many-rows": sends("pack({'rows': [ROW] * 4})", "result-rows"),
    "says-an-error-of-its-own": sends("pack({'error': 'home-is-48-13'})", "run-failed"),
}

FORBIDDEN_RESULTS = {
    "no-list": ("None", "result-shape"),
    "a-tuple": (f"({ROW},)", "result-shape"),
    "rows-that-are-no-dicts": ("[1]", "result-shape"),
    "too-many-rows": (f"[{ROW}] * 4", "result-rows"),
    "a-field-missing": ('[{"done": True, "count": 1}]', "result-fields"),
    "a-field-more": (f"[{ROW} | {{'home': 1}}]", "result-fields"),
    "an-integer-for-a-bool": (f"[{ROW} | {{'done': 1}}]", "result-type"),
    "a-bool-for-an-integer": (f"[{ROW} | {{'count': True}}]", "result-type"),
    "a-float-for-an-integer": (f"[{ROW} | {{'count': 1.0}}]", "result-type"),
    "an-integer-of-numpy": (f"[{ROW} | {{'count': sys.modules['numpy'].int64(1)}}]", "result-type"),
    "an-integer-of-its-own": (f"[{ROW} | {{'count': type('Number', (int,), {{}})(1)}}]", "result-type"),
    "an-integer-for-a-word": (f"[{ROW} | {{'mode': 1}}]", "result-type"),
    "an-integer-too-large": (f"[{ROW} | {{'count': 2001}}]", "result-range"),
    "an-integer-too-small": (f"[{ROW} | {{'count': -1}}]", "result-range"),
    "an-integer-beyond-64-bits": (f"[{ROW} | {{'count': 2**80}}]", "result-range"),
    "a-word-that-is-not-declared": (f"[{ROW} | {{'mode': 'swim'}}]", "result-range"),
}
