"""A process that has imported TensorFlow and TFX, and forks one per request.

Importing them takes 6 to 9 s of CPU, a fork next to nothing. It is safe because the
server does nothing but import: no operation of TensorFlow has run, so that the only
other threads are those of OpenBLAS and jemalloc, which know what a fork is.

The text of this file is run by `python -c`, in the environment of any test, and needs
nothing but the standard library. `processes.ForkServer` is its client.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import types


def serve(path: str, modules: list[str]) -> dict | None:
    """Imports modules and forks a process per request, until standard input ends.

    Args:
      path: of the socket to listen at, in a folder of its own.
      modules: what to import.

    Returns:
      The request, in the process that is to carry it out; None at the end.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(path)
        server.listen()
        for name in modules:
            importlib.import_module(name)
        gc.freeze()  # A collection in a child would copy all pages.
        children = set()
        while True:
            ready, _, _ = select.select([server, sys.stdin], [], [], 1.0)
            # Waited for, so that their CPU time counts as that of the tests.
            children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
            if sys.stdin in ready:
                return None
            if server in ready:
                connection, _ = server.accept()
                if pid := os.fork():
                    children.add(pid)
                    connection.close()
                else:
                    return _start(connection)


def _start(connection: socket.socket) -> dict:
    """Forks once more: a child that carries out the request, and who waits for it."""
    request = json.loads(connection.recv(1 << 20))
    pid = os.fork()
    if not pid:
        connection.close()
        return request
    connection.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):  # Nobody may ask any more.
        connection.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def become(request: dict) -> str:
    """Makes this process look like one that has just been started.

    Args:
      request: `arguments` (of Python: -m MODULE ... or -c CODE ...), `directory`,
        `environment`, `output` and `errors` (paths of files to append to).

    Returns:
      The code to run.
    """
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = (os.devnull, request["output"], request["errors"])
    for number, name in enumerate(names):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
        file = os.open(name, flags, 0o644)
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["directory"])
    old = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(request["environment"])
    new = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    rest = [entry for entry in sys.path[1:] if entry not in old]
    kind, what, *arguments = request["arguments"]
    is_code = kind == "-c"
    sys.argv = [kind, *arguments]
    sys.path[:] = ["" if is_code else os.getcwd(), *filter(None, new), *rest]
    if is_code:
        return what
    return f"import runpy; runpy.run_module({what!r}, None, '__main__', True)"


if __name__ == "__main__":
    _request = serve(sys.argv[1], sys.argv[2:])
    if _request is not None:
        _code = become(_request)
        sys.modules["__main__"] = _main = types.ModuleType("__main__")
        # To its end and that of the interpreter, as any other program.
        exec(_code, _main.__dict__)
    else:
        shutil.rmtree(os.path.dirname(sys.argv[1]), ignore_errors=True)
