from __future__ import annotations

from tests.unit.algorithm.programs import run

BEGIN = """
import os
from waykeep.algorithm import libc, seccomp
"""


def test_only_the_named_descriptors_can_be_written_to() -> None:
    program = """
    copies = [os.dup(1) for _ in range(3)]
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.restrict([1, copies[1]])
    said = []
    for each in copies:
        try:
            os.write(each, b"")
            said.append("written")
        except OSError as error:
            said.append(str(error.errno))
    os.write(1, " ".join(said).encode())
    os._exit(0)
    """
    assert run(BEGIN + _flat(program)) == "1 written 1"


def test_a_library_that_is_not_there_is_named() -> None:
    program = """
    from waykeep.errors import AlgorithmError
    seccomp._LIBRARY = "libseccomp-of-nobody.so.9"
    try:
        seccomp.prepare()
    except AlgorithmError as error:
        print(error.rule, "|", error.message, "|", error.hint)
    """
    said = run(BEGIN + _flat(program))
    assert said == ("sandbox-seccomp-missing | found no libseccomp-of-nobody.so.9 | apt-get install libseccomp2\n")


def test_a_process_that_could_gain_privileges_gets_no_filter() -> None:
    program = """
    from waykeep.errors import AlgorithmError
    libc.drop_capabilities()
    seccomp._library().seccomp_attr_set.argtypes = None
    import ctypes
    real = seccomp._library().seccomp_load
    try:
        # libseccomp sets no_new_privs by itself; SCMP_FLTATR_CTL_NNP (3) switched off leaves it to us.
        make = seccomp._library().seccomp_init
        def without(action):
            context = make(action)
            seccomp._library().seccomp_attr_set(ctypes.c_void_p(context), 3, ctypes.c_uint32(0))
            return context
        seccomp._library().seccomp_init = without
        seccomp.restrict([1, 2])
        print("loaded")
    except AlgorithmError as error:
        print(error.rule)
    """
    assert run(BEGIN + _flat(program)) == "sandbox-seccomp-missing\n"


def _flat(program: str) -> str:
    return "\n".join(line[4:] for line in program.splitlines())
