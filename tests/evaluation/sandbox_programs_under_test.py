"""Small problems and hostile programs for the sandbox's tests."""

from __future__ import annotations

from dataclasses import dataclass

from polymlops.evaluation.sandbox import Program

CHECK_SORT = """
def check(candidate):
    assert candidate([3, 1, 2]) == [1, 2, 3]
    assert candidate([]) == []
"""
GOOD = Program("def f(xs):\n    return sorted(xs)\n", CHECK_SORT, "f")
WRONG = Program("def f(xs):\n    return xs\n", CHECK_SORT, "f")
SECRET = "SECRET-5521"
CHECK_SECRET = f"def check(candidate):\n    assert candidate() == {SECRET!r}\n"
CHECK_ONE = "def check(candidate):\n    assert candidate() == 1\n"
ANY_LIMIT = ("failed", "memory", "timed_out")  # which one a huge value meets first depends on the machine


@dataclass(frozen=True)
class Attack:
    """A program that tries something, and the verdicts that are right for it; passed never is."""

    name: str
    source: str
    tests: str = CHECK_ONE
    verdicts: tuple[str, ...] = ("failed",)

    @property
    def program(self) -> Program:
        return Program(self.source, self.tests, "f")


FIND_IN_MEMORY = """
import gc, re, sys
def f():
    marker = "SECRET" + "-"
    seen, todo = set(), [*gc.get_objects(), *sys.modules.values()]
    frame = sys._getframe()
    while frame:
        todo += [frame.f_locals, frame.f_globals, frame.f_code.co_consts]
        frame = frame.f_back
    for thing in todo:
        for inner in (thing, *(gc.get_referents(thing) if not isinstance(thing, str) else ())):
            if id(inner) in seen:
                continue
            seen.add(id(inner))
            found = re.search(marker + r"[0-9]+", inner) if isinstance(inner, str) else None
            if found:
                return found.group()
    return "nothing"
"""
FIND_IN_FILES = """
import os
def f():
    for folder, _, names in os.walk("/"):
        for name in names:
            try:
                with open(os.path.join(folder, name)) as file:
                    text = file.read(10000)
            except (OSError, ValueError):
                continue
            if "SECRET" + "-" in text:
                return text[text.index("SECRET" + "-"):][:11]
    return "nothing"
"""
EQUALS_ALL = """
class Yes({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __hash__(self): return 0
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __sub__(self, other): return self
    __rsub__ = __add__ = __radd__ = __sub__
    def __abs__(self): return self
    def __contains__(self, other): return True
    def __float__(self): return 1.0
def f(): return Yes()
"""
CHECK_CLOSE = "def check(candidate):\n    assert abs(candidate() - 1) < 1e-6\n"
CHECK_CONTAINS = "def check(candidate):\n    assert 5 in candidate()\n"
CHECK_ALL = (
    "def check(candidate):\n    assert all(candidate(x) == x + 1 for x in range(9)) and len([candidate(1)]) == 1\n"
)
CHECK_MAP = "def check(candidate):\n    assert all(map(lambda x: candidate() == x, range(9)))\n"
CHECK_SWALLOW = """
def check(candidate):
    try:
        candidate()
    except:
        pass
"""
PATCHED = """
import builtins
builtins.all = builtins.isinstance = lambda *_: True
builtins.len = lambda _: 1
builtins.print = builtins.sorted = lambda *_: None
builtins.__build_class__ = None
def f(x): return 0
"""
CALL_LIBC = """
import ctypes
def f():
    libc = ctypes.CDLL(None, use_errno=True)
    {body}
"""
WRITE_EVERYWHERE = """
import os
def f():
    for descriptor in range(64):
        try:
            os.write(descriptor, {data})
        except OSError:
            pass
    return 0
"""
FORGED_REPLIES = """
import os, sys
frame = sys._getframe()
while "self" not in frame.f_locals:
    frame = frame.f_back
channel = frame.f_locals["self"]._channel
def f():
    replies = (b"t\\x03\\0\\0\\0s\\x04\\0\\0\\0sameT" + b"i\\x01\\0\\0\\x009", b"h" * 40, b"", b"l\\1\\0\\0\\0" * 9999)
    for reply in replies:
        os.write(channel, len(reply).to_bytes(4, "little") + reply)
"""
DEEP_FOLDERS = """
import os
def f():
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.symlink("/", "link")
    os.chmod(".", 0)
    os.chmod("/tmp", 0)
    return 0
"""
DELETE_FOLDER = """
import os, shutil
def f():
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    os.rmdir(os.getcwd())
    return 1
"""
IGNORE_SIGNALS = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def f():
    while True:
        pass
"""

ATTACKS = (
    Attack("memory for the expected value", FIND_IN_MEMORY, CHECK_SECRET),
    Attack("files for the expected value", FIND_IN_FILES, CHECK_SECRET),
    Attack("equals everything", EQUALS_ALL.format(base="object")),
    Attack("equals everything as a number", EQUALS_ALL.format(base="int")),
    Attack("equals everything as a list", EQUALS_ALL.format(base="list")),
    Attack("close to everything", EQUALS_ALL.format(base="object"), CHECK_CLOSE),
    Attack("contains everything", EQUALS_ALL.format(base="object"), CHECK_CONTAINS),
    Attack("patched builtins", PATCHED, CHECK_ALL),
    Attack("ends a loop of the test", "def f(): raise StopIteration\n", CHECK_MAP),
    Attack("sys.exit at load", "import sys\nsys.exit(0)\n"),
    Attack("sys.exit in the call", "import sys\ndef f(): sys.exit(0)\n", CHECK_ONE),
    Attack("os._exit at load", "import os\nos._exit(0)\n"),
    Attack("os._exit in the call", "import os\ndef f(): os._exit(0)\n"),
    Attack("os._exit in a test that swallows", "import os\ndef f(): os._exit(0)\n", CHECK_SWALLOW),
    Attack("SystemExit at load", "raise SystemExit\n"),
    Attack("prints passed", 'def f():\n    print("passed", flush=True)\n    return 0\n'),
    Attack("writes passed to all descriptors", WRITE_EVERYWHERE.format(data='b"passed"')),
    Attack("a message that announces 4 GB", WRITE_EVERYWHERE.format(data='b"\\xff" * 4'), CHECK_SWALLOW),
    Attack(
        "catches the timeout",
        "def f():\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n",
        verdicts=("timed_out",),
    ),
    Attack("ignores signals", IGNORE_SIGNALS, verdicts=("timed_out",)),
    Attack("fork bomb", "import os\ndef f():\n    while True: os.fork()\n", verdicts=("blocked",)),
    Attack(
        "thread bomb",
        "import threading, time\ndef f():\n    while True: threading.Thread(target=time.sleep, args=(99,)).start()\n",
    ),
    Attack("a program", "import os\ndef f(): return os.system('true') + 1\n", verdicts=("failed", "blocked")),
    Attack("3 GiB of memory", "def f(): return len(bytearray(3 << 30))\n", verdicts=("memory",)),
    Attack("1 GiB file", "def f():\n    with open('big', 'wb') as file: file.truncate(1 << 30)\n    return 1\n"),
    Attack(
        "1 GiB in files",
        "def f():\n    for n in range(256):\n        open(str(n), 'wb').write(bytes(4 << 20))\n    return 1\n",
        verdicts=ANY_LIMIT,
    ),
    Attack(
        "kills its parent", "import os\ndef f():\n    os.kill(os.getppid(), 9)\n    return 1\n", verdicts=("blocked",)
    ),
    Attack("kills all", "import os\ndef f():\n    os.kill(-1, 9)\n    return 1\n", verdicts=("blocked",)),
    Attack("kills its group", "import os\ndef f():\n    os.kill(0, 9)\n    return 1\n", verdicts=("blocked",)),
    Attack(
        "parent's memory by /proc",
        "import os\ndef f():\n    open(f'/proc/{os.getppid()}/mem', 'r+b').write(b'x')\n    return 1\n",
        verdicts=("failed", "blocked"),
    ),
    Attack(
        "parent's memory by ptrace", CALL_LIBC.format(body="return libc.ptrace(16, 1, 0, 0) + 1"), verdicts=("blocked",)
    ),
    Attack(
        "parent's memory by process_vm_writev",
        CALL_LIBC.format(body="return libc.process_vm_writev(1, None, 0, None, 0, 0) + 1"),
        verdicts=("blocked",),
    ),
    Attack(
        "mount by ctypes",
        CALL_LIBC.format(body="return libc.mount(b'n', b'/tmp', b'tmpfs', 0, 0) + 1"),
        verdicts=("blocked",),
    ),
    Attack(
        "new namespaces by ctypes", CALL_LIBC.format(body="return libc.unshare(0x10000000) + 1"), verdicts=("blocked",)
    ),
    Attack(
        "reloaded os",
        "import importlib, os, posix\nimportlib.reload(os)\ndef f():\n    posix.fork()\n    return 1\n",
        verdicts=("blocked",),
    ),
    Attack(
        "deep recursion",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(n=0): return f(n + 1) + 1\n",
        verdicts=("failed", "memory", "timed_out"),
    ),
    Attack("300 MB of exception text", "def f(): raise ValueError('x' * 300_000_000)\n", verdicts=ANY_LIMIT),
    Attack("300 MB of output", "def f():\n    print('x' * 300_000_000)\n    return 0\n", verdicts=ANY_LIMIT),
    Attack("300 MB of value", "def f(): return 'x' * 300_000_000\n", verdicts=ANY_LIMIT),
    Attack("value without end", "def f():\n    xs = []\n    xs.append(xs)\n    return xs\n"),
    Attack(
        "iterator without end",
        "import itertools\ndef f(): return itertools.count()\n",
        CHECK_CONTAINS.replace("5", "-1"),
        ("timed_out",),
    ),
    Attack("deletes its folder", DELETE_FOLDER, verdicts=("failed", "blocked")),
    Attack("deep folders without rights", DEEP_FOLDERS),
    Attack(
        "code in the returned value",
        "import os\nclass R:\n    def __reduce__(self): return (os._exit, (0,))\ndef f(): return R()\n",
    ),
    Attack("a signal without a name", "import os\ndef f(): os.kill(os.getpid(), 40)\n"),
    Attack("a signal of the kernel's", "import os\ndef f(): os.kill(os.getpid(), 31)\n", verdicts=("blocked",)),
    Attack("replies that are none", FORGED_REPLIES, CHECK_SWALLOW),
    Attack("a code object", "def f(): return f.__code__\n"),
    Attack(
        "hostile class of exception", "class E(Exception):\n    def __str__(self): raise SystemExit\ndef f(): raise E\n"
    ),
)
